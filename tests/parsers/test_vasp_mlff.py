"""Every end of a training run of VASP: from output in VASP's layouts whose numbers are known."""

import re
import shutil

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from tests.parsers.vasp_mlff_run import CELL, SYMBOLS, TrainingRun, ml_ffn
from tests.vasp_fixtures import POTCAR_MARKER, upload_fake_potcars

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

INCAR = {
    'ML_LMLFF': True, 'ML_MODE': 'train', 'IBRION': 0, 'NSW': 10, 'POTIM': 1.0, 'MDALGO': 3, 'ISIF': 3,
    'LANGEVIN_GAMMA': [10, 10], 'TEBEG': 300, 'ENCUT': 250, 'ML_MCONF': 50, 'ML_MB': 50,
}  # fmt: skip


@pytest.fixture(scope='module')
def potcars(aiida_profile, tmp_path_factory):
    """Give the POTCAR inputs, which are none of VASP."""
    nodes = upload_fake_potcars(tmp_path_factory.mktemp('potcars'), ('Mg', 'H'))
    return {f'potential__{kind}': node for kind, node in nodes.items()}


@pytest.fixture
def parse(generate_calc_job_node, generate_structure, potcars, tmp_path):
    """Give a function that writes the output of a run, lets ``change`` edit the folder, and parses it."""
    from aiida.plugins import ParserFactory
    from ase import Atoms

    numbers = iter(range(100))

    def run(output, change=None, *, inputs=None, missing_folder=False, finished=True, wrapped=False, **incar):
        index = next(numbers)
        folder, retrieved = tmp_path / f'run_{index}', tmp_path / f'retrieved_{index}'
        output.write(folder, finished=finished, wrapped=wrapped)
        if change is not None:
            change(folder)
        retrieved.mkdir()
        for name in ('vasp_output', 'CONTCAR'):
            if (folder / name).exists():
                shutil.move(folder / name, retrieved)
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        given = {
            'structure': generate_structure(atoms=Atoms(SYMBOLS, positions=output.start, cell=CELL, pbc=True)),
            'parameters': orm.Dict({**INCAR, **incar}),
            'kpoints': kpoints,
            **potcars,
            **(inputs or {}),
        }
        node = generate_calc_job_node(
            'hdiff.vasp_mlff', given, retrieved=retrieved, attributes={'output_filename': 'vasp_output'}
        )
        run.job = node
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory('hdiff.vasp_mlff').parse_from_node(node, store_provenance=False, **temporary)

    return run


def positions_of(outputs):
    with outputs['trajectory'].reader() as reader:
        return reader.positions(), reader.steps, reader.cells


def cut(name, fraction=0.5):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(fraction * len(content))])

    return change


def test_finished(parse):
    run = TrainingRun()
    outputs, node = parse(run)
    assert node.exit_status == 0, node.exit_message
    positions, steps, cells = positions_of(outputs)
    assert steps.tolist() == list(range(10))
    for number in steps:
        cell, expected = run.at(int(number))
        np.testing.assert_allclose(positions[number], expected, atol=1.1e-5)
        np.testing.assert_allclose(cells[number], cell, atol=1e-7)
    with outputs['trajectory'].reader() as reader:
        assert reader.timestep_fs == 1.0
        energies, kinetic = reader.observable('potential_energy'), reader.observable('kinetic_energy')
        temperature, pressure = reader.observable('temperature'), reader.observable('pressure')
    np.testing.assert_allclose(energies, [step.energy for step in run.steps], atol=1e-7)
    np.testing.assert_allclose(kinetic, [step.kinetic for step in run.steps], atol=1e-7)
    # A Langevin thermostat moves the centre of mass: 3 N degrees of freedom.
    np.testing.assert_allclose(temperature, kinetic / (4.5 * BOLTZMANN_EV_PER_K), rtol=1e-12)
    virial = [step.stress[:3].mean() / 1602.176634 for step in run.steps]
    volumes = np.linalg.det(cells)
    np.testing.assert_allclose(pressure, 2 * kinetic / (3 * volumes) + virial, atol=1e-8)
    sources = outputs['sources']
    assert sources.get_array('step').tolist() == steps.tolist()
    assert ''.join('d' if dft else 'm' for dft in sources.get_array('dft')) == run.pattern
    assert 'emulated' not in parse.job.base.extras.all


def test_final_state_goes_on(parse):
    run = TrainingRun()
    outputs, _ = parse(run)
    state = outputs['final_state']
    cell, positions = run.at(10)
    assert state.step == 10
    np.testing.assert_allclose(state.get_array('positions'), positions, atol=2e-5)
    np.testing.assert_allclose(state.get_array('cell'), cell, atol=1e-7)
    np.testing.assert_allclose(state.velocities, run.scaled_velocities @ cell, atol=1e-8)
    np.testing.assert_allclose(state.lattice_velocities, run.growth, atol=1e-9)


def test_two_chunks_are_one_trajectory(parse, tmp_path):
    """Frames and state of a chunk continue the one before, also if VASP wraps the positions."""
    from aiida_hdiff.data.trajectory import read_run

    whole = TrainingRun('d' * 20, growing=False, start=np.array([[0.1, 0.1, 0.1], [0.0, 0.0, 5.4], [2.5, 5.1, 0.0]]))
    first, _ = parse(TrainingRun('d' * 10, growing=False, start=whole.start), wrapped=True)
    state = first['final_state']
    second = TrainingRun('d' * 10, growing=False, start=whole.start)
    second.at = lambda number: whole.at(number + 10)
    second.__post_init__()
    outputs, node = parse(second, inputs={'state': state, 'first_step': orm.Int(10)}, wrapped=True)
    assert node.exit_status == 0, node.exit_message
    assert outputs['final_state'].step == 20
    with read_run(first['trajectory'], {'chunk': outputs['trajectory']}) as reader:
        assert reader.steps.tolist() == list(range(20))
        for number in range(20):
            np.testing.assert_allclose(reader.positions()[number], whole.at(number)[1], atol=5e-5)


def test_training_set(parse):
    run = TrainingRun(n_before=3)
    outputs, node = parse(run, inputs={'n_configurations': orm.Int(3), 'first_step': orm.Int(100)})
    assert node.exit_status == 0
    frames = outputs['dataset'].frames()
    expected = run.frames()[3:]
    assert len(frames) == len(expected) == 4
    np.testing.assert_array_equal(frames.energies, [frame.energy for frame in expected])
    np.testing.assert_array_equal(frames.positions, np.concatenate([frame.positions for frame in expected]))
    dft = [number for number, step in enumerate(run.steps) if not step.ml]
    temperatures = [run.steps[number].kinetic / (4.5 * BOLTZMANN_EV_PER_K) for number in dft]
    origins = [f'step {100 + n} {temperature:.1f} K' for n, temperature in zip(dft, temperatures, strict=True)]
    assert list(frames.origins) == origins
    assert set(frames.references) == set(outputs['dataset'].references)
    assert re.fullmatch('vasp:[0-9a-f]{16}', frames.references[0])
    assert frames.scf_converged.tolist() == [1, 1, 1, 1]
    misc = outputs['misc'].get_dict()
    assert misc['n_configurations'] == 7
    assert set(misc['n_local_configurations']) == {'Mg', 'H'}


@pytest.mark.parametrize('first', [0, 1])
def test_learning(parse, first):
    """The log may count from 0 or 1: the steps of DFT tell."""
    run = TrainingRun()

    def change(folder):
        (folder / 'ML_LOGFILE').write_text(run.log(first=first))

    outputs, _ = parse(run, change, inputs={'first_step': orm.Int(100)})
    learning = outputs['learning']
    steps = 100 + np.arange(10)
    dft = steps[[letter == 'd' for letter in run.pattern]]
    np.testing.assert_array_equal(learning.get_array('step'), steps)
    np.testing.assert_allclose(learning.get_array('threshold'), 1e-3 * (np.arange(10) + first))
    np.testing.assert_array_equal(learning.get_array('status_step')[learning.get_array('dft')], dft)
    assert learning.get_array('status').tolist() == [1 if letter == 'm' else 2 for letter in run.pattern]
    np.testing.assert_array_equal(learning.get_array('rmse_step'), dft)
    np.testing.assert_allclose(learning.get_array('rmse_stress'), dft - 100 + first)
    np.testing.assert_array_equal(learning.get_array('local_H_after'), dft - 100 + first + 2)
    np.testing.assert_allclose(learning.get_array('threshold_after'), 1e-3 * (dft - 100 + first))


def test_regression(parse):
    outputs, _ = parse(TrainingRun())
    regression = outputs['regression']
    assert regression.get_array('energies').shape == (4, 2)
    assert regression.get_array('forces').shape == (12, 3, 2)
    assert regression.get_array('stress').shape == (4, 6, 2)
    assert regression.base.attributes.get('rmse_forces') == pytest.approx(0.5)


def test_misc(parse):
    outputs, _ = parse(TrainingRun())
    misc = outputs['misc'].get_dict()
    assert misc.pop('n_local_configurations')
    assert misc == {
        'run_status': {
            'finished': True,
            'nsw': 10,
            'nelm': 60,
            'last_iteration_index': [10, TrainingRun().steps[8].scf_steps],
            'electronic_converged': True,
            'contains_nelm_breach': False,
        },
        'version': '6.4.3',
        'emulated': False,
        'mode': 'train',
        'first_step': 0,
        'n_steps': 10,
        'n_dft_steps': 4,
        'n_ml_steps': 6,
        'last_step': 10,
        'finished': True,
        'steps_per_s': pytest.approx(10 / 4.5),
        'n_configurations': 4,
        'warnings': [misc['warnings'][0]],
    }
    assert 'memory' in misc['warnings'][0]


def test_ml_abn_is_stored_if_asked_for(parse):
    run = TrainingRun()
    outputs, _ = parse(run, inputs={'store_ml_ab': orm.Bool(True)})
    assert outputs['ml_ab'].get_content() == run.ml_ab()
    outputs, _ = parse(run)
    assert 'ml_ab' not in outputs


def test_refit(parse):
    def change(folder):
        (folder / 'ML_FFN').write_bytes(ml_ffn())

    outputs, node = parse(TrainingRun('d'), change, NSW=1, ML_MODE='refit')
    assert node.exit_status == 0, node.exit_message
    potential = outputs['force_field']
    assert (potential.architecture, potential.elements) == ('vasp-mlff', ['Mg', 'H'])
    assert potential.options['lfast'] is True
    assert {'regression', 'misc', 'learning'} <= set(outputs)
    # Its energies and forces mean nothing.
    assert not {'trajectory', 'final_state'} & set(outputs)


@pytest.mark.parametrize('content', [None, b'', b'ML_FF 0.2.2 binary {', b'\0\1\2'])
def test_refit_without_a_force_field(parse, content):
    def change(folder):
        if content is not None:
            (folder / 'ML_FFN').write_bytes(content)

    outputs, node = parse(TrainingRun('d'), change, NSW=1, ML_MODE='refit')
    assert node.exit_status == 300
    assert 'no usable ML_FFN' in node.exit_message
    assert 'misc' in outputs


def test_out_of_walltime(parse):
    outputs, node = parse(TrainingRun(), NSW=50)
    assert node.exit_status == 400
    assert 'step 10 of 50' in node.exit_message
    assert outputs['misc']['finished'] is False
    assert outputs['final_state'].step == 10
    assert {'trajectory', 'dataset', 'learning'} <= set(outputs)


def test_killed_with_the_last_contcar(parse):
    outputs, node = parse(TrainingRun(), finished=False, NSW=50)
    assert node.exit_status == 401
    assert outputs['final_state'].step == 10
    assert outputs['misc']['warnings'][:1] == [] or 'CONTCAR' not in ' '.join(outputs['misc']['warnings'])


@pytest.mark.parametrize('contcar', ['older', 'cut', 'missing'])
def test_killed_without_a_contcar_of_the_last_step(parse, contcar):
    """The last frame is the state, with velocities from the one before; it is not stored twice."""
    run = TrainingRun()

    def change(folder):
        if contcar == 'older':
            (folder / 'CONTCAR').write_text(run.contcar(7))
        elif contcar == 'cut':
            (folder / 'CONTCAR').write_text(run.contcar(10)[:250])
        else:
            (folder / 'CONTCAR').unlink()

    outputs, node = parse(run, change, finished=False, NSW=50)
    assert node.exit_status == 401
    state = outputs['final_state']
    cell, positions = run.at(9)
    assert state.step == 9
    assert positions_of(outputs)[1].tolist() == list(range(9))
    np.testing.assert_allclose(state.get_array('positions'), positions, atol=2e-5)
    np.testing.assert_allclose(state.velocities, run.scaled_velocities @ cell, atol=1e-6)
    np.testing.assert_allclose(state.lattice_velocities, run.growth, atol=1e-7)
    assert any('CONTCAR cannot be used' in warning for warning in outputs['misc']['warnings'])


def test_scf_failed(parse):
    """The state is the last one before the failure; the label is marked."""
    run = TrainingRun()
    run.steps[4].scf_steps = 60
    outputs, node = parse(run, inputs={'first_step': orm.Int(100)})
    assert node.exit_status == 413
    assert 'step 104' in node.exit_message
    assert outputs['final_state'].step == 103
    assert positions_of(outputs)[1].tolist() == [100, 101, 102]
    np.testing.assert_allclose(outputs['final_state'].get_array('positions'), run.at(3)[1], atol=2e-5)
    assert outputs['dataset'].frames().scf_converged.tolist() == [1, 1, 0, 1]
    assert outputs['dataset'].base.attributes.get('n_not_converged') == 1
    assert outputs['misc']['run_status']['electronic_converged'] is False


def test_scf_failed_at_once(parse):
    run = TrainingRun('ddm')
    run.steps[0].scf_steps = 60
    outputs, node = parse(run)
    assert node.exit_status == 413
    assert 'step 0' in node.exit_message
    assert 'final_state' not in outputs
    assert 'dataset' in outputs


MESSAGES = {
    'mconf': ('|     ERROR: number of configurations is too small, please increase ML_MCONF     |\n', 414, 'ML_MCONF = 50'),
    'mb': ('|   the maximum number of local reference configurations was reached,   |\n|  increase ML_MB |\n', 415, '50'),
    'error': ('|  E R R O R |\n Error EDDDAV: Call to ZHEGV failed. Returncode =  6 1 16\n', 420, 'EDDDAV'),
    'slurm': ('slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n', 401, 'step'),
    'signal': ('mpirun noticed that process rank 0 exited on signal 9 (Killed).\n', 401, 'step 10'),
    'species': (
        '|  ERROR: the type information on POSCAR and POTCAR are incompatible |\n', 424, 'POSCAR and POTCAR',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', MESSAGES)
def test_messages(parse, name):
    text, status, message = MESSAGES[name]

    def change(folder):
        with (folder / 'vasp_output').open('a') as stream:
            stream.write(text)

    outputs, node = parse(TrainingRun(), change, finished=False, NSW=50)
    assert node.exit_status == status, node.exit_message
    assert message in node.exit_message
    assert {'trajectory', 'final_state', 'dataset', 'learning', 'misc'} <= set(outputs)


def test_limit_without_a_message(parse):
    _, node = parse(TrainingRun(), finished=False, NSW=50, ML_MCONF=4)
    assert node.exit_status == 414


def test_messages_of_a_finished_run_are_no_errors(parse):
    def change(folder):
        with (folder / 'vasp_output').open('a') as stream:
            stream.write('|  this may lead to errors: increase ML_MB |\n')

    _, node = parse(TrainingRun(), change)
    assert node.exit_status == 0


@pytest.mark.parametrize(
    'truncated', [('vasprun.xml',), ('vasprun.xml', 'OUTCAR'), ('vasprun.xml', 'OUTCAR', 'ML_ABN')]
)
def test_truncated(parse, truncated):
    run = TrainingRun()

    def change(folder):
        for name in truncated:
            cut(name, 0.75)(folder)

    outputs, node = parse(run, change, finished='OUTCAR' not in truncated, NSW=10)
    n_steps = outputs['misc']['n_steps']
    if 'OUTCAR' not in truncated:
        # What vasprun.xml lacks is in OUTCAR.
        assert (node.exit_status, n_steps) == (0, 10)
    else:
        assert node.exit_status == 401
        assert 5 <= n_steps < 10
    positions, steps, _ = positions_of(outputs)
    for number in steps:
        np.testing.assert_allclose(positions[number], run.at(int(number))[1], atol=1.6e-5)
    assert (outputs['misc']['n_configurations'] is None) == ('ML_ABN' in truncated)
    assert 0 < outputs['dataset'].n_frames <= 4


@pytest.mark.parametrize('missing', ['vasprun.xml', 'OUTCAR', 'ML_LOGFILE', 'CONTCAR'])
def test_one_file_missing(parse, missing):
    run = TrainingRun()
    outputs, node = parse(run, lambda folder: (folder / missing).unlink())
    assert node.exit_status == 0, node.exit_message
    positions, steps, _ = positions_of(outputs)
    n_frames = 9 if missing == 'CONTCAR' else 10
    assert steps.tolist() == list(range(n_frames))
    np.testing.assert_allclose(positions[8], run.at(8)[1], atol=1.6e-5)
    assert outputs['dataset'].n_frames == 4


def test_no_ml_abn(parse):
    """Labels that VASP had no time to collect are taken from vasprun.xml."""
    run = TrainingRun()
    outputs, node = parse(run, lambda folder: (folder / 'ML_ABN').unlink(), finished=False, NSW=50)
    assert node.exit_status == 401
    assert outputs['misc']['n_configurations'] is None
    frames = outputs['dataset'].frames()
    np.testing.assert_allclose(frames.energies, [step.energy for step in run.steps if not step.ml], atol=1e-8)
    assert frames.origins[2].startswith('step 4 ')


def test_frames_of_xdatcar(parse):
    """Prediction only, with energies alone in vasprun.xml, each second step written."""
    run = TrainingRun('m' * 10, growing=False)

    def change(folder):
        from tests.formats.vasp_writer import write_vasprun

        written = run.steps[1::2]
        write_vasprun(folder / 'vasprun.xml', written, SYMBOLS, energies_only=True, potim=1.0)
        text = (folder / 'vasprun.xml').read_text().replace('6.3.0 ', '6.4.3 ')
        (folder / 'vasprun.xml').write_text(text)
        (folder / 'OSZICAR').write_text(''.join((folder / 'OSZICAR').read_text().splitlines(keepends=True)[1::2]))
        text = (folder / 'XDATCAR').read_text()
        frames = re.split(r'(?=Mg2H)', text)[1:]
        (folder / 'XDATCAR').write_text(''.join(frames[1::2]))

    outputs, node = parse(run, change, ML_MODE='run', ML_OUTBLOCK=2, MDALGO=1)
    assert node.exit_status == 0, node.exit_message
    positions, steps, _ = positions_of(outputs)
    assert steps.tolist() == [1, 3, 5, 7, 9]
    for index, number in enumerate(steps):
        np.testing.assert_allclose(positions[index], run.at(int(number))[1], atol=1.1e-5)
    with outputs['trajectory'].reader() as reader:
        np.testing.assert_allclose(
            reader.observable('potential_energy'), [step.energy for step in run.steps[1::2]], atol=1e-7
        )
        kinetic = reader.observable('kinetic_energy')
        np.testing.assert_allclose(reader.observable('temperature'), kinetic / (3.0 * BOLTZMANN_EV_PER_K), rtol=1e-12)
    assert outputs['final_state'].step == 10
    assert 'dataset' not in outputs
    assert (outputs['misc']['n_ml_steps'], outputs['misc']['n_steps']) == (5, 10)


def test_emulated(parse):
    def change(folder):
        text = (folder / 'vasprun.xml').read_text()
        mark = '<!-- EMULATED by hdiff-vasp-standin: NOT VASP -->\n<modeling>'
        (folder / 'vasprun.xml').write_text(text.replace('<modeling>', mark, 1).replace('6.4.3 ', 'EMULATOR.1.0.0'))

    outputs, node = parse(TrainingRun(), change)
    assert node.exit_status == 0, node.exit_message
    assert outputs['misc']['emulated'] is True
    assert parse.job.base.extras.get('emulated') is True
    assert all(output.base.extras.get('emulated') is True for output in outputs.values())


@pytest.mark.parametrize(('old', 'status'), [('6.3.0 ', 425), ('6.4.2 ', 0)])
def test_versions(parse, old, status):
    def change(folder):
        text = (folder / 'vasprun.xml').read_text().replace('6.4.3 ', old)
        (folder / 'vasprun.xml').write_text(text)

    outputs, node = parse(TrainingRun(), change)
    assert node.exit_status == status
    assert outputs['misc']['warnings']
    assert 'trajectory' in outputs


def test_other_atoms(parse):
    def change(folder):
        text = (folder / 'vasprun.xml').read_text().replace('<c>H </c>', '<c>Li</c>')
        (folder / 'vasprun.xml').write_text(text)

    _, node = parse(TrainingRun(), change)
    assert node.exit_status == 424
    assert 'Mg Li' in node.exit_message


def test_nothing_but_a_folder(parse):
    def empty(folder):
        for path in folder.iterdir():
            path.unlink()

    _, node = parse(TrainingRun(), empty)
    assert node.exit_status == 300
    _, node = parse(TrainingRun(), missing_folder=True)
    assert node.exit_status == 300


def test_killed_before_the_first_step(parse):
    def change(folder):
        for path in folder.iterdir():
            if path.name not in ('vasp_output', 'OUTCAR'):
                path.unlink()
        text = (folder / 'OUTCAR').read_text()
        (folder / 'OUTCAR').write_text(text[: text.index('ML FORCE')])

    _, node = parse(TrainingRun(), change, finished=False)
    assert node.exit_status == 402


def test_not_begun(parse):
    def change(folder):
        for path in folder.iterdir():
            path.unlink()
        (folder / 'vasp_output').write_text(' vasp.6.4.3\n|  ERROR: POSCAR and POTCAR: the species order differs |\n')

    _, node = parse(TrainingRun(), change)
    assert node.exit_status == 424

    def failed(folder):
        change(folder)
        (folder / 'vasp_output').write_text(' vasp.6.4.3\n|   ERROR: No initial positions read in |\n')

    _, node = parse(TrainingRun(), failed)
    assert node.exit_status == 420
    assert 'No initial positions' in node.exit_message


def test_unreadable(parse):
    def change(folder):
        for path in folder.iterdir():
            path.unlink()
        (folder / 'vasprun.xml').write_bytes(b'\0' * 1000)

    _, node = parse(TrainingRun(), change)
    assert node.exit_status == 301


def test_frames_without_a_time_step(parse):
    """The frames cannot be stored; what was learned is."""

    def change(folder):
        text = (folder / 'vasprun.xml').read_text()
        (folder / 'vasprun.xml').write_text(text.replace('<i name="POTIM">', '<i name="OTHER">'))

    outputs, node = parse(TrainingRun(), change, POTIM=None)
    assert node.exit_status == 301
    assert 'give POTIM' in node.exit_message
    assert outputs['dataset'].n_frames == 4
    assert 'learning' in outputs


def test_no_potcar_text_in_any_output(parse):
    """OUTCAR repeats the header of the POTCARs."""

    def change(folder):
        text = (folder / 'OUTCAR').read_text()
        (folder / 'OUTCAR').write_text(
            text.replace('   ions per type', f'   VRHFIN ={POTCAR_MARKER}\n   ions per type')
        )
        (folder / 'vasprun.xml').unlink()

    outputs, node = parse(TrainingRun(), change)
    assert node.exit_status == 0
    for output in (*outputs.values(), node):
        assert POTCAR_MARKER not in repr(output.base.attributes.all)
        for name in output.base.repository.list_object_names():
            assert POTCAR_MARKER.encode() not in output.base.repository.get_object_content(name, mode='rb')
