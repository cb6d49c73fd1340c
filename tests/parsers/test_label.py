"""Every end of a labelling job, from outputs of real runs of the engine."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory

from aiida_hdiff.calculations import label as files
from aiida_hdiff.calculations.engine_job import PROGRESS_FILE, STATUS_FILE
from aiida_hdiff.calculations.label import LabelCalculation
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.engine.label_settings import LabelSettings
from aiida_hdiff.parsers.label import failure_text

REFERENCE = LabelSettings('emt').reference()
MOODY = {'calculator': 'tests.engine.label_calculators:Moody', 'allow_any_calculator': True}


@pytest.fixture
def parse(generate_calc_job_node, generate_configurations, generate_dataset, tmp_path, monkeypatch):
    """Give a function that runs the engine, lets ``change`` edit the folder, and parses it."""
    from aiida_hdiff.engine.cli import main
    from aiida_hdiff.formats.configurations import ARRAYS

    def run(settings=None, change=None, previous=None, n_frames=4, missing_folder=False, **job):
        settings = settings or {'calculator': 'emt'}
        inputs = {'frames': generate_configurations(n_frames), 'settings': orm.Dict(settings)}
        if previous is not None:
            inputs['previous'] = LabelledDataset(generate_dataset(4, reference=REFERENCE).frames().select(previous))
        folder, retrieved = tmp_path / 'job', tmp_path / 'retrieved'
        folder.mkdir()
        frames = inputs['frames'].frames()
        np.savez(folder / files.FRAMES_FILE, **{name: getattr(frames, name) for name in ARRAYS})
        values = {'settings': settings, 'frames': files.FRAMES_FILE, 'skip': previous or [], **job}
        (folder / files.INPUT_FILE).write_text(json.dumps(values))
        monkeypatch.chdir(folder)
        main(['label', files.INPUT_FILE])
        if change is not None:
            change(folder)
        retrieved.mkdir()
        for name in (STATUS_FILE, PROGRESS_FILE):
            if (folder / name).exists():
                (folder / name).rename(retrieved / name)
        node = generate_calc_job_node(
            'hdiff.label', inputs, retrieved=retrieved, attributes={'output_filename': 'engine.out'}
        )
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory('hdiff.label').parse_from_node(node, store_provenance=False, **temporary)

    return run


def code(name):
    return LabelCalculation.exit_codes[name].status


def test_finished(parse, generate_dataset):
    outputs, node = parse()
    assert node.exit_status == 0, node.exit_message
    found, expected = outputs['dataset'].frames(), generate_dataset(4).frames()
    for name in ('numbers', 'positions', 'offsets', 'cells', 'pbc', 'scf_converged'):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ('energies', 'forces', 'stresses'):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-12)
    assert found.origins == ('md:0', 'md:10', 'md:20', 'md:30')
    assert set(found.references) == {REFERENCE}
    results = outputs['results'].get_dict()
    for clock in ('seconds', 'cpu_seconds'):
        assert results.pop(f'{clock}_per_frame') == pytest.approx(results.pop(clock) / 4)
    assert 'numpy' in results.pop('versions')
    assert results == {
        'n_frames': 4,
        'n_labelled': 4,
        'n_from_previous': 0,
        'n_failed': 0,
        'n_left': 0,
        'failures': [],
        'reference': REFERENCE,
        'calculator': 'emt',
        'energy_kind': 'free_energy',
    }


def test_previous_frames_are_put_in_their_places(parse):
    outputs, node = parse(previous=[3, 1])
    assert node.exit_status == 0, node.exit_message
    assert outputs['dataset'].frames().origins == ('md:0', 'md:10', 'md:20', 'md:30')
    results = outputs['results']
    assert (results['n_labelled'], results['n_from_previous'], results['n_left']) == (4, 2, 0)


def test_failures_within_the_limit(parse):
    outputs, node = parse(MOODY, n_frames=8)
    assert node.exit_status == 0
    assert outputs['dataset'].n_frames == 6
    assert outputs['results']['failures'] == [
        {'frame': frame, 'origin': f'md:{10 * frame}', 'exception': 'KohnShamConvergenceError', 'reason': reason}
        for frame, reason in ((1, 'Did not converge! See the docs.'), (5, 'Did not converge! See the docs.'))
    ]


def test_too_many_failures(parse):
    outputs, node = parse({**MOODY, 'max_failures': 1}, n_frames=8)
    assert node.exit_status == code('ERROR_TOO_MANY_FAILURES')
    assert '2 frames failed, more than `max_failures` = 1' in node.exit_message
    assert outputs['dataset'].n_frames == 4
    assert outputs['results']['n_left'] == 2


def test_failures_without_a_message():
    assert failure_text({'exception': 'KohnShamConvergenceError', 'reason': ''}) == 'KohnShamConvergenceError'
    assert failure_text({'exception': 'AtomsTooClose', 'reason': '0.1 Å'}) == 'AtomsTooClose: 0.1 Å'


@pytest.mark.parametrize('limit', [0, 10])
def test_all_frames_failed(parse, limit):
    settings = {**MOODY, 'parameters': {'fails_for': [2, 3, 4, 5]}, 'max_failures': limit}
    outputs, node = parse(settings)
    assert node.exit_status == code('ERROR_ALL_FRAMES_FAILED')
    assert 'the first failed by KohnShamConvergenceError: Did not converge! See the docs.' in node.exit_message
    assert 'dataset' not in outputs
    assert outputs['results']['n_failed'] == (1 if limit == 0 else 4)


SLOW = {'calculator': 'tests.engine.label_calculators:Slow', 'allow_any_calculator': True}


def test_wall_time(parse):
    outputs, node = parse({**SLOW, 'parameters': {'seconds': 0.2}}, n_frames=40, max_seconds=0.9)
    assert node.exit_status == code('ERROR_OUT_OF_WALLTIME')
    done = outputs['dataset'].n_frames
    assert 0 < done <= 5
    assert f'{done} of 40 frames labelled' in node.exit_message
    assert outputs['results']['n_left'] == 40 - done


def test_wall_time_before_the_first_frame(parse):
    outputs, node = parse({**SLOW, 'parameters': {'seconds': 60}}, max_seconds=0.3)
    assert node.exit_status == code('ERROR_INTERRUPTED_EARLY')
    assert outputs['results']['n_labelled'] == 0


REFUSES = {**SLOW, 'calculator': 'tests.engine.label_calculators:refuses', 'parameters': {'no': 1}}


def killed(folder):
    """Leave what a killed job leaves."""
    (folder / STATUS_FILE).unlink()
    lines = (folder / files.LABELS_FILE).read_bytes().splitlines(keepends=True)
    (folder / files.LABELS_FILE).write_bytes(b''.join(lines[:3]) + lines[3][:20])


def test_killed(parse):
    outputs, node = parse(change=killed)
    assert node.exit_status == code('ERROR_INTERRUPTED')
    assert '2 of 4 frames' in node.exit_message
    assert outputs['dataset'].frames().origins == ('md:0', 'md:10')


@pytest.mark.parametrize(
    ('settings', 'job', 'name', 'message'),
    [
        ({'calculator': 'no_package:X', 'allow_any_calculator': True}, {}, 'ERROR_PACKAGE_MISSING', 'pip install no_p'),
        (REFUSES, {}, 'ERROR_CALCULATOR_REFUSED', "refuses its parameters: TypeError: unexpected ['no']"),
        (None, {'threads': 0}, 'ERROR_SETTINGS_REFUSED', '`threads` is 0'),
    ],
)
def test_engine_errors(parse, settings, job, name, message):
    _, node = parse(settings, **job)
    assert node.exit_status == code(name)
    assert message in node.exit_message


def test_error_of_the_engine(parse):
    status = {'exit_code': 1, 'message': 'OSError: disk full'}
    outputs, node = parse(change=lambda folder: (folder / STATUS_FILE).write_text(json.dumps(status)))
    assert node.exit_status == code('ERROR_ENGINE_FAILED')
    assert outputs['dataset'].n_frames == 4


def test_model_that_is_not_trusted(parse):
    status = {'exit_code': 53, 'message': 'the mace model potential.0 is not loaded: it names `os.system`'}
    _, node = parse(change=lambda folder: (folder / STATUS_FILE).write_text(json.dumps(status)))
    assert node.exit_status == code('ERROR_MODEL_NOT_TRUSTED')
    assert 'could run code: the mace model potential.0' in node.exit_message


def nothing(folder):
    for path in folder.iterdir():
        path.unlink()


def test_no_output(parse):
    assert parse(change=nothing)[1].exit_status == code('ERROR_OUTPUT_MISSING')


def test_nothing_retrieved(parse):
    assert parse(missing_folder=True)[1].exit_status == code('ERROR_OUTPUT_MISSING')


@pytest.mark.parametrize(
    'content',
    [
        b'hello\n',
        b'{"reference": "another"}\n',
        b'{"reference": "%s"}\n{"frame": 0, "energy": 1}\n' % REFERENCE.encode(),
        b'{"reference": "%s"}\n{"frame": 99, "energy": 1, "forces": []}\n' % REFERENCE.encode(),
        b'{"reference": "%s"}\n{"energy": 1}\n' % REFERENCE.encode(),
        b'{"reference": "%s"}\n{"frame": 0, "energy": NaN, "forces": [[0,0,0],[0,0,0]]}\n' % REFERENCE.encode(),
    ],
)
def test_unreadable_labels(parse, content):
    _, node = parse(change=lambda folder: (folder / files.LABELS_FILE).write_bytes(content))
    assert node.exit_status == code('ERROR_OUTPUT_UNREADABLE')


def test_every_exit_code_has_a_test():
    from pathlib import Path

    text = Path(__file__).read_text()
    own = [name for name in LabelCalculation.exit_codes if LabelCalculation.exit_codes[name].status >= 300]
    assert [name for name in own if f"'{name}'" not in text] == []
