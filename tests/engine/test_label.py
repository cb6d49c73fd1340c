"""`hdiff-engine label`: settings, labels, failures, and what is left after a stop or a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT

from aiida_hdiff.engine.cli import main
from aiida_hdiff.engine.exit_codes import (
    BAD_INPUT,
    FINISHED,
    INTERRUPTED,
    MISSING_PACKAGE,
    MODEL_NOT_LOADED,
    TOO_MANY_FAILURES,
)
from aiida_hdiff.engine.label_file import LabelWriter, read_labels
from aiida_hdiff.engine.label_settings import LabelSettings, label_settings_error
from aiida_hdiff.formats.configurations import ARRAYS, Configurations, structure_keys
from tests.conftest import copper_frames

ROOT = Path(__file__).parents[2]
GPAW = {
    'calculator': 'gpaw',
    'parameters': {'mode': {'name': 'pw', 'ecut': 340}, 'kpts': {'size': [4, 4, 4], 'gamma': False}, 'xc': 'PBE'},
}


def own(name, **parameters):
    """Return settings of a calculator of the tests."""
    calculator = f'tests.engine.label_calculators:{name}'
    return {'calculator': calculator, 'allow_any_calculator': True, 'parameters': parameters}


class Job:
    """A folder with a labelling job."""

    def __init__(self, folder, images, settings, **values):
        self.folder = folder
        folder.mkdir()
        frames = Configurations.from_ase(images, [f'md:{i}' for i in range(len(images))])
        np.savez(folder / 'frames.npz', **{name: getattr(frames, name) for name in ARRAYS})
        values = {'settings': settings, 'frames': 'frames.npz', 'threads': 1, **values}
        (folder / 'label.json').write_text(json.dumps(values))

    @property
    def status(self):
        return json.loads((self.folder / 'status.json').read_text())

    @property
    def progress(self):
        return json.loads((self.folder / 'progress.json').read_text())

    @property
    def labels(self):
        return read_labels(self.folder / 'labels.jsonl')

    def start(self):
        """Start it as a process of its own."""
        environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
        command = [sys.executable, '-m', 'aiida_hdiff.engine.cli', 'label', 'label.json']
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def wait_for(self, n_records):
        """Wait until so many frames are done."""
        for _ in range(3000):
            path = self.folder / 'labels.jsonl'
            if path.is_file() and path.read_bytes().count(b'\n') > n_records:
                return
            time.sleep(0.01)
        raise AssertionError('the job does not get ahead')


@pytest.fixture
def job(tmp_path):
    """Give a factory of jobs."""
    number = iter(range(1000))
    return lambda settings, n_frames=4, **values: Job(
        tmp_path / f'job{next(number)}', copper_frames(n_frames), settings, **values
    )


@pytest.fixture
def run(monkeypatch):
    """Give a function that runs a job in this process and returns its exit code."""

    def run(job):
        monkeypatch.chdir(job.folder)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
        code = main(['label', 'label.json'])
        assert {number: signal.getsignal(number) for number in handlers} == handlers
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 0.0
        return code

    return run


def assert_emt(record):
    atoms = copper_frames(record['frame'] + 1)[-1]
    atoms.calc = EMT()
    assert record['energy'] == pytest.approx(atoms.get_potential_energy(), rel=1e-13)
    np.testing.assert_allclose(record['forces'], atoms.get_forces(), atol=1e-12)
    np.testing.assert_allclose(record['stress'], atoms.get_stress(), atol=1e-14)


@pytest.mark.parametrize('reuse', [True, False])
def test_labels_are_those_of_the_calculator(job, run, reuse):
    emt = job({'calculator': 'emt', 'reuse_calculator': reuse}, n_frames=6)
    assert run(emt) == FINISHED
    header, records = emt.labels
    assert header['reference'] == LabelSettings('emt').reference()
    assert [record['frame'] for record in records] == list(range(6))
    for record in records:
        assert_emt(record)
        assert record['energy_kind'] == 'free_energy'
        assert 'scf_converged' not in record
    assert emt.status['state'] == 'finished'
    assert {'ase', 'numpy', 'aiida-hdiff'} <= set(emt.status['versions'])
    assert emt.progress['step'] == emt.progress['steps'] == 6
    assert emt.progress['failed'] == 0


def test_frames_to_skip(job, run):
    emt = job({'calculator': 'emt'}, n_frames=5, skip=[0, 3])
    assert run(emt) == FINISHED
    assert [record['frame'] for record in emt.labels[1]] == [1, 2, 4]
    assert emt.progress['steps'] == 3


def test_open_boundaries_have_no_stress(tmp_path, run):
    images = copper_frames(2)
    images[1].pbc = (True, True, False)
    emt = Job(tmp_path / 'open', images, {'calculator': 'emt'})
    assert run(emt) == FINISHED
    assert ['stress' in record for record in emt.labels[1]] == [True, False]


def test_free_energy_or_energy(job, run):
    energies = []
    for free in (True, False):
        smeared = job({**own('Smeared'), 'force_consistent_energy': free})
        assert run(smeared) == FINISHED
        records = smeared.labels[1]
        assert {record['energy_kind'] for record in records} == {'free_energy' if free else 'energy'}
        energies.append([record['energy'] for record in records])
    np.testing.assert_allclose(np.subtract(*energies), -1.0, atol=1e-12)


def test_lennard_jones_with_parameters(job, run):
    from ase.calculators.lj import LennardJones

    parameters = {'sigma': 2.0, 'epsilon': 0.1, 'rc': 5.0}
    lennard_jones = job({'calculator': 'lennard_jones', 'parameters': parameters})
    assert run(lennard_jones) == FINISHED
    for record, atoms in zip(lennard_jones.labels[1], copper_frames(4), strict=True):
        atoms.calc = LennardJones(**parameters)
        assert record['energy'] == pytest.approx(atoms.get_potential_energy(), rel=1e-12)


def test_failed_frames_are_recorded_and_the_calculator_made_anew(job, run):
    moody = job(own('Moody', fails_for=[3]), n_frames=8)
    assert run(moody) == FINISHED
    failed = [record for record in moody.labels[1] if 'energy' not in record]
    assert [record['frame'] for record in failed] == [1, 5]
    assert {(record['exception'], record['reason']) for record in failed} == {
        ('KohnShamConvergenceError', 'Did not converge! See the docs.')
    }
    for record in moody.labels[1]:
        if record not in failed:
            assert_emt(record)
    assert moody.progress['failed'] == 2
    assert moody.status['step'] == 6


def test_a_calculator_that_cannot_go_on_to_a_frame_is_replaced(job, run):
    symmetric = job(own('Symmetric'), n_frames=6)
    assert run(symmetric) == FINISHED
    assert len({len(frame['forces']) for frame in symmetric.labels[1]}) > 1
    for record in symmetric.labels[1]:
        assert_emt(record)


def test_labels_that_are_not_numbers_are_failures(job, run):
    moody = job(own('Moody', fails_for=[3], how='nan'), n_frames=3)
    assert run(moody) == FINISHED
    assert [(one['frame'], one['reason']) for one in moody.labels[1] if 'energy' not in one] == [
        (1, 'forces not finite')
    ]


def test_too_many_failures_end_the_job(job, run):
    moody = job({**own('Moody', fails_for=[2, 4]), 'max_failures': 1}, n_frames=8)
    assert run(moody) == TOO_MANY_FAILURES
    assert [record['frame'] for record in moody.labels[1]] == [0, 1, 2]
    assert '2 frames failed, more than `max_failures` = 1' in moody.status['message']
    assert run(moody) == TOO_MANY_FAILURES
    assert len(moody.labels[1]) == 3


def test_time_limit_loses_the_frame_under_way_only(job, run):
    slow = job(own('Slow', seconds=0.3), n_frames=30, max_seconds=1.5)
    begun = time.monotonic()
    assert run(slow) == INTERRUPTED
    assert time.monotonic() - begun < 2.5
    done = len(slow.labels[1])
    assert 0 < done <= 5
    assert f'stopped by the time limit of 1.5 s after {done} of 30 frames' in slow.status['message']
    assert slow.status['step'] == done


def test_a_frame_longer_than_the_limit_is_interrupted(job, run):
    slow = job(own('Slow', seconds=60.0), max_seconds=0.5)
    begun = time.monotonic()
    assert run(slow) == INTERRUPTED
    assert time.monotonic() - begun < 5.0
    assert slow.labels[1] == []


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_frame_under_way(job, number):
    slow = job(own('Slow', seconds=0.2), n_frames=200)
    process = slow.start()
    slow.wait_for(2)
    process.send_signal(number)
    assert process.wait(10) == INTERRUPTED
    assert signal.Signals(number).name in slow.status['message']
    assert slow.status['step'] == len(slow.labels[1]) >= 2


def test_a_killed_job_goes_on_where_it_was(job, run):
    slow = job(own('Slow', seconds=0.1), n_frames=6)
    process = slow.start()
    slow.wait_for(2)
    process.kill()
    process.wait()
    before = slow.labels[1]
    path = slow.folder / 'labels.jsonl'
    path.write_bytes(path.read_bytes() + b'{"frame": 4, "ener')
    assert not (slow.folder / 'status.json').exists()
    assert run(slow) == FINISHED
    after = slow.labels[1]
    assert after[: len(before)] == before
    assert [record['frame'] for record in after] == list(range(6))
    for record in after:
        assert_emt(record)


@pytest.mark.parametrize('cut', range(1, 60, 7))
def test_a_torn_file_keeps_its_complete_records(tmp_path, cut):
    path, header = tmp_path / 'labels.jsonl', {'reference': 'x'}
    writer = LabelWriter(path, header)
    for index in range(3):
        writer.write({'frame': index, 'energy': 0.1 + index, 'forces': np.full((1, 3), 1 / 3)})
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = LabelWriter(path, header)
    kept = 2 if cut < len(whole) - whole[:-1].rfind(b'\n') else 1
    assert [record['frame'] for record in again.earlier] == list(range(kept))
    assert again.earlier[0]['forces'] == [[1 / 3] * 3]
    again.write({'frame': 9})
    again.close()
    assert [record['frame'] for record in read_labels(path)[1]] == [*range(kept), 9]


def test_labels_of_another_job_are_refused(job, run):
    emt = job({'calculator': 'emt'})
    assert run(emt) == FINISHED
    values = json.loads((emt.folder / 'label.json').read_text())
    (emt.folder / 'label.json').write_text(json.dumps({**values, 'reference': 'another'}))
    assert run(emt) == BAD_INPUT
    assert 'labels.jsonl is of another job: remove it' in emt.status['message']
    (emt.folder / 'label.json').write_text(json.dumps(values))
    other = Configurations.from_ase(copper_frames(4, seed=9), [''] * 4)
    np.savez(emt.folder / 'frames.npz', **{name: getattr(other, name) for name in ARRAYS})
    assert run(emt) == BAD_INPUT


@pytest.mark.parametrize(
    ('settings', 'code', 'message'),
    [
        (own('Missing'), BAD_INPUT, "has no attribute 'Missing'"),
        (own('refuses', a=1), MODEL_NOT_LOADED, "refuses its parameters: TypeError: unexpected ['a']"),
        (own('NoStress'), BAD_INPUT, 'gives no stress: set `stress: false`'),
        (
            {'calculator': 'no_such_package:Thing', 'allow_any_calculator': True},
            MISSING_PACKAGE,
            'needs the package no_such_package, which is not installed on this machine: pip install no_such_package',
        ),
        ({'calculator': 'mace'}, None, 'mace'),
    ],
)
def test_calculators_that_cannot_be_made(job, run, settings, code, message):
    wrong = job(settings)
    found = run(wrong)
    assert found in (MISSING_PACKAGE, MODEL_NOT_LOADED) if code is None else found == code
    assert message in wrong.status['message']
    assert not (wrong.folder / 'labels.jsonl').exists()


def test_gpaw_that_is_missing_is_named_with_its_remedy(job, run):
    try:
        import gpaw  # noqa: F401
    except ModuleNotFoundError:
        missing = job(GPAW)
        assert run(missing) == MISSING_PACKAGE
        assert (
            'gpaw needs the package gpaw, which is not installed on this machine: pip install gpaw'
            in (missing.status['message'])
        )
    else:
        pytest.skip('GPAW is installed')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'frame': 'x'}, 'unknown key `frame`; known: settings, reference, frames'),
        ({'threads': 0}, '`threads` is 0: give a whole number of at least 1'),
        ({'max_seconds': -1}, '`max_seconds` is -1: give a positive number of seconds'),
        ({'frames': None}, '`frames` is missing: give the name of the file'),
        ({'frames': 'no.npz'}, 'no.npz: no such file in the working directory'),
        ({'frames': 'label.json'}, 'label.json: not a readable .npz archive'),
        ({'skip': [17]}, '`skip` names frames that are not in frames.npz'),
        ({'settings': {'calculator': 'emt', 'stres': True}}, 'did you mean `stress`?'),
    ],
)
def test_inputs_that_cannot_be_used(job, run, values, message):
    wrong = job(**{'settings': {'calculator': 'emt'}, **values})
    assert run(wrong) == BAD_INPUT
    assert message in wrong.status['message']


def test_damaged_configurations(job, run):
    emt = job({'calculator': 'emt'})
    arrays = dict(np.load(emt.folder / 'frames.npz'))
    for change, message in (
        ({'positions': arrays['positions'] * np.nan}, 'positions of frame 0 are not finite'),
        ({'offsets': arrays['offsets'][:-1]}, 'offsets must go from 0'),
    ):
        np.savez(emt.folder / 'frames.npz', **{**arrays, **change})
        assert run(emt) == BAD_INPUT
        assert message in emt.status['message']
    np.savez(emt.folder / 'frames.npz', numbers=arrays['numbers'])
    assert run(emt) == BAD_INPUT
    assert 'frames.npz: lacks positions, offsets, cells, pbc' in emt.status['message']


def changed_gpaw(**parameters):
    return {**GPAW, 'parameters': {**GPAW['parameters'], **parameters}}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'setting `calculator` is missing: give one of gpaw, chgnet, mace, emt, lennard_jones'),
        ({'calculator': 'vasp'}, "`calculator` is 'vasp': give one of gpaw"),
        ({'calculator': 7}, '`calculator` is 7: give one of gpaw'),
        ({'calculator': 'os:system'}, 'only imported with `allow_any_calculator: true`'),
        ({'calculator': 'a:b()', 'allow_any_calculator': True}, "`calculator` is 'a:b()': give one of gpaw"),
        ({'calculator': 'emt', 'paramters': {}}, 'unknown setting `paramters`: did you mean `parameters`?'),
        ({'calculator': 'emt', 'parameters': [1]}, '`parameters` is [1]: give a mapping'),
        ({'calculator': 'emt', 'parameters': {'x': 1}}, 'emt has no parameter `x`: known are asap_cutoff'),
        ({'calculator': 'emt', 'parameters': {'asap_cutoff': float('nan')}}, 'cannot be written as JSON'),
        ({'calculator': 'emt', 'max_failures': -1}, '`max_failures` is -1: give a whole number of at least 0'),
        ({'calculator': 'emt', 'max_failures': True}, '`max_failures` is True: give a whole number'),
        ({'calculator': 'emt', 'stress': 'yes'}, "`stress` is 'yes': give true or false"),
        (changed_gpaw(mode='pw'), '`parameters.mode` is \'pw\': give for example {"name": "pw", "ecut": 340}'),
        (changed_gpaw(mode={'name': 'pw'}), '`parameters.mode.ecut` is None: give the cutoff of the plane waves in eV'),
        (changed_gpaw(mode={'name': 'lcao'}), "mode 'lcao' of GPAW gives no stress: set `stress: false`"),
        (changed_gpaw(ecut=300), 'gpaw has no parameter `ecut`: '),
        (changed_gpaw(txt='/etc/x'), "`parameters.txt` is '/etc/x': give a file name without folders"),
        ({'calculator': 'gpaw', 'parameters': {'mode': GPAW['parameters']['mode']}}, '`parameters.kpts` is missing'),
    ],
)
def test_settings_that_are_refused(settings, message):
    assert message in label_settings_error(settings)
    with pytest.raises(ValueError):
        LabelSettings.from_dict(settings)


@pytest.mark.parametrize(
    ('change', 'same'),
    [
        ({}, True),
        ({'txt': 'log'}, True),
        ({'maxiter': 40}, True),
        ({'mode': {'ecut': 340.0, 'name': 'pw'}}, True),
        ({'mode': {'ecut': 340.5, 'name': 'pw'}}, False),
        ({'kpts': {'size': [4, 4, 3], 'gamma': False}}, False),
        ({'kpts': {'size': [4, 4, 4], 'gamma': True}}, False),
        ({'occupations': {'name': 'fermi-dirac', 'width': 0.1}}, False),
    ],
)
def test_the_reference_changes_with_what_changes_labels(change, same):
    one, other = LabelSettings.from_dict(GPAW), LabelSettings.from_dict(changed_gpaw(**change))
    assert (one.reference() == other.reference()) == same


def test_the_reference_names_the_calculator_and_the_model():
    assert LabelSettings('chgnet').reference().startswith('chgnet-')
    assert LabelSettings('chgnet').reference('a') != LabelSettings('chgnet').reference('b')
    assert LabelSettings('emt').reference() != LabelSettings('emt', force_consistent_energy=False).reference()
    rules = LabelSettings('emt', stress=False, max_failures=0, reuse_calculator=False)
    assert LabelSettings('emt').reference() == rules.reference()


def test_structure_keys():
    images = copper_frames(5)
    frames = Configurations.from_ase([*images, images[2]], [''] * 6)
    keys = structure_keys(frames)
    assert keys[5] == keys[2]
    assert len(set(keys)) == 5
    moved = images[0].copy()
    moved.positions[0, 0] = np.nextafter(moved.positions[0, 0], 9.0)
    assert structure_keys(Configurations.from_ase([moved], ['']))[0] != keys[0]
    assert structure_keys(frames.select([4, 1])) == (keys[4], keys[1])
