"""The labelling workchain: inputs that are refused, and runs by `hdiff-engine`, failed and continued."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_hdiff.calculations.label import LabelCalculation
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.model_trust import trust_calculator
from aiida_hdiff.engine.label_settings import LabelSettings
from aiida_hdiff.formats.configurations import Configurations
from aiida_hdiff.workflows.label import LabelWorkChain
from aiida_hdiff.workflows.label_inputs import label_reference_of
from tests.conftest import executable

EMT_SETTINGS = {'calculator': 'emt'}
REFERENCE = LabelSettings('emt').reference()
INCAR = {'ENCUT': 300, 'EDIFF': 1e-6, 'GGA': 'PE', 'ISMEAR': 0, 'SIGMA': 0.1}


def own(name, **parameters):
    calculator = f'tests.engine.label_calculators:{name}'
    return {'calculator': calculator, 'allow_any_calculator': True, 'parameters': parameters}


@pytest.fixture(autouse=True)
def trusted_calculators(aiida_profile):
    for name in ('Moody', 'NoStress', 'Slow', 'refuses'):
        trust_calculator(f'tests.engine.label_calculators:{name}')
    trust_calculator('no_package:X')


@pytest.fixture
def inputs(fake_code, generate_configurations):
    """Give a factory of valid inputs for `hdiff-engine`."""

    def factory(**changes):
        values = {
            'code': fake_code('hdiff.label'),
            'frames': generate_configurations(),
            'settings': orm.Dict(EMT_SETTINGS),
        }
        return {name: value for name, value in {**values, **changes}.items() if value is not None}

    return factory


@pytest.fixture
def vasp_inputs(fake_code, generate_configurations, fake_potcars):
    """Give a factory of valid inputs for VASP."""

    def factory(*, vasp=None, **changes):
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([2, 2, 2])
        settings = {'parameters': orm.Dict(INCAR), 'kpoints': kpoints, 'potcars': fake_potcars(('Cu', 'H'))}
        settings = {name: value for name, value in {**settings, **(vasp or {})}.items() if value is not None}
        values = {'code': fake_code('vasp.vasp'), 'frames': generate_configurations(), 'vasp': settings}
        return {**values, **changes}

    return factory


def test_valid_inputs(error_of, inputs, generate_dataset):
    assert error_of('hdiff.label', inputs()) is None
    assert error_of('hdiff.label', inputs(frames=generate_dataset())) is None
    labelled = generate_dataset(2, reference=REFERENCE)
    assert error_of('hdiff.label', inputs(previous=labelled, training=labelled)) is None


def test_inputs_that_are_refused(error_of, inputs, fake_code, generate_dataset, generate_potential):
    def error(**changes):
        return error_of('hdiff.label', inputs(**changes))

    assert '`settings` is missing: give the calculator' in error(settings=None)
    assert '`settings`: unknown setting `calc`' in error(settings=orm.Dict({'calc': 1}))
    assert "is set up for 'hdiff.lammps_md': give a code whose" in error(code=fake_code('hdiff.lammps_md'))
    assert 'reads no model file: leave it out' in error(potential=generate_potential('mace', elements=('Cu', 'H')))
    assert '`previous` was labelled with other, but these settings are emt-' in error(
        previous=generate_dataset(2, reference='other')
    )
    assert '`training` was labelled with unknown settings' in error(training=generate_dataset(2, reference=''))
    assert '`previous` has none of `frames`' in error(previous=generate_dataset(2, seed=9, reference=REFERENCE))
    assert 'there is nothing left to label' in error(previous=generate_dataset(4, reference=REFERENCE))
    assert '0 is given: give a whole number of at least 1' in error(batch_size=orm.Int(0))
    assert '0 is given' in error(max_concurrent=0)
    assert '`vasp` is given, but `code` is `hdiff-engine`' in error(vasp={'parameters': orm.Dict(INCAR)})


def test_inputs_of_vasp_that_are_refused(
    error_of, vasp_inputs, generate_configurations, generate_dataset, fake_potcars
):
    def error(**changes):
        return error_of('hdiff.label', vasp_inputs(**changes))

    assert error() is None
    training = {**INCAR, 'ml_lmlff': True, 'ML_MODE': 'train', 'NSW': 1000, 'TEBEG': 300, 'NCORE': 4}
    assert error(vasp={'parameters': orm.Dict(training)}) is None
    assert '`settings` is given, but it belongs to `hdiff-engine`' in error(settings=orm.Dict(EMT_SETTINGS))
    assert '`vasp.kpoints` is missing: give that of the training stages' in error(vasp={'kpoints': None})
    assert '`ENCUT` is missing' in error(vasp={'parameters': orm.Dict({'EDIFF': 1e-6})})
    assert '`ENCTU` is no known INCAR tag: did you mean `ENCUT`?' in error(vasp={'parameters': orm.Dict({'ENCTU': 1})})
    assert '`KSPACING` and `KGAMMA`' in error(vasp={'parameters': orm.Dict({**INCAR, 'KSPACING': 0.2})})
    potcars = fake_potcars(('Cu', 'H'))
    assert 'has no POTCAR for H of `frames`' in error(vasp={'potcars': {'Cu': potcars['Cu']}})
    assert '`vasp.potcars.H` is the POTCAR of Cu' in error(vasp={'potcars': {'Cu': potcars['Cu'], 'H': potcars['Cu']}})
    frames = generate_configurations().frames()
    open_frames = ConfigurationsData(replace(frames, pbc=np.array([[True] * 3, [True, True, False]] * 2)))
    assert 'frame 1 of `frames` is not periodic' in error(frames=open_frames)
    assert '`training` was labelled with vasp:0, but these settings are vasp:' in error(
        training=generate_dataset(2, reference='vasp:0')
    )


def test_settings_of_vasp_are_compared_with_the_training(error_of, vasp_inputs, generate_dataset):
    """Tags of the dynamics do not count; the cutoff, the k-points and the POTCARs do."""
    training = {**INCAR, 'ML_LMLFF': True, 'NSW': 1000, 'SYSTEM': 'hot', 'GGA': 'pe'}
    reference = label_reference_of(vasp_inputs(vasp={'parameters': orm.Dict(training)}))
    dataset = generate_dataset(2, seed=8, reference=reference)
    assert error_of('hdiff.label', vasp_inputs(training=dataset)) is None
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh([2, 2, 3])
    for change in ({'parameters': orm.Dict({**INCAR, 'ENCUT': 350})}, {'kpoints': kpoints}):
        assert 'cannot be mixed' in error_of('hdiff.label', vasp_inputs(training=dataset, vasp=change))


@pytest.fixture
def run(aiida_code_installed, aiida_profile):
    """Give a function that runs the workchain with the installed engine."""

    def factory(frames, settings, **changes):
        code = aiida_code_installed(
            default_calc_job_plugin='hdiff.label', filepath_executable=executable('hdiff-engine')
        )
        environment = {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[2])}
        options = {'environment_variables': environment, **changes.pop('options', {})}
        workchain = WorkflowFactory('hdiff.label')
        return run_get_node(workchain, code=code, frames=frames, settings=settings, options=options, **changes)

    return factory


def child_jobs(node):
    return {link.link_label: link.node for link in node.base.links.get_outgoing(node_class=orm.CalcJobNode).all()}


@pytest.mark.integration
def test_one_job(run, generate_dataset):
    """All frames in one job; the labels are those of the calculator, in the order of the frames."""
    dataset = generate_dataset(6)
    results, node = run(ConfigurationsData(Configurations.from_labelled(dataset.frames())), EMT_SETTINGS)
    assert node.is_finished_ok, node.exit_message
    assert set(child_jobs(node)) == {'batch_000'}
    for name in ('energies', 'forces', 'stresses'):
        np.testing.assert_allclose(
            getattr(results['dataset'].frames(), name), getattr(dataset.frames(), name), atol=1e-12
        )
    assert results['dataset'].frames().origins == dataset.frames().origins
    assert results['results'].get_dict() == {
        'n_frames': 6, 'n_labelled': 6, 'reference': REFERENCE, 'n_failed': 0, 'failures': [], 'n_jobs': 1,
        'n_rounds': 1, 'emulated': False,
    }  # fmt: skip
    assert not Path(child_jobs(node)['batch_000'].outputs.remote_folder.get_remote_path(), 'label.json').exists()


@pytest.mark.integration
def test_batches_with_failures(run, generate_dataset):
    """Unconverged frames are recorded; labels of another set come without their old labels."""
    frames = generate_dataset(8, reference='old')
    results, node = run(frames, own('Moody', fails_for=[3]), batch_size=3, max_concurrent=2)
    assert node.is_finished_ok, node.exit_message
    jobs = child_jobs(node)
    assert {label: job.inputs.frames.n_frames for label, job in jobs.items()} == {
        'batch_000': 3, 'batch_001': 3, 'batch_002': 2,
    }  # fmt: skip
    assert results['results']['failures'] == [
        {
            'frame': frame,
            'origin': f'md:{10 * frame}',
            'reason': 'KohnShamConvergenceError: Did not converge! See the docs.',
        }
        for frame in (1, 5)
    ]
    assert results['dataset'].frames().origins == tuple(f'md:{10 * frame}' for frame in (0, 2, 3, 4, 6, 7))
    assert results['results']['n_jobs'] == 3
    assert len(results['dataset'].references) == 1
    assert results['dataset'].references != ['old']


@pytest.mark.integration
def test_stopped_jobs_are_continued_frame_by_frame(run, generate_configurations):
    options = {'max_wallclock_seconds': 12}
    results, node = run(generate_configurations(12), own('Slow', seconds=1.0), options=options)
    assert node.is_finished_ok, node.exit_message
    jobs = child_jobs(node)
    assert jobs['batch_000'].exit_status == LabelCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status
    assert results['results']['n_rounds'] > 1
    assert results['results']['n_labelled'] == 12
    assert sum(job.outputs.dataset.n_frames for job in jobs.values() if 'dataset' in job.outputs) == 12


@pytest.mark.integration
def test_frames_that_never_end_are_given_up(run, generate_configurations):
    options = {'max_wallclock_seconds': 3}
    results, node = run(generate_configurations(1), own('Slow', seconds=60), options=options)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_ALL_FRAMES_FAILED.status
    assert results['results']['n_rounds'] == 3
    assert 'interrupted before its first frame' in results['results']['failures'][0]['reason']
    assert 'dataset' not in results


@pytest.mark.integration
def test_too_many_failures_leave_the_labels(run, generate_configurations):
    frames = generate_configurations(8).store()
    settings = own('Moody', fails_for=[2, 3])
    results, node = run(frames, settings, batch_size=4, max_failures=1)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_TOO_MANY_FAILURES.status
    assert '2 frames failed, the first by KohnShamConvergenceError' in node.exit_message
    assert set(child_jobs(node)) == {'batch_000'}
    assert results['dataset'].frames().origins == ('md:20', 'md:30')
    results, node = run(frames, settings, previous=results['dataset'])
    assert node.is_finished_ok, node.exit_message
    assert results['dataset'].frames().origins == tuple(f'md:{10 * frame}' for frame in (2, 3, 6, 7))
    assert child_jobs(node)['batch_000'].inputs.frames.n_frames == 6


@pytest.mark.integration
@pytest.mark.parametrize(
    ('settings', 'name'),
    [
        ({'calculator': 'no_package:X', 'allow_any_calculator': True}, 'ERROR_PACKAGE_MISSING'),
        (own('refuses', a=1), 'ERROR_CALCULATOR_REFUSED'),
        (own('NoStress'), 'ERROR_SETTINGS_REFUSED'),
    ],
)
def test_calculators_that_cannot_be_made(run, generate_configurations, settings, name):
    results, node = run(generate_configurations(2), settings)
    assert node.exit_status == LabelWorkChain.exit_codes[name].status
    assert results['results']['n_jobs'] == 1
    assert isinstance(results['results'], orm.Dict)


def test_model_that_the_engine_refuses(generate_workchain, inputs):
    process = generate_workchain('hdiff.label', inputs())
    process.setup()
    process.ctx.fatal = {'status': LabelCalculation.exit_codes.ERROR_MODEL_NOT_TRUSTED.status, 'message': 'refused'}
    assert not process.has_frames_left()
    code = process.results()
    assert (code.status, code.message) == (LabelWorkChain.exit_codes.ERROR_MODEL_NOT_TRUSTED.status, 'refused')


def test_classes_need_the_word_in_this_profile(inputs, error_of):
    settings = orm.Dict({'calculator': 'subprocess:Popen', 'allow_any_calculator': True, 'parameters': {'args': 'ls'}})
    assert 'trust-calculator subprocess:Popen' in error_of('hdiff.label', inputs(settings=settings))


def test_every_exit_code_has_a_test():
    text = Path(__file__).read_text() + (Path(__file__).parents[1] / 'integration' / 'test_label_vasp.py').read_text()
    own_codes = [name for name in LabelWorkChain.exit_codes if LabelWorkChain.exit_codes[name].status >= 300]
    assert [name for name in own_codes if name not in text] == []
