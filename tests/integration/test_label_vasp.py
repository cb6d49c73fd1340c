"""Labels by static calculations of the stand-in, which emulates VASP: in batches, failed, killed and continued.

The numbers are those of a reference potential, not of VASP.
"""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_hdiff.calculations.datasets import frames_from_dataset, merge_datasets
from aiida_hdiff.workflows.label import LabelWorkChain
from aiida_hdiff.workflows.label_inputs import label_reference_of
from tests.vasp_fixtures import POTCAR_MARKER

pytestmark = pytest.mark.integration

INCAR = {'ENCUT': 300, 'EDIFF': 1e-6, 'GGA': 'PE', 'ISMEAR': 0, 'SIGMA': 0.1, 'NELM': 30}


@pytest.fixture
def run(vasp_code, fake_potcars, tmp_path):
    """Give a function that runs the workchain on the stand-in; ``faults`` are files of its control folder."""
    code = vasp_code('hdiff.vasp_label')
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh([2, 2, 2])
    control = tmp_path / 'control'
    control.mkdir()

    def factory(frames, *, incar=None, faults=(), **changes):
        for name in faults:
            (control / name).touch()
        environment = {'HDIFF_STANDIN_REFERENCE': 'emt', 'HDIFF_STANDIN_CONTROL': str(control), 'OMP_NUM_THREADS': '1'}
        inputs = {
            'code': code,
            'frames': frames,
            'vasp': {
                'parameters': orm.Dict(incar or INCAR),
                'kpoints': kpoints,
                'potcars': fake_potcars(('Cu', 'H')),
            },
            'options': {'environment_variables': environment},
            'clean_workdir': False,
            **changes,
        }
        results, node = run_get_node(WorkflowFactory('hdiff.label'), **inputs)
        return results, node, {link.link_label: link.node for link in jobs_of(node)}

    return factory


def jobs_of(node):
    return node.base.links.get_outgoing(node_class=orm.CalcJobNode).all()


def assert_emt(dataset):
    """Energies, forces and stresses are EMT's, within the decimals of vasprun.xml."""
    for atoms in dataset.to_ase():
        expected = atoms.copy()
        expected.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), atol=1e-6)
        np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), atol=1e-8)


def test_labels_of_all_frames(run, generate_dataset):
    """Atoms in any order; the reference is that of a training with the same settings; nothing of the POTCARs is kept."""
    frames = generate_dataset(3)
    training = {**INCAR, 'ML_LMLFF': True, 'ML_MODE': 'train', 'IBRION': 0, 'NSW': 100, 'MDALGO': 3, 'LWAVE': True}
    results, node, jobs = run(frames, incar=training, max_concurrent=2)
    assert node.is_finished_ok, node.exit_message
    assert_emt(results['dataset'])
    np.testing.assert_array_equal(results['dataset'].frames().positions, frames.frames().positions)
    assert results['dataset'].frames().origins == frames.frames().origins
    assert set(jobs) == {'frame_00000', 'frame_00001', 'frame_00002'}
    reference = label_reference_of({'code': node.inputs.code, 'vasp': node.inputs.vasp})
    assert results['dataset'].references == [f'emulated-{reference}']
    assert results['results']['emulated'] is True
    assert results['dataset'].base.extras.get('emulated') is True
    job = jobs['frame_00001']
    incar = job.base.repository.get_object_content('INCAR')
    assert 'NSW = 0' in incar
    assert 'ML_' not in incar
    assert 'POTCAR' not in job.base.repository.list_object_names()
    assert set(job.outputs.retrieved.list_object_names()) <= {
        'vasp_output',
        '_scheduler-stdout.txt',
        '_scheduler-stderr.txt',
    }
    for name in job.outputs.retrieved.list_object_names():
        assert POTCAR_MARKER not in job.outputs.retrieved.get_object_content(name)
    assert job.outputs.misc['scf_converged'] is True
    ancestors = orm.QueryBuilder().append(orm.Node, filters={'id': results['dataset'].pk}, tag='d')
    ancestors.append(type(frames), with_descendants='d', filters={'id': frames.pk}, project='id')
    assert set(ancestors.all(flat=True)) == {frames.pk}


def test_frames_that_do_not_converge_are_recorded_and_a_killed_job_is_repeated(run, generate_configurations):
    frames = generate_configurations(3).store()
    results, node, jobs = run(frames, faults=('scf-fail-at-step-1',))
    assert node.is_finished_ok, node.exit_message
    assert {label: job.exit_status for label, job in jobs.items()} == {
        'frame_00000': 413, 'frame_00001': 0, 'frame_00002': 0,
    }  # fmt: skip
    assert results['results']['failures'] == [
        {'frame': 0, 'origin': 'md:0', 'reason': 'The electronic structure did not converge in 30 steps.'}
    ]
    assert 'dataset' not in jobs['frame_00000'].outputs
    assert jobs['frame_00000'].outputs.misc['scf_converged'] is False
    assert_emt(results['dataset'])
    second, node, jobs = run(frames, previous=results['dataset'], faults=('crash-at-step-1',))
    assert node.is_finished_ok, node.exit_message
    assert {label: job.exit_status for label, job in jobs.items()} == {'frame_00000': 402, 'frame_00000_2': 0}
    assert second['results']['n_labelled'] == 3
    assert_emt(second['dataset'])


def test_too_many_failures_start_no_more_jobs(run, generate_configurations):
    faults = ('scf-fail-at-step-1.a', 'scf-fail-at-step-1.b')
    results, node, jobs = run(generate_configurations(4), faults=faults, max_failures=1)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_TOO_MANY_FAILURES.status
    assert len(jobs) == 2
    assert results['results']['n_labelled'] == 0


def test_vasp_that_stops_with_an_error(run, generate_configurations):
    """What VASP prints is the reason; after three jobs the frame is given up."""
    environment = {'HDIFF_STANDIN_REFERENCE': 'no-such-potential'}
    _, node, jobs = run(generate_configurations(1), options={'environment_variables': environment})
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_ALL_FRAMES_FAILED.status
    assert [job.exit_status for job in jobs.values()] == [420, 420, 420]
    assert 'no-such-potential' in node.exit_message


TRAINING = {
    **INCAR, 'ML_LMLFF': True, 'ML_MODE': 'train', 'ML_CTIFOR': 0.005, 'ML_MCONF': 100, 'IBRION': 0, 'NSW': 20,
    'POTIM': 1.0, 'MDALGO': 3, 'ISIF': 2, 'LANGEVIN_GAMMA': [10, 10], 'TEBEG': 300, 'ISYM': 0, 'RANDOM_SEED': '7 0 0',
}  # fmt: skip


def test_labels_fit_to_those_of_a_training_run(run, vasp_code, fake_potcars, generate_structure):
    """Frames of a training run that are labelled again have its reference, energies, forces and stresses."""
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh([2, 2, 2])
    atoms = bulk('Cu', 'fcc', a=3.61, cubic=True)
    atoms.extend(Atoms('H', positions=[[1.8, 0.0, 0.0]]))
    trained, job = run_get_node(
        CalculationFactory('hdiff.vasp_mlff'),
        code=vasp_code('hdiff.vasp_mlff'),
        structure=generate_structure(atoms=atoms),
        parameters=orm.Dict(TRAINING),
        kpoints=kpoints,
        potential=fake_potcars(('Cu', 'H')),
        metadata={'options': {'environment_variables': {'HDIFF_STANDIN_REFERENCE': 'emt', 'OMP_NUM_THREADS': '1'}}},
    )
    assert job.is_finished_ok, job.exit_message
    dataset = trained['dataset']
    assert dataset.n_frames >= 2
    frames = frames_from_dataset(dataset, orm.Dict({'indices': [0, dataset.n_frames - 1]}))
    results, node, _ = run(frames, incar=TRAINING, training=dataset)
    assert node.is_finished_ok, node.exit_message
    found, expected = results['dataset'].frames(), dataset.frames().select([0, -1])
    assert found.references == expected.references
    assert found.origins == expected.origins
    np.testing.assert_allclose(found.energies, expected.energies, atol=1e-6)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-5)
    np.testing.assert_allclose(found.stresses, expected.stresses, atol=1e-7)
    merged = merge_datasets(orm.Dict({'keep_duplicates': True}), a=dataset, b=results['dataset'])
    assert merged['dataset'].references == dataset.references
