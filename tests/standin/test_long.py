"""Training by the tags of the reference study in nickel with hydrogen, and long runs of the force field."""

import numpy as np
import pytest

from aiida_hdiff.formats import read_ml_ab
from aiida_hdiff.formats.ml_logfile import read_ml_logfile
from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.standin.ml_files import read_force_field
from aiida_hdiff.standin.reference import Reference
from tests.standin import cases

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def force_field(tmp_path_factory, setfl_path):
    """Three hundred steps from 300 to 1200 K, and the refit."""
    folder = tmp_path_factory.mktemp('long')
    tags = cases.TRAIN | {'NSW': 300, 'TEBEG': 300, 'TEEND': 1200, 'PSTRESS': 0}
    assert cases.run(folder / 'train', tags, cases.eam(setfl_path))[0] == 0
    files = {'ML_AB': folder / 'train' / 'ML_ABN'}
    assert cases.run(folder / 'refit', cases.REFIT, cases.eam(setfl_path), files=files)[0] == 0
    return folder


def follow(folder, name, tags):
    files = {'POSCAR': folder / 'train' / 'CONTCAR', 'ML_FF': folder / 'refit' / 'ML_FFN'}
    status, _ = cases.run(folder / name, cases.RUN | tags, {}, files=files)
    assert status == 0
    return folder / name


def test_learns_with_few_labels(force_field):
    log = read_ml_logfile(force_field / 'train' / 'ML_LOGFILE')
    frames = read_ml_ab(force_field / 'train' / 'ML_ABN')
    assert 5 < len(frames) < 100
    assert log.training_errors['rmse_force'][-1] < 0.03
    assert log.states['accurate'] > 150


def test_error_on_other_structures(force_field, setfl_path):
    """Of a run of the force field at 900 K."""
    tags = {'NSW': 200, 'MDALGO': 3, 'LANGEVIN_GAMMA': '10 10', 'TEBEG': 900, 'ML_OUTBLOCK': 20, 'ML_OUTPUT_MODE': 1}
    folder = follow(force_field, 'other', tags)
    reference = Reference(f'eam:{setfl_path}')
    symbols = cases.nickel_hydride().get_chemical_symbols()
    errors = [
        step.forces - reference(symbols, step.cell, step.positions).forces
        for step in iter_vasprun(folder / 'vasprun.xml')
    ]
    assert len(errors) == 10
    assert np.sqrt(np.mean(np.square(errors))) < 0.08


@pytest.mark.parametrize('temperature_K', [800, 1400])
def test_energy_is_conserved(force_field, temperature_K):
    """Over 200 fs, after the temperature has been set."""
    tags = {'ML_OUTBLOCK': 1, 'ML_OUTPUT_MODE': 1, 'MDALGO': 3, 'LANGEVIN_GAMMA': '50 50', 'TEBEG': temperature_K}
    warm = follow(force_field, f'warm{temperature_K}', tags | {'NSW': 150})
    files = {'POSCAR': warm / 'CONTCAR', 'ML_FF': force_field / 'refit' / 'ML_FFN'}
    folder = force_field / f'nve{temperature_K}'
    tags = {'NSW': 800, 'POTIM': 0.25, 'TEBEG': temperature_K, 'ML_OUTBLOCK': 1, 'ML_OUTPUT_MODE': 1}
    assert cases.run(folder, cases.RUN | tags, {}, files=files)[0] == 0
    steps = list(iter_vasprun(folder / 'vasprun.xml'))
    total = np.array([step.total_energy for step in steps])
    time_fs = 0.25 * np.arange(len(total))
    assert abs(np.polyfit(time_fs, total, 1)[0]) * 200.0 < 2e-4
    assert total.std() < 1e-3
    assert np.mean([step.temperature_K(99) for step in steps]) == pytest.approx(temperature_K, rel=0.35)


@pytest.mark.slow
def test_ten_thousand_steps_beyond_the_training(force_field):
    """At 1400 K, where the force field has seen 1200 K: atoms stay apart."""
    tags = {'NSW': 10000, 'MDALGO': 3, 'LANGEVIN_GAMMA': '10 10', 'TEBEG': 1400, 'NBLOCK': 100}
    folder = follow(force_field, 'stable', tags)
    table = read_oszicar(folder / 'OSZICAR')
    assert len(table.steps) == 1000
    assert table.temperature_from_kinetic(3 * 34)[100:].mean() == pytest.approx(1400.0, rel=0.05)
    assert np.ptp(table.free_energy) < 20.0
    from ase.io import read

    for atoms in read(folder / 'XDATCAR', index=':', format='vasp-xdatcar'):
        distances = atoms.get_all_distances(mic=True) + 10.0 * np.eye(34)
        assert distances[:32, :32].min() > 1.6
        assert distances[:32, 32:].min() > 1.0
        assert distances[32, 33] > 0.5


def test_force_field_of_the_training_is_marked_as_not_refitted(force_field):
    assert not read_force_field(force_field / 'train' / 'ML_FFN')[2]
    assert read_force_field(force_field / 'refit' / 'ML_FFN')[2]
