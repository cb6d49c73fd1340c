"""Every end of a comparison of a potential with labels, from outputs of real runs of the engine."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory
from ase.calculators.emt import EMT

from aiida_hdiff.calculations import evaluate as files
from aiida_hdiff.calculations.engine_job import PROGRESS_FILE, STATUS_FILE
from aiida_hdiff.calculations.evaluate import EvaluateCalculation, prediction_reference
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.engine.cli import main
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.configurations import ARRAYS
from tests.conftest import copper_frames


@pytest.fixture
def parse(generate_calc_job_node, generate_dataset, generate_potential, tmp_path, monkeypatch):
    """Give a function that runs the engine, lets ``change`` edit the folder, and parses it."""

    def run(change=None, dataset=None, settings=None, missing_folder=False, kind='emt', **job):
        dataset = dataset or generate_dataset(4)
        potential = generate_potential(kind, elements=('Cu', 'H'))
        inputs = {'dataset': dataset, 'potential': potential}
        if settings:
            inputs['settings'] = orm.Dict(settings)
        folder, retrieved = tmp_path / 'job', tmp_path / 'retrieved'
        folder.mkdir()
        frames = dataset.frames()
        np.savez(folder / files.FRAMES_FILE, **{name: getattr(frames, name) for name in ARRAYS})
        values = {
            'potential': {'architecture': kind, 'file': None, 'options': {}},
            'reference': prediction_reference(potential),
            'frames': files.FRAMES_FILE,
            **job,
        }
        (folder / files.INPUT_FILE).write_text(json.dumps(values))
        monkeypatch.chdir(folder)
        main(['evaluate', files.INPUT_FILE])
        if change is not None:
            change(folder)
        retrieved.mkdir()
        for name in (STATUS_FILE, PROGRESS_FILE):
            if (folder / name).exists():
                (folder / name).rename(retrieved / name)
        node = generate_calc_job_node(
            'hdiff.evaluate', inputs, retrieved=retrieved, attributes={'output_filename': 'engine.out'}
        )
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory('hdiff.evaluate').parse_from_node(node, store_provenance=False, **temporary)

    return run


def code(name):
    return EvaluateCalculation.exit_codes[name].status


@pytest.fixture
def shifted(generate_dataset):
    """Return labels that are off those of EMT by known amounts: 3 eV for each copper atom, 0.1 eV/Å along x."""
    from dataclasses import replace

    frames = generate_dataset(6).frames()
    n_copper = np.add.reduceat(frames.numbers == 29, frames.offsets[:-1], dtype=np.int64)
    forces = frames.forces - np.array([0.1, 0.0, 0.0])
    return LabelledDataset(replace(frames, energies=frames.energies - 3.0 * n_copper, forces=forces))


def test_finished(parse, shifted):
    outputs, node = parse(dataset=shifted, settings={'n_worst': 2})
    assert node.exit_status == 0, node.exit_message
    results = outputs['results'].get_dict()
    assert (results['n_frames'], results['n_predicted'], results['n_failed'], results['n_left']) == (6, 6, 0, 0)
    assert results['force_meV_A']['rmse'] == pytest.approx(100.0 / np.sqrt(3.0))
    assert results['force_meV_A']['mae'] == pytest.approx(100.0 / 3.0)
    assert results['by_element']['H']['force_meV_A']['max'] == pytest.approx(100.0)
    assert results['stress_GPa']['rmse'] == pytest.approx(0.0, abs=1e-9)
    shares = [3.0 * one / (one + 1) * 1000.0 for one in (1, 2, 3, 4, 1, 2)]
    assert results['energy_meV_per_atom']['rmse'] == pytest.approx(np.sqrt(np.mean(np.square(shares))))
    without = results['energy_meV_per_atom_without_element_offsets']
    assert without['rmse'] == pytest.approx(0.0, abs=1e-6)
    assert without['offsets_eV'] == pytest.approx({'H': 0.0, 'Cu': 3.0}, abs=1e-9)
    assert [len(results[f'worst_by_{name}']) for name in ('force', 'energy')] == [2, 2]
    assert results['worst_by_energy'][0]['origin'] == 'md:30'
    assert results['reference'] == 'emt'
    assert 'ase' in results['versions']

    parity, frames = outputs['parity'], shifted.frames()
    np.testing.assert_array_equal(parity.get_array('frames'), np.arange(6))
    np.testing.assert_array_equal(parity.get_array('offsets'), frames.offsets)
    np.testing.assert_array_equal(parity.get_array('forces')[..., 0], frames.forces)
    for index, atoms in enumerate(copper_frames(6)):
        atoms.calc = EMT()
        assert parity.get_array('energies')[index, 1] == pytest.approx(atoms.get_potential_energy())
        found = parity.get_array('forces')[slice(*frames.offsets[index : index + 2]), :, 1]
        np.testing.assert_allclose(found, atoms.get_forces(), atol=1e-12)
        np.testing.assert_allclose(parity.get_array('stresses')[index, :, 1], atoms.get_stress(), atol=1e-13)
    np.testing.assert_allclose(parity.get_array('force_rmse'), 0.1 / np.sqrt(3.0))


def killed(folder):
    """Leave what a killed job leaves."""
    (folder / STATUS_FILE).unlink()
    lines = (folder / files.PREDICTIONS_FILE).read_bytes().splitlines(keepends=True)
    (folder / files.PREDICTIONS_FILE).write_bytes(b''.join(lines[:3]) + lines[3][:20])


def test_killed(parse, shifted):
    outputs, node = parse(change=killed, dataset=shifted)
    assert node.exit_status == code('ERROR_INTERRUPTED')
    assert '2 of 6 frames' in node.exit_message
    assert outputs['results']['n_left'] == 4
    assert outputs['parity'].get_array('frames').tolist() == [0, 1]


def test_wall_time(parse):
    outputs, node = parse(max_seconds=1e-3)
    assert node.exit_status == code('ERROR_OUT_OF_WALLTIME')
    assert 'parity' not in outputs
    assert outputs['results']['n_left'] == 4


def lithium_last(generate_dataset):
    """Return a set with a frame of lithium, which EMT does not know, in the middle."""
    from dataclasses import replace

    frames = list(generate_dataset(4).frames())
    frames[1] = replace(frames[1], numbers=np.full(3, 3))
    return LabelledDataset(LabelledFrames.from_frames(frames))


def test_frames_that_fail(parse, generate_dataset):
    dataset = lithium_last(generate_dataset)
    outputs, node = parse(dataset=dataset, max_failures=1)
    assert node.exit_status == 0
    results = outputs['results'].get_dict()
    assert (results['n_failed'], results['failures'][0]['frame'], results['failures'][0]['origin']) == (1, 1, 'md:10')
    assert outputs['parity'].get_array('frames').tolist() == [0, 2, 3]
    assert {one['frame'] for one in results['worst_by_force']} == {0, 2, 3}
    assert [one['origin'] for one in results['worst_by_force'] if one['frame'] == 2] == ['md:20']


def test_more_failures_than_allowed(parse, generate_dataset):
    outputs, node = parse(dataset=lithium_last(generate_dataset))
    assert node.exit_status == code('ERROR_FRAMES_FAILED')
    assert 'the first by NotImplementedError' in node.exit_message
    assert outputs['results']['n_predicted'] == 1


@pytest.mark.parametrize(
    ('status', 'name'),
    [
        (1, 'ERROR_ENGINE_FAILED'),
        (50, 'ERROR_PACKAGE_MISSING'),
        (51, 'ERROR_SETTINGS_REFUSED'),
        (52, 'ERROR_POTENTIAL_REFUSED'),
        (53, 'ERROR_MODEL_NOT_TRUSTED'),
    ],
)
def test_ends_of_the_engine(parse, status, name):
    content = json.dumps({'exit_code': status, 'message': 'the reason'})
    _, node = parse(change=lambda folder: (folder / STATUS_FILE).write_text(content))
    assert node.exit_status == code(name)
    assert 'the reason' in node.exit_message


def nothing(folder):
    for path in folder.iterdir():
        path.unlink()


def cut(folder):
    path = folder / files.PREDICTIONS_FILE
    path.write_bytes(b''.join(path.read_bytes().splitlines(keepends=True)[:3]))


def of_another(folder):
    path = folder / files.PREDICTIONS_FILE
    path.write_bytes(path.read_bytes().replace(b'emt-', b'eam-', 1))


def of_other_frames(folder):
    path = folder / files.PREDICTIONS_FILE
    path.write_bytes(path.read_bytes().replace(b'"frame": 3', b'"frame": 7', 1))


def without_atoms(folder):
    path = folder / files.PREDICTIONS_FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[2]['forces'] = lines[2]['forces'][:-1]
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


@pytest.mark.parametrize(
    ('change', 'name', 'message'),
    [
        (nothing, 'ERROR_OUTPUT_MISSING', 'the engine did not start'),
        (cut, 'ERROR_OUTPUT_UNREADABLE', 'predictions are missing'),
        (of_another, 'ERROR_OUTPUT_UNREADABLE', 'not by the potential of this job'),
        (of_other_frames, 'ERROR_OUTPUT_UNREADABLE', 'some that are not in the set'),
        (without_atoms, 'ERROR_OUTPUT_UNREADABLE', 'predicted forces have shape'),
    ],
)
def test_outputs_that_do_not_fit(parse, change, name, message):
    _, node = parse(change=change)
    assert node.exit_status == code(name)
    assert message in node.exit_message


def test_nothing_retrieved(parse):
    assert parse(missing_folder=True)[1].exit_status == code('ERROR_OUTPUT_MISSING')
