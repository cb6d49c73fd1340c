"""The generated LAMMPS scripts, pinned: raise `CACHE_VERSION` of the job when they change."""

import pytest

from aiida_hdiff.calculations.lammps_script import LARGEST_SEED, explosion_temperature_K, lammps_script
from aiida_hdiff.engine.parameters import MDParameters

PAIR = ['pair_style eam/alloy', 'pair_coeff * * potential.0 Ni H']
BASE = {'temperature_K': 800.0, 'steps': 1000, 'timestep_fs': 0.5, 'output_interval': 20, 'seed': 42}
CASES = {
    'nve': {'ensemble': 'nve'},
    'nvt_langevin': {'ensemble': 'nvt', 'velocities': True},
    'nvt_nose_hoover': {'ensemble': 'nvt', 'thermostat': 'nose_hoover', 'temperature_end_K': 300.0},
    **{
        f'npt_{thermostat}_{barostat}': {
            'ensemble': 'npt',
            'thermostat': thermostat,
            'barostat': barostat,
            'pressure_GPa': 0.1,
        }
        for thermostat in ('langevin', 'nose_hoover')
        for barostat in ('isotropic', 'fixed_shape', 'full')
    },
}


def text(values, **kwargs):
    parameters = MDParameters.from_dict({**BASE, **values})
    return lammps_script(parameters, PAIR, [58.6934, 1.008], **{'has_velocities': False, **kwargs})


@pytest.mark.parametrize('name', CASES)
def test_script(file_regression, name):
    file_regression.check(text(CASES[name]), basename=name)


def test_script_of_a_continued_run(file_regression):
    restart = text(CASES['npt_langevin_isotropic'], checkpoint_step=400, max_seconds=3723)
    file_regression.check(restart, basename='continued')


def test_velocities_are_drawn_only_where_there_are_none():
    assert 'velocity all create 800 43 mom yes' in text({'ensemble': 'nve'})
    assert 'velocity' not in text({'ensemble': 'nve'}, has_velocities=True)
    assert 'velocity' not in text({'ensemble': 'nve'}, checkpoint_step=20)


def test_a_continued_run_draws_new_noise():
    def seed(**kwargs):
        line = next(line for line in text({'ensemble': 'nvt'}, **kwargs).splitlines() if 'langevin' in line)
        return int(line.split()[-1])

    assert len({seed(), seed(checkpoint_step=20), seed(checkpoint_step=40)}) == 3


def test_a_and_b_are_coupled_only_in_a_fixed_shape():
    for barostat, expected in (('isotropic', False), ('fixed_shape', True), ('full', False)):
        assert ('couple xy' in text({'ensemble': 'npt', 'barostat': barostat}, couple_ab=True)) == expected
    assert 'couple' not in text({'ensemble': 'npt', 'barostat': 'fixed_shape'})


@pytest.mark.parametrize('seed', [1, LARGEST_SEED - 1, LARGEST_SEED, 2**31 - 1])
def test_seeds_are_in_the_range_of_lammps(seed):
    line = next(line for line in text({'ensemble': 'nve', 'seed': seed}).splitlines() if 'create' in line)
    assert 0 < int(line.split()[4]) <= LARGEST_SEED


def test_pressure_and_times_are_in_the_units_of_lammps():
    script = text({'ensemble': 'npt', 'thermostat': 'nose_hoover', 'pressure_GPa': 2.5, 'barostat_time_fs': 700.0})
    assert 'iso 25000 25000 0.7' in script
    assert 'timestep 0.0005' in script


def test_the_masses_are_those_of_the_job_not_of_the_potential_file():
    lines = text({'ensemble': 'nve'}).splitlines()
    assert lines.index('mass 2 1.008') > lines.index(PAIR[1])


def test_the_limit_of_the_temperature_follows_a_ramp():
    ramp = MDParameters.from_dict({**BASE, 'ensemble': 'nvt', 'temperature_end_K': 2000.0})
    assert explosion_temperature_K(ramp) == 11000.0
    assert 'v_temperature > 5000' in text({'ensemble': 'nvt'})


@pytest.mark.parametrize(('seconds', 'clock'), [(59, '0:00:59'), (3600, '1:00:00'), (86399, '23:59:59')])
def test_the_wall_time_is_a_clock(seconds, clock):
    assert f'timer timeout {clock} every 100' in text({'ensemble': 'nve'}, max_seconds=seconds)
    assert 'timer' not in text({'ensemble': 'nve'})
