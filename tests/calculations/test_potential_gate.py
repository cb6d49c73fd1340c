"""Verdicts on potentials, and the table of the potentials of a study, with their history."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.literature import compare_with_literature
from aiida_hdiff.calculations.potential_gate import (
    compare_potentials,
    judge_potential,
    regression_errors,
    smoke_parameters,
)
from aiida_hdiff.engine.parameters import parameters_error
from tests.calculations.test_literature import SETTINGS, diffusivity, law, published

EVALUATION = {
    'energy_meV_per_atom': {'rmse': 2300.0},
    'energy_meV_per_atom_without_element_offsets': {'rmse': 4.0},
    'force_meV_A': {'rmse': 80.0},
    'stress_GPa': {'rmse': 0.2},
}


@pytest.fixture
def run(generate_trajectory):
    """Give a factory of short runs whose energy drifts by so many meV/atom/ps."""

    def factory(drift):
        steps = np.arange(101)
        energies = 1e-3 * drift * 5 * steps * 1e-2
        return generate_trajectory(
            np.random.default_rng(3).normal(0.0, 1.0, (101, 5, 3)),
            steps=steps,
            timestep_fs=10.0,
            potential_energy=energies,
            temperature=np.full(101, 300.0),
        )

    return factory


def test_parameters_of_the_short_run():
    node = smoke_parameters(orm.Dict({'smoke_time_ps': 0.5, 'smoke_temperature_K': 700.0}), orm.Int(0))
    assert parameters_error(node.get_dict()) is None
    assert (node['steps'], node['output_interval'], node['temperature_K']) == (1000, 10, 700.0)
    assert node['ensemble'] == 'nve'


def test_a_potential_that_passes(run):
    node = judge_potential(orm.Dict({}), orm.Dict(EVALUATION), run(0.3))
    assert node['passed']
    assert node['reasons'] == []
    assert node['limits']['force_rmse_meV_A'] == 150.0
    assert node['values']['force_rmse_meV_A'] == 80.0
    assert node['values']['drift_meV_per_atom_per_ps'] == pytest.approx(0.3)
    assert node['values']['mean_temperature_K'] == 300.0
    assert {link.link_label for link in node.creator.base.links.get_incoming().all()} == {
        'gate', 'evaluation', 'trajectory',
    }  # fmt: skip


def test_a_potential_that_drifts_and_errs(run):
    node = judge_potential(orm.Dict({'force_rmse_meV_A': 50.0}), orm.Dict(EVALUATION), run(3.0))
    assert not node['passed']
    assert node['reasons'] == [
        'force RMSE 80 meV/Å is above the limit 50 meV/Å',
        'the energy of the smoke run drifts by 3 meV/atom/ps, the limit is 1',
    ]


def test_a_run_that_explodes():
    node = judge_potential(orm.Dict({}), failure=orm.Str('Atoms were lost: 3'))
    assert node['reasons'] == ['the smoke run failed: Atoms were lost: 3']
    assert node['values'] == {}


def test_errors_of_a_regression():
    stage = {'rmse_energy': 0.002, 'rmse_force': 0.05, 'rmse_stress': 3.0, 'n_configurations': 40}
    node = regression_errors(orm.Dict({'stages': [{}, stage]}))
    assert node['energy_meV_per_atom_without_element_offsets'] == {'rmse': pytest.approx(2.0)}
    assert node['force_meV_A'] == {'rmse': pytest.approx(50.0)}
    assert node['stress_GPa'] == {'rmse': pytest.approx(0.3)}
    assert (node['of'], node['n_frames']) == ('training set', 40)
    unknown = regression_errors(orm.Dict({'stages': [{**stage, 'rmse_force': None}]}))
    assert unknown['force_meV_A'] is None


def test_the_table():
    measured = {'good_600K_0': diffusivity(600.0, 4e-10), 'good_900K_0': diffusivity(900.0, None, 'not_resolved')}
    fit = law(0.42, 2 * 6.87e-7)
    literature = published('ni-voelkl-alefeld-1975')
    comparison = compare_with_literature(orm.Dict(SETTINGS), good=fit, **measured, **literature)
    rows = [
        {'label': 'good', 'kind': 'fine_tuned', 'architecture': 'mace', 'failure': None, 'runs': sorted(measured)},
        {'label': 'bad', 'kind': 'from_scratch', 'architecture': 'mace', 'failure': 'why', 'runs': []},
        {'label': 'eam', 'kind': 'given', 'architecture': 'lammps', 'failure': None, 'runs': []},
    ]
    gate = judge_potential(orm.Dict({'smoke_time_ps': 0.0}), orm.Dict(EVALUATION))
    refused = judge_potential(orm.Dict({'force_rmse_meV_A': 50.0}), orm.Dict(EVALUATION))
    node = compare_potentials(
        orm.Dict({'potentials': rows}),
        comparison,
        arrhenius_good=fit,
        gate_good=gate,
        evaluation_good=orm.Dict(EVALUATION),
        gate_bad=refused,
        **{f'diffusivity_{label}': one for label, one in measured.items()},
    )
    good, bad, eam = node['potentials']
    assert (good['passed'], bad['passed'], eam['passed']) == (True, False, None)
    assert bad['reasons'] == ['force RMSE 80 meV/Å is above the limit 50 meV/Å']
    assert (bad['failure'], bad['diffusivities'], bad['activation_energy_eV']) == ('why', [], None)
    assert good['rmse'] == {
        'energy_meV_per_atom': 2300.0,
        'energy_meV_per_atom_without_element_offsets': 4.0,
        'force_meV_A': 80.0,
        'stress_GPa': 0.2,
    }
    assert (good['rmse_of'], eam['rmse_of']) == ('test set', None)
    assert (good['activation_energy_eV'], good['prefactor_m2_s']) == (0.42, 2 * 6.87e-7)
    assert good['energy'][0]['difference_eV'] == pytest.approx(0.42 - good['energy'][0]['published_eV'])
    first, second = good['diffusivities']
    assert (first['run'], first['value_m2_s']) == ('good_600K_0', 4e-10)
    (beside,) = first['published']
    assert beside['literature'] == 'ni_voelkl_alefeld_1975'
    assert beside['relative_deviation'] == pytest.approx(4e-10 / beside['published_m2_s'] - 1.0)
    assert beside['log_ratio'] == pytest.approx(np.log(4e-10 / beside['published_m2_s']))
    assert (second['status'], second['value_m2_s'], second['published']) == ('not_resolved', None, [])
    assert node['literature'] == ['ni_voelkl_alefeld_1975']
