"""A study file with three trained potentials, from a file of frames to the table of the potentials."""

import re

import numpy as np
import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory
from aiida.tools.graph.graph_traversers import traverse_graph
from ase import Atoms
from ase.build import bulk
from ase.calculators.eam import EAM
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.workflows.training_progress import process_progress
from tests.integration.test_label import ROOT, engine_with
from tests.model_files import genuine_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SMALL = {
    'r_max': 3.5, 'num_interactions': 1, 'hidden_irreps': '4x0e', 'MLP_irreps': '4x0e', 'max_ell': 1, 'correlation': 1,
    'num_radial_basis': 4, 'num_cutoff_basis': 3, 'radial_MLP': '[8]', 'max_num_epochs': 40, 'batch_size': 4,
    'lr': 0.02,
}  # fmt: skip


def nickel_frames(n_frames, seed):
    """Return rattled nickel with one or two hydrogen atoms anywhere, but in contact with none."""
    rng, frames = np.random.default_rng(seed), []
    while len(frames) < n_frames:
        atoms = bulk('Ni', 'fcc', a=3.52 * rng.uniform(0.99, 1.03), cubic=True)
        atoms.positions += rng.normal(0.0, 0.07, atoms.positions.shape)
        n_hydrogen = 1 + len(frames) % 2
        atoms.extend(Atoms(f'H{n_hydrogen}', rng.uniform(0.0, 3.52, (n_hydrogen, 3))))
        distances = atoms.get_all_distances(mic=True) + 9.0 * np.eye(len(atoms))
        if distances[4:].min() > 1.3:
            frames.append(atoms)
    return frames


def labelled(frames, potential, scale=1.0):
    """Return frames with energies and forces of an EAM potential, both scaled."""
    calculator, found = EAM(potential=str(potential)), []
    for atoms in frames:
        atoms.calc = calculator
        labels = {'energy': scale * atoms.get_potential_energy(), 'forces': scale * atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        found.append(atoms)
    return found


@pytest.fixture
def study(tmp_path, aiida_code_installed, aiida_profile, setfl_path):
    """Write a study with its files; return its path."""
    from ase.io import write

    codes = {
        name: aiida_code_installed(
            label=name, default_calc_job_plugin='hdiff.md', filepath_executable=engine_with(name)
        ).full_label
        for name in ('mace', 'chgnet')
    }
    environment = {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    write(tmp_path / 'frames.xyz', labelled(nickel_frames(72, seed=4), setfl_path), format='extxyz')
    (tmp_path / 'chgnet.model').write_bytes(genuine_model('chgnet'))
    others = [LabelledFrame.from_ase(atoms) for atoms in labelled(nickel_frames(40, seed=9), setfl_path, scale=0.8)]
    outputs, node = run_get_node(
        WorkflowFactory('hdiff.mace_train'),
        code=orm.load_code(codes['mace']),
        train=LabelledDataset(LabelledFrames.from_frames(others[:36])),
        valid=LabelledDataset(LabelledFrames.from_frames(others[36:])),
        config=orm.Dict({**SMALL, 'max_num_epochs': 20}),
        seed=orm.Int(3),
        options={'environment_variables': environment},
    )
    assert node.is_finished_ok, node.exit_message
    stage = {'time_ps': 0.05, 'output_interval_fs': 1.0, 'checkpoint_interval_ps': 0.05}
    content = {
        'title': 'three potentials',
        'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [2, 2, 2]},
        'hydrogen': {'n_hydrogen': 4, 'seed': 1},
        'temperatures_K': [500, 1000],
        'protocol': 'demo',
        'settings': {
            'npt': {**stage, 'barostat_time_fs': 20000.0},
            'nvt': stage,
            'nve': {'time_ps': 0.16, 'output_interval_fs': 0.5, 'checkpoint_interval_ps': 0.16},
            'analysis': {'window_ps': [0.005, 0.012], 'jump_length_A': 0.15, 'rdf_frame_interval_fs': 10.0},
            'gate': {'temperature_tolerance_K': 5000.0, 'drift_limit_meV_per_atom_per_ns': 1e6},
        },
        'codes': codes,
        'options': {'environment_variables': environment},
        'training': {
            'dataset': {'file': 'frames.xyz', 'reference': 'eam'},
            'split': {'valid': 4, 'test': 8},
            'gate': {'energy_rmse_meV_per_atom': None, 'force_rmse_meV_A': 800.0, 'smoke_time_ps': 0.05},
        },
        'potentials': {
            'scratch': {'kind': 'from_scratch', 'architecture': 'mace', 'config': SMALL},
            'mace_ft': {
                'kind': 'fine_tuned',
                'foundation': {'node': outputs['potential'].uuid},
                'config': {'max_num_epochs': 20, 'batch_size': 4},
            },
            'chgnet_ft': {
                'kind': 'fine_tuned',
                'foundation': {'architecture': 'chgnet', 'file': 'chgnet.model', 'elements': ['H', 'Ni']},
                'settings': {'epochs': 1, 'stress_weight': 0.0},
            },
        },
    }  # fmt: skip
    path = tmp_path / 'study.yaml'
    path.write_text(yaml.safe_dump(content))
    return path


def ancestors(node):
    """Return all nodes that a node was made from."""
    found = traverse_graph([node.pk], links_backward=[LinkType.CREATE, LinkType.INPUT_CALC])
    return [orm.load_node(pk) for pk in found['nodes']]


def test_a_potential_that_fails_leaves_the_others_untouched(study):
    from aiida_hdiff.cli import main

    result = CliRunner().invoke(main, ['launch', str(study), '--run'])
    assert result.exit_code == 0, result.output
    assert '3 potentials to train or to judge first' in result.output
    node = orm.load_node(int(result.output.rsplit('study ', 1)[1].split()[0]))
    reasons = {label: one['reason'] for label, one in node.outputs.diffusivities.items()}
    assert node.exit_status == 713, (node.exit_message, reasons)
    assert re.fullmatch(
        r'Finished, but without the potentials chgnet_ft \(The potential does not pass its gate: force RMSE \d+.* is above '
        r'the limit 800 meV/Å\)',
        node.exit_message,
    ), node.exit_message
    outputs = node.outputs
    assert (
        set(outputs.potentials) == set(outputs.gates) == set(outputs.evaluations) == {'scratch', 'mace_ft', 'chgnet_ft'}
    )
    assert set(outputs.parity) == set(outputs.trainings) == set(outputs.curves) == set(outputs.potentials)
    assert set(outputs.arrhenius) == {'scratch', 'mace_ft'}
    rows = {row['label']: row for row in outputs.potential_comparison['potentials']}
    assert {label: row['passed'] for label, row in rows.items()} == {
        'scratch': True, 'mace_ft': True, 'chgnet_ft': False,
    }  # fmt: skip
    for label in ('scratch', 'mace_ft'):
        assert rows[label]['rmse']['force_meV_A'] < 800.0 < rows['chgnet_ft']['rmse']['force_meV_A']
        assert [one['temperature_K'] for one in rows[label]['diffusivities']] == [500.0, 1000.0]
        assert rows[label]['activation_energy_eV'] == outputs.arrhenius[label].activation_energy_eV
        assert rows[label]['diffusivities'][0]['published'] or rows[label]['energy']
        made_from = ancestors(outputs.arrhenius[label])
        assert outputs.potentials[label].pk in [one.pk for one in made_from]
        files = [one.filename for one in made_from if type(one) is orm.SinglefileData]
        assert files == ['frames.xyz']
    seeds = {child.inputs.seed.value for child in node.called if child.process_label == 'DiffusivityWorkChain'}
    assert seeds == {1}
    states = {row.label: row.state for row in process_progress(node)}
    assert states['train_chgnet_ft'] == 'failed'
    assert states['train_scratch'] == states['scratch_500K_0'] == 'finished'
    assert 'chgnet_ft_500K_0' not in states
