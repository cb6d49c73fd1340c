"""Inputs of the workchains."""

import pytest
from aiida import orm

from tests.conftest import PARAMETERS


@pytest.fixture
def study_inputs(fake_code, generate_structure, generate_potential):
    """Give a factory of valid inputs of a DiffusionWorkChain."""
    from aiida_hdiff.workflows.settings import DiffusionProtocols

    def factory(**changes):
        overrides = changes.pop('overrides', None)
        values = {
            'structure': generate_structure(),
            'potentials': {'lj': generate_potential()},
            'codes': {'lammps': fake_code()},
            'temperatures': orm.List([800, 900.0]),
            'settings': orm.Dict(DiffusionProtocols.get_protocol_settings('fast', overrides)),
            'seed': orm.Int(1),
        }
        return {**values, **changes}

    return factory


@pytest.fixture
def stage_inputs(fake_code, generate_structure, generate_potential):
    """Give a factory of valid inputs of an MDStageWorkChain."""

    def factory(**changes):
        values = {
            'code': fake_code(),
            'structure': generate_structure(),
            'potential': generate_potential(),
            'parameters': orm.Dict(PARAMETERS),
        }
        return {**values, **changes}

    return factory


@pytest.fixture
def error_of():
    """Give a function that returns what submitting a workchain would say, or ``None``."""
    from aiida.plugins import WorkflowFactory

    def error(entry_point, values):
        port = WorkflowFactory(entry_point).spec().inputs
        problem = port.validate(port.pre_process(values))
        return None if problem is None else problem.message

    return error
