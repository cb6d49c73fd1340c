"""Molecular dynamics with a force field of VASP through AiiDA, run by the stand-in, which is not VASP."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, WorkflowFactory

from tests.conftest import executable, nickel_hydride
from tests.integration.standin import train_force_field
from tests.vasp_fixtures import POTCAR_MARKER

pytest.importorskip('aiida_vasp')
pytest.importorskip('matscipy')
pytestmark = pytest.mark.integration

ATOMS = nickel_hydride(2, 2)
PARAMETERS = {
    'ensemble': 'nve', 'temperature_K': 500.0, 'steps': 120, 'timestep_fs': 0.5, 'output_interval': 10, 'seed': 5,
}  # fmt: skip


@pytest.fixture(scope='module')
def force_field_file(tmp_path_factory, setfl_path):
    folder = tmp_path_factory.mktemp('force_field')
    return train_force_field(folder, executable('hdiff-vasp-standin'), ATOMS, f'eam:{setfl_path}')


@pytest.fixture
def force_field(force_field_file):
    from aiida_hdiff.data.potential import PotentialData

    return PotentialData.from_vasp_mlff(force_field_file)


@pytest.fixture
def md_inputs(vasp_code, generate_structure, fake_potcars, force_field, setfl_path):
    """Give a factory of the inputs of a job or a stage."""

    def factory(**parameters):
        return {
            'code': vasp_code(),
            'structure': generate_structure(atoms=ATOMS),
            'potential': force_field,
            'potcars': fake_potcars(),
            'parameters': orm.Dict({**PARAMETERS, **parameters}),
        }

    return factory


def options(setfl_path, **environment):
    values = {'HDIFF_STANDIN_REFERENCE': f'eam:{setfl_path}', 'OMP_NUM_THREADS': '1', **environment}
    return {'environment_variables': values}


@pytest.mark.parametrize('ensemble', ['npt', 'nvt', 'nve'])
def test_every_ensemble(md_inputs, setfl_path, ensemble):
    inputs = md_inputs(ensemble=ensemble, steps=60)
    results, node = run_get_node(
        CalculationFactory('hdiff.vasp_md'), **inputs, metadata={'options': options(setfl_path)}
    )
    assert node.exit_status == 0, node.exit_message
    summary = results['results'].get_dict()
    assert summary['emulated'] is True
    assert node.base.extras.get('emulated') is True
    assert (summary['last_step'], summary['n_frames'], summary['steps_per_s']) == (60, 6, None)
    with results['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [10, 20, 30, 40, 50, 60]
        lengths = np.linalg.norm(reader.cells, axis=2)
        kinetic = reader.observable('kinetic_energy')
        assert 50.0 < reader.observable('temperature').mean() < 1000.0
    assert np.all(kinetic > 0)
    assert (np.ptp(lengths) > 1e-4) == (ensemble == 'npt')
    np.testing.assert_allclose(lengths, lengths[:, :1].repeat(3, axis=1), rtol=1e-6)
    state = results['final_state']
    assert (state.lattice_velocities is not None) == (ensemble == 'npt')
    assert not [name for name in node.base.repository.list_object_names() if name in ('POTCAR', 'ML_FF')]
    assert POTCAR_MARKER.encode() not in b''.join(
        folder.base.repository.get_object_content(name, 'rb')
        for folder in (node, results['retrieved'])
        for name in folder.base.repository.list_object_names()
        if folder.base.repository.get_object(name).file_type.name == 'FILE'
    )


def test_a_run_survives_a_stop_between_frames_and_a_kill(md_inputs, setfl_path, tmp_path):
    control = tmp_path / 'control'
    control.mkdir()
    inputs = md_inputs()
    reference, node = run_get_node(
        CalculationFactory('hdiff.vasp_md'), **inputs, metadata={'options': options(setfl_path)}
    )
    assert node.exit_status == 0, node.exit_message
    (control / 'stop-at-step-33').touch()
    (control / 'crash-at-step-44').write_text('NSW = 80\n')
    results, stage = run_get_node(
        WorkflowFactory('hdiff.md_stage'),
        **inputs,
        options=options(setfl_path, HDIFF_STANDIN_CONTROL=str(control)),
        clean_workdir=orm.Bool(False),
    )
    assert stage.exit_status == 0, stage.exit_message
    jobs = sorted((job for job in stage.called if isinstance(job, orm.CalcJobNode)), key=lambda job: job.pk)
    assert [job.exit_status for job in jobs] == [400, 404, 401, 0]
    steps = [job.outputs.final_state.step for job in jobs]
    assert steps == [33, 40, 80, 120]
    with results['trajectory'].reader() as found, reference['trajectory'].reader() as expected:
        assert found.steps.tolist() == expected.steps.tolist() == list(range(10, 121, 10))
        np.testing.assert_allclose(found.positions(), expected.positions(), atol=2e-4)
        total = found.observable('potential_energy') + found.observable('kinetic_energy')
    assert np.ptp(total) < 0.02


def test_vasp_ends_by_itself_before_the_wall_time(md_inputs, setfl_path):
    inputs = md_inputs(steps=1_000_000, ensemble='nvt', temperature_K=50.0, thermostat_time_fs=20.0)
    limits = {**options(setfl_path), 'max_wallclock_seconds': 16}
    results, node = run_get_node(CalculationFactory('hdiff.vasp_md'), **inputs, metadata={'options': limits})
    assert node.exit_status == 400, node.exit_message
    state = results['final_state']
    assert state.step > 100
    assert f'The wall time ended at step {state.step} of 1000000' in node.exit_message
    with results['trajectory'].reader() as reader:
        assert reader.steps[-1] == state.step - state.step % 10


@pytest.mark.slow
def test_a_diffusivity_through_all_stages(md_inputs, setfl_path, tmp_path):
    from aiida_hdiff.workflows.diffusivity import DiffusivityWorkChain

    inputs = md_inputs()
    for uploaded in tmp_path.rglob('POTCAR'):
        uploaded.unlink()
    overrides = {
        'allow_small_cell': True, 'timestep_fs': 0.5,
        'npt': {'time_ps': 0.05, 'output_interval_fs': 5.0},
        'nvt': {'time_ps': 0.1, 'output_interval_fs': 5.0},
        'nve': {'time_ps': 0.3, 'output_interval_fs': 1.0},
        'analysis': {'window_ps': [0.005, 0.03]},
        'gate': {'temperature_tolerance_K': 400.0, 'drift_limit_meV_per_atom_per_ns': 1e5},
    }  # fmt: skip
    builder = DiffusivityWorkChain.get_builder_from_protocol(
        inputs['structure'], inputs['potential'], inputs['code'], 300.0,
        protocol='fast', overrides=overrides, options=options(setfl_path), potcars=inputs['potcars'],
    )  # fmt: skip
    results, node = run_get_node(builder)
    assert node.exit_status == 0, node.exit_message
    assert results['trajectory'].n_frames == 300
    stages = {child.base.attributes.get('process_label'): child for child in node.called}
    assert 'MDStageWorkChain' in stages
    start = next(child for child in node.called if child.process_label == 'mean_energy_state').outputs.result
    assert start.base.attributes.get('velocities_from') == 'maxwell'
    momentum = (ATOMS.get_masses()[:, None] * start.velocities).sum(axis=0)
    np.testing.assert_allclose(momentum, 0.0, atol=1e-12)
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    assert len(jobs) == 3
    assert all(job.base.extras.get('emulated') for job in jobs)
    assert not list(files_with(POTCAR_MARKER, exported(node, tmp_path)))
    assert all(list(files_with('RANDOM_SEED', tmp_path / part)) for part in ('archive', 'dump'))


def exported(node, folder):
    """Export an archive and dump the process, and return the folder with both, unpacked."""
    from zipfile import ZipFile

    from aiida.tools.archive import create_archive

    create_archive([node], filename=folder / 'study.aiida')
    with ZipFile(folder / 'study.aiida') as archive:
        archive.extractall(folder / 'archive')
    (folder / 'study.aiida').unlink()
    node.dump(output_path=folder / 'dump', include_inputs=True, include_outputs=True)
    return folder


def files_with(text, folder):
    return (path for path in folder.rglob('*') if path.is_file() and text.encode() in path.read_bytes())
