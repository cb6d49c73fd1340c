"""Every end of a run with a force field of VASP, from output in the layouts of VASP whose numbers are known."""

import shutil

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from tests.parsers.vasp_md_run import VaspRun
from tests.vasp_fixtures import POTCAR_MARKER

pytest.importorskip('aiida_vasp')

SYMBOLS = ('Ni', 'Ni', 'H')
PARAMETERS = {
    'ensemble': 'nvt', 'temperature_K': 600.0, 'steps': 100, 'timestep_fs': 1.0, 'output_interval': 10, 'seed': 3,
}  # fmt: skip


@pytest.fixture
def parse(generate_calc_job_node, generate_structure, generate_potential, tmp_path):
    """Give a function that parses the output of a run; ``change`` may edit the folder first."""
    from aiida.plugins import ParserFactory
    from ase import Atoms

    from aiida_hdiff.data.md_state import MDState
    from aiida_hdiff.data.potential import PotentialData

    number = iter(range(100))

    def run(output, change=None, first_step=None, start=None, **parameters):
        folder, retrieved = tmp_path / f'run_{next(number)}', tmp_path / f'retrieved_{next(number)}'
        output.write(folder)
        if change is not None:
            change(folder)
        retrieved.mkdir()
        for name in ('vasp_output', 'CONTCAR'):
            if (folder / name).exists():
                shutil.move(folder / name, retrieved)
        atoms = Atoms(SYMBOLS, positions=output.start, cell=output.cell, pbc=True)
        potential = PotentialData(architecture='vasp-mlff', elements=['Ni', 'H'], files=[b'x'], options={'lfast': True})
        inputs = {
            'structure': generate_structure(atoms=atoms),
            'potential': potential,
            'parameters': orm.Dict({**PARAMETERS, **parameters}),
        }
        if first_step is not None:
            positions = output.start if start is None else start
            inputs['checkpoint'] = MDState(
                numbers=atoms.numbers, positions=positions, cell=output.cell, velocities=output.velocities,
                step=first_step, checkpoint=b'x', engine='vasp',
            )  # fmt: skip
        node = generate_calc_job_node(
            'hdiff.vasp_md', inputs, retrieved=retrieved, attributes={'output_filename': 'vasp_output'}
        )
        outputs, parsed = ParserFactory('hdiff.vasp_md').parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )
        parsed.job = node
        return outputs, parsed

    return run


def test_finished(parse):
    run = VaspRun()
    outputs, node = parse(run)
    assert node.exit_status == 0, node.exit_message
    assert outputs['results'].get_dict() == {
        'engine': 'vasp', 'engine_version': '6.4.3', 'steps': 100, 'last_step': 100, 'n_frames': 10, 'finished': True,
        'steps_per_s': 5.0, 'emulated': False, 'energies_from': 'vasprun.xml', 'warnings': [],
    }  # fmt: skip
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == list(range(10, 101, 10))
        assert reader.timestep_fs == 1.0
        assert not reader.has_velocities
        expected = np.array([run.positions_at(step) for step in reader.steps])
        np.testing.assert_allclose(reader.positions(), expected, atol=6e-6)
        values = np.array([run.energy_at(step) for step in reader.steps])
        np.testing.assert_allclose(reader.observable('potential_energy'), values[:, 0], atol=1e-8)
        np.testing.assert_allclose(reader.observable('kinetic_energy'), values[:, 1], atol=1e-8)
        np.testing.assert_allclose(reader.observable('temperature'), 2 * values[:, 1] / (9 * BOLTZMANN_EV_PER_K))
    state = outputs['final_state']
    assert (state.step, state.engine) == (100, 'vasp')
    np.testing.assert_allclose(state.get_array('positions'), run.positions_at(101), atol=1e-12)
    np.testing.assert_allclose(state.velocities, run.velocities)
    assert state.lattice_velocities is None
    assert state.checkpoint.startswith(b'run\n')
    assert 'emulated' not in node.job.base.extras.all


def test_the_temperature_of_an_nve_run_leaves_the_centre_of_mass_out(parse):
    outputs, _ = parse(VaspRun(), ensemble='nve')
    with outputs['trajectory'].reader() as reader:
        kinetic, temperature = reader.observable('kinetic_energy'), reader.observable('temperature')
    np.testing.assert_allclose(temperature, 2 * kinetic / (6 * BOLTZMANN_EV_PER_K))


def test_constant_pressure_hands_the_lattice_velocities_on(parse):
    run = VaspRun(growth=1e-4, wrapped=True)
    outputs, node = parse(run, ensemble='npt')
    assert node.exit_status == 0, node.exit_message
    state = outputs['final_state']
    np.testing.assert_allclose(state.lattice_velocities, 1e-4 * run.cell)
    np.testing.assert_allclose(state.get_array('cell'), run.cell_at(101))
    np.testing.assert_allclose(state.get_array('positions'), run.positions_at(101), atol=1e-9)
    with outputs['trajectory'].reader() as reader:
        np.testing.assert_allclose(reader.cells[-1], run.cell_at(100), atol=1e-6)


@pytest.mark.parametrize('ensemble', ['npt', 'nve'])
def test_the_state_is_the_next_structure_where_contcar_has_two(parse, ensemble):
    run = VaspRun(predictor=True, growth=1e-4 if ensemble == 'npt' else 0.0)
    outputs, node = parse(run, ensemble=ensemble)
    assert node.exit_status == 0, node.exit_message
    state = outputs['final_state']
    np.testing.assert_allclose(state.get_array('positions'), run.positions_at(101), atol=1e-6)
    np.testing.assert_allclose(state.get_array('cell'), run.cell_at(101))
    _, node = parse(VaspRun(predictor=True, stop_at=57), ensemble='nve')
    assert node.exit_message == 'The wall time ended at step 57 of 100; a checkpoint was written.'


def test_a_continued_run_goes_on_in_steps_and_positions(parse):
    run = VaspRun(steps=60, wrapped=True)
    shift = np.array([[0, 1, 0], [-2, 0, 0], [0, 0, 3]]) @ run.cell
    outputs, node = parse(run, first_step=40, start=run.start + shift)
    assert node.exit_status == 0, node.exit_message
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == list(range(50, 101, 10))
        np.testing.assert_allclose(reader.positions()[-1], run.positions_at(60) + shift, atol=6e-6)
    assert outputs['final_state'].step == 100
    np.testing.assert_allclose(outputs['final_state'].get_array('positions'), run.positions_at(61) + shift, atol=1e-9)
    assert outputs['results']['steps_per_s'] == 3.0


def test_stopped_before_the_wall_time_ended(parse):
    run = VaspRun(stop_at=57)
    outputs, node = parse(run)
    assert node.exit_status == 400
    assert node.exit_message == 'The wall time ended at step 57 of 100; a checkpoint was written.'
    assert outputs['final_state'].step == 57
    assert outputs['results']['finished'] is False
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [10, 20, 30, 40, 50]


def test_a_job_between_two_frames_ends_at_the_next(parse):
    run = VaspRun(steps=3, block=3)
    outputs, node = parse(run, first_step=57)
    assert node.exit_status == 404
    assert node.exit_message == 'The job ran up to the next stored frame, of step 60.'
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [60]
        np.testing.assert_allclose(reader.positions()[0], run.positions_at(3), atol=6e-6)
    assert outputs['final_state'].step == 60


def test_killed(parse):
    run = VaspRun(stop_at=57, killed=True)
    outputs, node = parse(run)
    assert node.exit_status == 401
    assert node.exit_message == 'The job was interrupted; the last checkpoint is of step 50.'
    assert outputs['final_state'].step == 50
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [10, 20, 30, 40]


def test_killed_by_the_scheduler_is_no_failure_of_vasp(parse):
    message = 'slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n'
    _, node = parse(VaspRun(stop_at=57, killed=True, message=message))
    assert node.exit_status == 401


def test_killed_before_the_first_frame(parse):
    _, node = parse(VaspRun(stop_at=5, killed=True))
    assert node.exit_status == 402


def test_a_contcar_without_velocities_cannot_be_continued(parse):
    def cut(folder):
        text = (folder / 'CONTCAR').read_text()
        (folder / 'CONTCAR').write_text(text[: len(text) - 100])

    outputs, node = parse(VaspRun(stop_at=57, killed=True), change=cut)
    assert node.exit_status == 402
    assert 'trajectory' in outputs


@pytest.mark.parametrize(
    ('run', 'status', 'words'),
    [
        (
            VaspRun(stop_at=0, killed=True, message=' |  internal error in: ml_ff.F |\n'),
            420,
            'internal error in: ml_ff.F',
        ),
        (VaspRun(stop_at=57, killed=True, message=' |  internal error in: ml_ff.F |\n'), 420, 'internal error'),
        (
            VaspRun(
                stop_at=0, killed=True, message=' WARNING: type information on POSCAR and POTCAR are incompatible\n'
            ),
            424,
            'type information on POSCAR and POTCAR are incompatible',
        ),
        (VaspRun(version=' vasp.6.3.2 27Jun22 (build x) std\n'), 425, 'VASP 6.3.2 does not know ML_MODE'),
        (VaspRun(kinetic=3.0), 412, 'the temperature rose to'),
        (VaspRun(vasprun=False), 411, 'an energy in OSZICAR'),
    ],
)
def test_failures(parse, run, status, words):
    outputs, node = parse(run, change=stars if status == 411 else None)
    assert node.exit_status == status, node.exit_message
    assert words in node.exit_message
    assert ('failed_frame' in outputs) == (status == 412)
    assert 'results' in outputs


def stars(folder):
    """Overwrite the kinetic energies as Fortran does where they do not fit."""
    import re

    path = folder / 'OSZICAR'
    path.write_text(re.sub(r'EK= \S+', 'EK= ***********', path.read_text()))


def test_a_version_that_needs_care_is_told(parse):
    outputs, node = parse(VaspRun(version=' vasp.6.4.1 05Apr23 (build x) std\n'))
    assert node.exit_status == 0
    warnings = outputs['results']['warnings']
    assert len(warnings) == 2
    assert 'ML_OUTBLOCK is incomplete before VASP 6.4.3' in warnings[1]


def test_the_stand_in_is_marked(parse):
    version = ' vasp.EMULATOR hdiff-vasp-standin (EMULATED: NOT VASP)\n'
    outputs, node = parse(VaspRun(version=version))
    assert node.exit_status == 0, node.exit_message
    assert outputs['results']['emulated'] is True
    assert outputs['results']['engine_version'] == 'EMULATOR'
    assert node.job.base.extras.get('emulated') is True
    for name in ('trajectory', 'final_state', 'results'):
        assert outputs[name].base.extras.get('emulated') is True


def test_nothing_came_back(parse):
    _, node = parse(VaspRun(), change=lambda folder: (folder / 'vasp_output').unlink())
    assert node.exit_status == 300

    def empty(folder):
        for path in folder.iterdir():
            path.write_text('')

    _, node = parse(VaspRun(), change=empty)
    assert (node.exit_status, node.exit_message) == (
        300, 'The job left no output: VASP did not start: see vasp_output.'
    )  # fmt: skip


def test_damaged_files_are_reported(parse):
    def damage(folder):
        path = folder / 'XDATCAR'
        path.write_text(path.read_text().replace('Direct configuration=     3', 'Direct configuration=     x'))

    _, node = parse(VaspRun(), change=damage)
    assert node.exit_status == 301
    assert 'XDATCAR' in node.exit_message

    def other_atoms(folder):
        (folder / 'CONTCAR').write_text((folder / 'CONTCAR').read_text().replace('   2   1\n', '   1   1\n'))

    outputs, node = parse(VaspRun(), change=other_atoms)
    assert node.exit_status == 301
    assert 'CONTCAR cannot be read or has no velocities' in node.exit_message
    assert 'trajectory' in outputs


def test_no_text_of_a_potential_is_kept(parse):
    def licensed(folder):
        path = folder / 'OUTCAR'
        path.write_text(path.read_text().replace('TITEL', f'{POTCAR_MARKER}\n TITEL', 1))

    outputs, node = parse(VaspRun(), change=licensed)
    assert node.exit_status == 0
    assert POTCAR_MARKER not in str([output.base.attributes.all for output in outputs.values()])
