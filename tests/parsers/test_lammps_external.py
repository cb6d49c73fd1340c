"""Ends of a LAMMPS job with the forces of `hdiff-engine`: its own files, run here with the forces of ASE's EMT."""

import json
import shutil

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.engine.cli import main
from tests.conftest import PARAMETERS, nickel_hydride

pytest.importorskip('lammps')


@pytest.fixture
def run(
    generate_calc_job, generate_calc_job_node, generate_potential, generate_structure, fake_code, tmp_path, monkeypatch,
    capfd,
):  # fmt: skip
    """Give a function that writes the files of a job, runs them and parses the outcome."""

    def run(*, change=lambda folder: None, engine=None, checkpoint=None, **values):
        atoms = nickel_hydride(1)
        atoms.rotate(40, (1, 2, 3), rotate_cell=True)
        stage = {'steps': 20, 'output_interval': 5, 'checkpoint_interval': 10, 'timestep_fs': 0.5, **values}
        inputs = {
            'structure': generate_structure(atoms=atoms),
            'potential': generate_potential('chgnet'),
            'parameters': orm.Dict({**PARAMETERS, **stage}),
            **({} if checkpoint is None else {'checkpoint': checkpoint}),
        }
        folder, _ = generate_calc_job('hdiff.lammps_md', {'code': fake_code(), **inputs})
        monkeypatch.chdir(folder)
        settings = json.loads((folder / 'lammps.json').read_text())
        settings |= {'potential': {'architecture': 'emt', 'file': None, 'options': {}}, **(engine or {})}
        (folder / 'lammps.json').write_text(json.dumps(settings))
        capfd.readouterr()
        main(['lammps', 'lammps.json'])
        (folder / 'lammps.out').write_text(capfd.readouterr().out)
        change(folder)
        retrieved = tmp_path / f'{folder.name}_retrieved'
        retrieved.mkdir()
        for name in ('lammps.out', 'status.json'):
            if (folder / name).exists():
                shutil.move(folder / name, retrieved)
        node = generate_calc_job_node(
            'hdiff.lammps_md', inputs, retrieved=retrieved, attributes={'output_filename': 'lammps.out'}
        )
        outputs, node = ParserFactory('hdiff.lammps_md').parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )
        return outputs, node, atoms

    return run


def test_finished(run):
    from ase.calculators.emt import EMT

    outputs, node, atoms = run(ensemble='npt', barostat='fixed_shape')
    assert node.exit_status == 0, node.exit_message
    results = outputs['results'].get_dict()
    assert results['finished']
    assert results['engine'] == 'lammps'
    assert results['calculator'] == {'implementation': 'ase'}
    assert 'Jul 2025' in results['engine_version']
    assert ', ase 3.' in results['engine_version']
    with outputs['trajectory'].reader() as reader:
        positions, cells = reader.positions(), reader.cells
        energy = reader.observable('potential_energy')
        assert np.isfinite(reader.observable('pressure')).all()
    np.testing.assert_allclose(positions[0], atoms.positions, atol=6e-6)
    assert np.abs(cells[-1] - cells[0]).max() > 1e-4
    state = outputs['final_state']
    atoms.set_cell(state.get_array('cell'))
    atoms.positions[:] = state.get_array('positions')
    atoms.calc = EMT()
    assert energy[-1] == pytest.approx(atoms.get_potential_energy(), abs=1e-8)


def test_a_killed_job_is_continued_from_its_checkpoint(run):
    def kill(folder):
        screen = folder / 'lammps.out'
        screen.write_text(screen.read_text().partition('hdiff: ')[0])
        for name in ('status.json', 'checkpoint.20.restart'):
            (folder / name).unlink()

    whole, _, _ = run(ensemble='nve')
    killed, node, _ = run(ensemble='nve', change=kill)
    assert node.exit_status == 401
    assert killed['final_state'].step == 10
    rest, node, _ = run(ensemble='nve', checkpoint=killed['final_state'])
    assert node.exit_status == 0, node.exit_message
    with rest['trajectory'].reader() as reader, whole['trajectory'].reader() as expected:
        assert reader.steps.tolist() == [15, 20]
        np.testing.assert_allclose(reader.positions(), expected.positions()[3:], atol=1e-5)


def test_out_of_wall_time(run):
    outputs, node, _ = run(engine={'max_seconds': 1e-9})
    assert node.exit_status == 400
    assert node.exit_message == 'The wall time ended at step 0 of 20; a checkpoint was written.'
    assert outputs['final_state'].step == 0


def test_stopped_by_a_signal(run):
    def signal(folder):
        status = json.loads((folder / 'status.json').read_text())
        (folder / 'status.json').write_text(
            json.dumps({**status, 'message': 'stopped by SIGTERM after 0 of 20 steps.'})
        )

    outputs, node, _ = run(engine={'max_seconds': 1e-9}, change=signal)
    assert node.exit_status == 401
    assert 'final_state' in outputs


def test_the_frame_of_an_exploded_run_is_kept(run, monkeypatch):
    monkeypatch.setattr('aiida_hdiff.engine.bounds.MAX_FORCE_EV_PER_A', 1e-3)
    outputs, node, _ = run()
    assert node.exit_status == 412
    assert node.exit_message.startswith('The run exploded: step ')
    assert 'failed_frame' in outputs
    assert 'final_state' not in outputs


@pytest.mark.parametrize(
    ('engine', 'status', 'reason'),
    [
        ({'potential': {'architecture': 'eam', 'file': 'no'}}, 422, 'The potential cannot be loaded: the eam model no'),
        ({'script': 'no.in'}, 420, 'The engine stopped with an error: no.in cannot be read'),
    ],
)
def test_failed_runs(run, engine, status, reason):
    outputs, node, _ = run(engine=engine)
    assert node.exit_status == status
    assert node.exit_message.startswith(reason)
    assert 'final_state' not in outputs


@pytest.mark.parametrize(('module', 'status'), [('lammps', 423), ('ase.calculators.emt', 423)])
def test_missing_packages(run, monkeypatch, module, status):
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    _, node, _ = run()
    assert node.exit_status == status
    assert f'needs the package {module}' in node.exit_message


def test_errors_of_lammps(run):
    _, node, _ = run(checkpoint=None, engine={'script': script.DATA_FILE})
    assert node.exit_status == 420
    assert 'Unknown command' in node.exit_message
