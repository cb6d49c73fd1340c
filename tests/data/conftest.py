"""What all node types must be able to do."""

import pytest


@pytest.fixture
def make_node(generate_potential, generate_state, generate_trajectory, generate_dataset, generate_configurations):
    """Give a factory of an unstored node of each type; equal calls give equal content."""
    from aiida_hdiff.data.arrhenius import ArrheniusData
    from aiida_hdiff.data.diffusivity import DiffusivityData
    from aiida_hdiff.data.literature import LiteratureData
    from aiida_hdiff.literature import load_literature

    from .test_results import ARRHENIUS, DIFFUSIVITY

    makers = {
        'potential': lambda: generate_potential('lennard_jones'),
        'state': lambda: generate_state(step=7, checkpoint=b'x' * 200),
        'trajectory': generate_trajectory,
        'dataset': generate_dataset,
        'configurations': generate_configurations,
        'diffusivity': lambda: DiffusivityData(DIFFUSIVITY),
        'arrhenius': lambda: ArrheniusData(ARRHENIUS),
        'literature': lambda: LiteratureData.from_value(load_literature()[0]),
    }
    return lambda kind: makers[kind]()
