"""The labelling job: its inputs, and the files it writes."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import label as files
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.engine.label_input import LabelInput, read_configurations
from aiida_hdiff.engine.label_settings import LabelSettings
from aiida_hdiff.formats.configurations import structure_keys

EMT = {'calculator': 'emt'}
REFERENCE = LabelSettings('emt').reference()


@pytest.fixture
def inputs(fake_code, generate_configurations):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {'code': fake_code('hdiff.label'), 'frames': generate_configurations(), 'settings': orm.Dict(EMT)}
        return {**values, **changes}

    return factory


def error_of(values):
    """Return what submitting would say."""
    port = CalculationFactory('hdiff.label').spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def test_valid_inputs(inputs, generate_potential, generate_dataset):
    assert error_of(inputs()) is None
    assert error_of(inputs(settings=orm.Dict({'calculator': 'chgnet'}))) is None
    model = generate_potential('mace', elements=('Cu', 'H'))
    assert error_of(inputs(settings=orm.Dict({'calculator': 'mace'}), potential=model)) is None
    assert error_of(inputs(previous=LabelledDataset(generate_dataset(2, reference=REFERENCE).frames()))) is None


def test_settings_are_checked_before_submission(inputs):
    assert 'unknown setting `calc`' in error_of(inputs(settings=orm.Dict({'calc': 'emt'})))
    assert 'only imported with `allow_any_calculator: true`' in error_of(
        inputs(settings=orm.Dict({'calculator': 'os:system'}))
    )


@pytest.mark.parametrize(
    ('calculator', 'kind', 'options', 'message'),
    [
        ('mace', None, {}, '`potential` is missing: give the model of the calculator `mace`'),
        ('emt', 'mace', {}, "`potential` is given, but the calculator 'emt' reads no model file: leave it out"),
        ('chgnet', 'mace', {}, "`potential` is of the architecture 'mace', not 'chgnet' as `calculator` says"),
        ('mace', 'mace', {'elements': ('Ni', 'H')}, '`potential` does not cover Cu of `frames`'),
    ],
)
def test_potentials_that_do_not_fit(inputs, generate_potential, calculator, kind, options, message):
    potential = {} if kind is None else {'potential': generate_potential(kind, **{'elements': ('Cu', 'H'), **options})}
    assert message in error_of(inputs(settings=orm.Dict({'calculator': calculator}), **potential))


def test_previous_sets_that_do_not_fit(inputs, generate_dataset):
    assert (
        f'`previous` was labelled with other, but these settings are {REFERENCE}: labels of different settings cannot'
        in error_of(inputs(previous=generate_dataset(2, reference='other')))
    )
    assert '`previous` has 2 frames, but only 0 of them are in `frames`' in error_of(
        inputs(previous=generate_dataset(2, seed=8, reference=REFERENCE))
    )
    assert '`previous` has all of `frames`: there is nothing left to label' in error_of(
        inputs(previous=generate_dataset(4, reference=REFERENCE))
    )


def test_job(generate_calc_job, inputs, file_regression):
    folder, info = generate_calc_job('hdiff.label', inputs())
    assert {path.name for path in folder.iterdir()} == {files.INPUT_FILE, files.FRAMES_FILE}
    assert info.provenance_exclude_list == [files.FRAMES_FILE]
    assert info.retrieve_list == ['engine.out', 'status.json', 'progress.json']
    assert info.retrieve_temporary_list == ['labels.jsonl']
    assert info.local_copy_list == []
    (code,) = info.codes_info
    assert code.cmdline_params == ['label', 'label.json']
    file_regression.check((folder / files.INPUT_FILE).read_text(), basename='label_input')


def test_the_engine_reads_what_the_job_writes(generate_calc_job, inputs, generate_dataset, monkeypatch):
    values = inputs()
    frames = generate_dataset(4, reference=REFERENCE).frames()
    folder, _ = generate_calc_job('hdiff.label', {**values, 'previous': LabelledDataset(frames.select([3, 1]))})
    job = LabelInput.from_dict(json.loads((folder / files.INPUT_FILE).read_text()))
    assert job.skip == {1, 3}
    assert job.reference == REFERENCE
    monkeypatch.chdir(folder)
    found = read_configurations(job.frames)
    assert structure_keys(found) == structure_keys(values['frames'].frames())


def test_job_with_a_model(generate_calc_job, inputs, generate_potential):
    model = generate_potential('mace', elements=('Cu', 'H')).store()
    values = inputs(settings=orm.Dict({'calculator': 'mace'}), potential=model)
    folder, info = generate_calc_job('hdiff.label', values)
    assert info.local_copy_list == [(model.uuid, 'potential.0', 'potential.0')]
    settings = json.loads((folder / files.INPUT_FILE).read_text())
    assert settings['model'] == 'potential.0'
    assert settings['reference'] == LabelSettings('mace').reference(model.sha256)


def test_equal_jobs_have_equal_hashes(generate_process, inputs):
    def job_hash(**changes):
        values = inputs(**changes)
        return generate_process(CalculationFactory('hdiff.label'), values).node.base.caching.compute_hash()

    code = inputs()['code'].store()
    assert job_hash(code=code) == job_hash(code=code)
    assert job_hash(code=code) != job_hash(code=code, settings=orm.Dict({**EMT, 'stress': False}))


def test_threads_and_wall_time_follow_the_options(generate_calc_job, inputs):
    options = {'max_wallclock_seconds': 1000, 'environment_variables': {'OMP_NUM_THREADS': '4'}}
    folder, _ = generate_calc_job('hdiff.label', inputs(metadata={'options': options}))
    settings = json.loads((folder / files.INPUT_FILE).read_text())
    assert (settings['threads'], settings['max_seconds']) == (4, 950)
    assert np.load(folder / files.FRAMES_FILE)['cells'].shape == (4, 3, 3)
