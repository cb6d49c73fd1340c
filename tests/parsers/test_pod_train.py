"""Every end of a fit, from the output of LAMMPS itself."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory

from aiida_hdiff.calculations import pod_train as files
from aiida_hdiff.calculations.pod_train import PodTrainCalculation
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.engine.evaluate_lammps import lammps_calculator
from aiida_hdiff.formats import LabelledFrame, LabelledFrames, pod
from aiida_hdiff.formats import pod_evaluation as script
from aiida_hdiff.sampling.close_contacts import ContactSettings, close_contacts
from tests.conftest import executable, nickel_hydride

SETTINGS = {'preset': 'small', 'rcut_A': 4.0, 'threebody_radial': 2}


def labelled(calculator, atoms, origin):
    atoms.calc = calculator
    atoms.get_potential_energy()
    frame = LabelledFrame.from_ase(atoms)
    return replace(frame, stress=np.array(atoms.get_stress()), origin=origin, reference='eam', pbc=(True,) * 3)


@pytest.fixture(scope='module')
def frames(setfl_path):
    """Give close contacts in small cells, by the potential of the quick start; one is outside of its cell."""
    calculator = lammps_calculator(
        {'commands': ['pair_style eam/alloy', f'pair_coeff * * {setfl_path} Ni H'], 'elements': ['Ni', 'H']}
    )
    settings = ContactSettings(n_frames=14, seed=2, h_host_A=(1.25, 1.7), h_h_A=(0.8, 2.2))
    images = [atoms for atoms, _ in close_contacts([nickel_hydride(1, 1), nickel_hydride(1, 2)], settings)]
    images[0].positions[1] += images[0].cell[0]
    return LabelledFrames.from_frames([labelled(calculator, one, f'frame:{i}') for i, one in enumerate(images)])


@pytest.fixture
def parse(generate_calc_job, generate_calc_job_node, fake_code, frames, tmp_path):
    """Give a function that runs LAMMPS on the files of a job, lets ``change`` edit the folder, and parses it."""

    def run(change=None, before=None, n_train=12, missing_folder=False):
        sets = {'train': LabelledDataset(frames[:n_train]), 'test': LabelledDataset(frames[12:])}
        inputs = {**sets, 'settings': orm.Dict(SETTINGS)}
        folder, info = generate_calc_job('hdiff.pod_train', {'code': fake_code('hdiff.lammps_md'), **inputs})
        if before is not None:
            before(folder)
        subprocess.run(
            [executable('lmp'), *info.codes_info[0].cmdline_params], cwd=folder, capture_output=True, check=False
        )
        if change is not None:
            change(folder)
        retrieved = tmp_path / 'retrieved'
        retrieved.mkdir()
        for name in info.retrieve_list:
            if (folder / name).exists():
                (folder / name).rename(retrieved / name)
        node = generate_calc_job_node('hdiff.pod_train', inputs, retrieved=retrieved)
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory('hdiff.pod_train').parse_from_node(node, store_provenance=False, **temporary)

    return run


def code(name):
    return PodTrainCalculation.exit_codes[name].status


def test_a_fit(parse, frames):
    outputs, calc = parse()
    assert calc.is_finished_ok, calc.exit_message
    potential, results = outputs['potential'], outputs['results']
    assert (potential.elements, potential.cutoff_A) == (['H', 'Ni'], 4.0)
    assert potential.label == f'POD small, {results["n_coefficients"]} coefficients'
    assert results['n_frames'] == {'train': 12, 'test': 2}
    assert results['versions']['lammps']
    assert results['fit_seconds'] > 0
    train = results['splits']['train']
    # Evaluated by the pair style and by the program that fits, which sees wrapped atoms only.
    assert train['force_rmse_meV_A'] == pytest.approx(results['fitpod']['force_rmse_meV_A'], abs=1e-3)
    assert train['energy_rmse_meV_per_atom'] == pytest.approx(results['fitpod']['energy_rmse_meV_per_atom'], abs=1e-3)
    assert train['force_rmse_meV_A'] < 0.1 * 1000 * np.sqrt((frames[:12].forces ** 2).mean())
    parity = outputs['parity']['test']
    np.testing.assert_allclose(parity.get_array('forces')[..., 0], frames[12:].forces)
    assert parity.get_array('energies').shape == (2, 2)


def test_a_fit_to_one_composition_without_contacts_warns(parse, frames):
    sets = LabelledFrames.from_frames([frame for frame in frames[:12] if (frame.numbers == 1).sum() == 2])
    distances = {'H-Ni': 1.6, 'H-H': 1.5}
    from aiida_hdiff.parsers.pod_train import _composition_warnings
    from aiida_hdiff.sampling.close_contacts import contact_warnings

    assert len(contact_warnings(distances)) == 2
    assert 'too few compositions' in _composition_warnings(sets)[0]
    assert _composition_warnings(frames) == []


def test_no_coefficients(parse):
    _, calc = parse(lambda folder: (folder / pod.COEFFICIENTS_FILE).unlink())
    assert calc.exit_status == code('ERROR_OUTPUT_MISSING')
    assert pod.COEFFICIENTS_FILE in calc.exit_message


def test_coefficients_that_are_no_numbers(parse):
    def spoil(folder):
        path = folder / pod.COEFFICIENTS_FILE
        lines = path.read_text().splitlines()
        path.write_text('\n'.join([lines[0], 'nan', *lines[2:]]))

    _, calc = parse(spoil)
    assert calc.exit_status == code('ERROR_NOT_A_NUMBER')
    assert '1 of' in calc.exit_message


def test_coefficients_cut_short(parse):
    _, calc = parse(lambda folder: (folder / pod.COEFFICIENTS_FILE).write_text('model_coefficients: 9 0 0\n1.0\n'))
    assert calc.exit_status == code('ERROR_OUTPUT_UNREADABLE')
    assert 'has 1 of 9 coefficients' in calc.exit_message


def test_lammps_refuses(parse):
    def spoil(folder):
        path = folder / script.PARAM_FILE
        path.write_text(path.read_text().replace('rcut 4.0', 'rcut'))

    _, calc = parse(before=spoil)
    assert calc.exit_status == code('ERROR_FIT_FAILED')


def test_lammps_without_fitpod(parse):
    def spoil(folder):
        path = folder / files.INPUT_FILE
        path.write_text(path.read_text().replace('fitpod', 'fitpodd'))

    _, calc = parse(before=spoil)
    assert calc.exit_status == code('ERROR_NO_FITPOD')


@pytest.mark.parametrize(
    ('stderr', 'name'),
    [('', 'ERROR_INTERRUPTED_EARLY'), ('slurmstepd: error: Detected 1 oom-kill event', 'ERROR_OUT_OF_MEMORY')],
)
def test_killed(parse, monkeypatch, stderr, name):
    from aiida_hdiff.parsers.base import JobParser

    monkeypatch.setattr(JobParser, 'was_out_of_memory', lambda self: bool(stderr))

    def cut(folder):
        path = folder / script.EVALUATION_LOG
        path.write_text(path.read_text()[:200])

    _, calc = parse(cut)
    assert calc.exit_status == code(name)


def test_nothing_was_retrieved(parse):
    _, calc = parse(lambda folder: (folder / files.LOG_FILE).unlink())
    assert calc.exit_status == code('ERROR_OUTPUT_MISSING')


def test_a_missing_frame(parse):
    def cut(folder):
        path = folder / script.ENERGIES_FILE
        path.write_text('\n'.join(path.read_text().splitlines()[:-1]))

    _, calc = parse(cut)
    assert calc.exit_status == code('ERROR_OUTPUT_UNREADABLE')
    assert '13 of 14 frames are evaluated' in calc.exit_message


def test_every_exit_code_has_a_test():
    from pathlib import Path

    text = Path(__file__).read_text()
    own = [name for name in PodTrainCalculation.exit_codes if 300 <= PodTrainCalculation.exit_codes[name].status < 500]
    assert [name for name in own if name not in text] == []
