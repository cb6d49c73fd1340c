"""The job that compares a potential with labels: its inputs, and the files it writes."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import evaluate as files
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.evaluate import EvaluateInput
from aiida_hdiff.engine.label_input import read_configurations
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.configurations import structure_keys
from tests.model_files import hostile_model


@pytest.fixture
def inputs(fake_code, generate_dataset, generate_potential):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {
            'code': fake_code('hdiff.evaluate'),
            'dataset': generate_dataset(),
            'potential': generate_potential('emt', elements=('Cu', 'H')),
        }
        return {**values, **changes}

    return factory


def error_of(values):
    """Return what submitting would say."""
    port = CalculationFactory('hdiff.evaluate').spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def test_valid_inputs(inputs, generate_potential):
    assert error_of(inputs()) is None
    for kind in ('lammps', 'mace', 'chgnet', 'lennard_jones'):
        assert error_of(inputs(potential=generate_potential(kind, elements=('Cu', 'H')))) is None, kind
    settings = orm.Dict({'n_worst': 3, 'stress': False, 'max_failures': 2})
    assert error_of(inputs(settings=settings)) is None


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'worst': 3}, 'unknown setting `worst`: known are stress, n_worst, max_failures'),
        ({'stress': 1}, '`stress` is 1: give true or false'),
        ({'n_worst': -1}, '`n_worst` is -1: give a whole number of at least 0'),
        ({'max_failures': 0.5}, '`max_failures` is 0.5'),
    ],
)
def test_settings_that_are_refused(inputs, settings, message):
    assert message in error_of(inputs(settings=orm.Dict(settings)))


def test_potentials_that_are_refused(inputs, generate_potential):
    assert '`potential` does not cover Cu of `dataset`' in error_of(
        inputs(potential=generate_potential('emt', elements=('Ni', 'H')))
    )
    vasp = PotentialData(architecture='vasp-mlff', elements=('Cu', 'H'), files=[b'x'])
    assert 'the output `regression` of `hdiff.vasp_mlff`' in error_of(inputs(potential=vasp))
    hostile = PotentialData(architecture='mace', elements=('Cu', 'H'), files=[hostile_model()])
    assert 'system' in error_of(inputs(potential=hostile))


def test_sets_of_several_levels_are_refused(inputs, generate_dataset):
    parts = [generate_dataset(2, reference=name).frames() for name in ('pbe', 'r2scan')]
    mixed = LabelledDataset(LabelledFrames.concatenate(parts))
    assert '`dataset` has labels of 2 levels (pbe, r2scan)' in error_of(inputs(dataset=mixed))


def test_job(generate_calc_job, inputs, file_regression, monkeypatch):
    values = inputs()
    folder, info = generate_calc_job('hdiff.evaluate', values)
    assert {path.name for path in folder.iterdir()} == {files.INPUT_FILE, files.FRAMES_FILE}
    assert info.provenance_exclude_list == [files.FRAMES_FILE]
    assert info.retrieve_list == ['engine.out', 'status.json', 'progress.json']
    assert info.retrieve_temporary_list == ['labels.jsonl']
    (code,) = info.codes_info
    assert code.cmdline_params == ['evaluate', 'evaluate.json']
    file_regression.check((folder / files.INPUT_FILE).read_text(), basename='evaluate_input')
    job = EvaluateInput.from_dict(json.loads((folder / files.INPUT_FILE).read_text()))
    assert (job.potential.architecture, job.stress, job.max_failures) == ('emt', True, 0)
    monkeypatch.chdir(folder)
    assert structure_keys(read_configurations(job.frames)) == structure_keys(values['dataset'].frames())


def test_job_of_a_pair_style(generate_calc_job, inputs, generate_potential):
    model = generate_potential('lammps', elements=('H', 'Ni', 'Cu'), pair_coeff=['* * 0.5 2.2']).store()
    folder, _ = generate_calc_job('hdiff.evaluate', inputs(potential=model))
    potential = json.loads((folder / files.INPUT_FILE).read_text())['potential']
    assert potential == {
        'architecture': 'lammps',
        'file': None,
        'options': {'commands': ['pair_style lj/cut 4.0', 'pair_coeff * * 0.5 2.2'], 'elements': ['H', 'Cu']},
    }


def test_job_with_a_model(generate_calc_job, inputs, generate_potential):
    model = generate_potential('mace', elements=('Cu', 'H'), options={'dtype': 'float32'}).store()
    options = {'max_wallclock_seconds': 1000, 'environment_variables': {'OMP_NUM_THREADS': '4'}}
    folder, info = generate_calc_job(
        'hdiff.evaluate', inputs(potential=model, settings=orm.Dict({'stress': False}), metadata={'options': options})
    )
    assert info.local_copy_list == [(model.uuid, 'potential.0', 'potential.0')]
    settings = json.loads((folder / files.INPUT_FILE).read_text())
    assert settings['potential'] == {'architecture': 'mace', 'file': 'potential.0', 'options': {'dtype': 'float32'}}
    assert (settings['threads'], settings['max_seconds'], settings['stress']) == (4, 950, False)
    assert settings['reference'] == f'mace-{model.sha256[:16]}'


def test_no_stress_is_predicted_for_sets_without(generate_calc_job, inputs, generate_dataset):
    from dataclasses import replace

    frames = generate_dataset().frames()
    bare = LabelledDataset(replace(frames, stresses=np.full((len(frames), 6), np.nan)))
    folder, _ = generate_calc_job('hdiff.evaluate', inputs(dataset=bare))
    assert json.loads((folder / files.INPUT_FILE).read_text())['stress'] is False


def test_equal_jobs_have_equal_hashes(generate_process, inputs):
    def job_hash(**changes):
        values = inputs(**changes)
        return generate_process(CalculationFactory('hdiff.evaluate'), values).node.base.caching.compute_hash()

    code = inputs()['code'].store()
    assert job_hash(code=code) == job_hash(code=code)
    assert job_hash(code=code) != job_hash(code=code, settings=orm.Dict({'n_worst': 1}))
