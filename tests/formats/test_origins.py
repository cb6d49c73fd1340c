"""What origins and groups of frames tell about run, step and temperature."""

import numpy as np
import pytest

from aiida_hdiff.formats.configurations import Configurations
from aiida_hdiff.formats.origins import formulas, parse_origin, parse_origins, places, with_temperature
from aiida_hdiff.parsers.vasp_learning import UNKNOWN_ORIGIN, frame_origin


@pytest.mark.parametrize(
    ('origin', 'run', 'step', 'temperature_K', 'source'),
    [
        ('mg16h_600K:1500', 'mg16h_600K', 1500, 600.0, 'run'),
        ('hot:15', 'hot', 15, None, None),
        ('train_300K/iteration_02 step 40 310.2 K', 'train_300K', 40, 300.0, 'run'),
        ('ramp/iteration_02 step 40 310.2 K', 'ramp', 40, 310.2, 'origin'),
        ('step 1200, 310 K', '', 1200, 310.0, 'origin'),
        ('step 3', '', 3, None, None),
        ('ML_AB:7', 'ML_AB', 7, None, None),
        ('ML_AB-2:7', 'ML_AB-2', 7, None, None),
        ('ML_ABN 5', '', None, None, None),
        ('ramp/iteration_01 ML_ABN 5', 'ramp', None, None, None),
        ('vasprun.xml:step 5 1913.3 K', 'vasprun.xml', 5, 1913.3, 'origin'),
        ('ramp 300K to 673 K:5', 'ramp 300K to 673 K', 5, None, None),
        ('Mg16H', 'Mg16H', None, None, None),
        ('Na16K', 'Na16K', None, None, None),
        ('', '', None, None, None),
        ('a:b:c', 'a:b:c', None, None, None),
        ('17', '17', None, None, None),
    ],
)
def test_forms_of_origins(origin, run, step, temperature_K, source):
    found = parse_origin(origin)
    assert (found.run, found.step) == (run, step)
    assert (found.temperature_K, found.temperature_from) == (temperature_K, source)


@pytest.mark.parametrize(
    ('config_type', 'expected'),
    [
        ('NVT 600 K', (600.0, 'config_type')),
        ('MD 293.15 K', (293.15, 'config_type')),
        ('md_480K', (480.0, 'config_type')),
        ('300 K to 600 K', (310.2, 'origin')),
        ('300 K and 300 K', (300.0, 'config_type')),
        ('bulk', (310.2, 'origin')),
        ('K', (310.2, 'origin')),
        ('6K2', (310.2, 'origin')),
    ],
)
def test_the_group_goes_before_the_moment(config_type, expected):
    found = parse_origin('ramp/iteration_01 step 4 310.2 K', config_type)
    assert (found.temperature_K, found.temperature_from) == expected


@pytest.mark.parametrize('temperature_K', [310.24, float('nan')])
def test_origins_that_the_parser_of_vasp_writes(temperature_K):
    found = parse_origin(f'ramp/iteration_01 {frame_origin(12, temperature_K)}')
    assert (found.run, found.step) == ('ramp', 12)
    assert found.temperature_K == (310.2 if temperature_K == 310.24 else None)
    assert parse_origin(UNKNOWN_ORIGIN.format(number=3)).step is None


def test_a_temperature_that_is_added_is_found_again():
    found = parse_origin(with_temperature('set.db:3', 512.34))
    assert (found.run, found.step, found.temperature_K) == ('set.db', 3, 512.3)


def test_runs_are_names_with_one_composition():
    from ase import Atoms

    images = [Atoms(symbols, cell=[5.0] * 3, pbc=True) for symbols in ('MgH', 'HMg', 'MgHH', 'MgH', 'Mg')]
    origins = ['a:10', 'a:20', 'a:30', 'b:0', 'alone']
    frames = Configurations.from_ase(images, origins)
    assert formulas(frames) == ('HMg', 'HMg', 'H2Mg', 'HMg', 'Mg')
    where = places(parse_origins(frames), formulas(frames))
    assert where.names == ('a (HMg)', 'a (H2Mg)', 'b', 'alone')
    np.testing.assert_array_equal(where.runs, [0, 0, 1, 2, 3])
    np.testing.assert_array_equal(where.steps, [10, 20, 30, 0, -1])
