"""Runs of the stand-in that several tests look at."""

import numpy as np
import pytest

from tests.standin import cases


@pytest.fixture(scope='session')
def training(tmp_path_factory, setfl_path):
    """A short training in NpT, its refit, and a prediction-only run that goes on from it; folders by name."""
    base = tmp_path_factory.mktemp('standin')
    environment = cases.eam(setfl_path)
    folders = {name: base / name for name in ('train', 'refit', 'run', 'sparse')}
    atoms = cases.nickel_hydride()
    atoms.positions += np.random.default_rng(5).normal(0.0, 0.05, atoms.positions.shape)
    status, _ = cases.run(folders['train'], cases.TRAIN | {'NSW': 35, 'NBLOCK': 5}, environment, atoms)
    assert status == 0
    status, _ = cases.run(folders['refit'], cases.REFIT, environment, atoms, {'ML_AB': folders['train'] / 'ML_ABN'})
    assert status == 0
    start = {'ML_FF': folders['refit'] / 'ML_FFN', 'POSCAR': folders['train'] / 'CONTCAR'}
    full = {'NSW': 20, 'POTIM': 0.5, 'ML_OUTBLOCK': 1, 'ML_OUTPUT_MODE': 1}
    for name, tags in ('run', full), ('sparse', {'NSW': 40, 'POTIM': 0.5}):
        status, _ = cases.run(folders[name], cases.RUN | tags, {}, atoms, start)
        assert status == 0
    return folders
