"""Settings of a distillation."""

import re

import pytest

from aiida_hdiff.sampling.distill_settings import DistillSettings


def test_defaults():
    settings = DistillSettings.from_dict({})
    assert settings == DistillSettings()
    assert DistillSettings.from_dict(settings.as_dict()) == settings
    assert settings.held_out_temperatures_K == (900.0,)
    assert settings.hot_temperature_K == pytest.approx(1080.0)


@pytest.mark.parametrize(
    ('n_hydrogen', 'n_host', 'contents'), [(2, 36, (1, 2, 4)), (8, 128, (4, 8, 16)), (1, 4, (1, 2)), (60, 32, (30, 60))]
)
def test_contents_differ(n_hydrogen, n_host, contents):
    """At least two, twice as many at most, and not many more than a quarter of the host atoms."""
    assert DistillSettings().contents(n_hydrogen, n_host) == contents
    assert DistillSettings(n_hydrogen=(3, 5)).contents(n_hydrogen, n_host) == (3, 5)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'temperature_K': 300}, 'unknown setting `temperature_K`: did you mean `temperatures_K`'),
        ({'temperatures_K': []}, '`temperatures_K` is (): give a list of positive temperatures'),
        ({'n_hydrogen': [2]}, '`n_hydrogen` is (2,): give at least two numbers'),
        ({'hot_runs': 0}, '`hot_runs` is 0: give a whole number of at least 1'),
        ({'timestep_fs': 3.0}, '`timestep_fs` is 3.0: with hydrogen give at most 2'),
        ({'teacher_interval_fs': 150.0}, '`teacher_interval_fs` is 150.0: the run has 200 fs'),
        ({'strains': [0.5]}, '`strains` is (0.5,)'),
        ({'max_path_error_meV': -1}, '`max_path_error_meV` is -1: give a positive number'),
        ({'pod': {'preset': 'tiny'}}, "`pod`: `preset` is 'tiny'"),
        ({'contacts': {'seed': 3}}, '`contacts.seed` is given, which is the input `seed`'),
        ({'contacts': {'rattle_A': 2}}, '`contacts`: `rattle_A` is 2'),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DistillSettings.from_dict(settings)
