"""Costs from measured speeds, and the settings of a pilot."""

import pytest
from aiida import orm

from aiida_hdiff.workflows.plan import SECONDS_PER_ATOM_STEP, pilot_overrides, speed
from aiida_hdiff.workflows.settings import DiffusionProtocols
from aiida_hdiff.workflows.validation import settings_error


def test_speed_is_that_of_earlier_jobs_scaled_by_atoms(generate_potential, generate_calc_job_node, generate_trajectory):
    potential = generate_potential().store()
    assert speed(potential, 100) == (pytest.approx(1 / (100 * SECONDS_PER_ATOM_STEP['lammps'])), False)
    trajectory = generate_trajectory([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]] * 3, numbers=[28, 1])
    for rate, steps in ((50.0, 1000), (1e9, 10)):
        outputs = {'results': orm.Dict({'steps_per_s': rate, 'last_step': steps}), 'trajectory': trajectory.clone()}
        generate_calc_job_node('hdiff.lammps_md', {'potential': potential}, exit_status=0, outputs=outputs)
    assert speed(potential, 4) == (pytest.approx(25.0), True)


@pytest.mark.parametrize('protocol', ['demo', 'fast', 'moderate', 'precise', 'paper'])
@pytest.mark.parametrize('pilot_ps', [1.0, 30.0])
def test_the_settings_of_a_pilot_are_valid(protocol, pilot_ps):
    settings = DiffusionProtocols.get_protocol_settings(protocol)
    pilot = DiffusionProtocols.get_protocol_settings(protocol, pilot_overrides(pilot_ps, settings))
    assert settings_error(pilot) is None
    assert pilot['nve']['time_ps'] == pilot_ps
    assert pilot['convergence']['relative_error'] is None
