"""Every bad input is refused with a message that names it, its value and the remedy, before anything is submitted."""

import math

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.workflows.validation import settings_error, temperatures_error
from tests.conftest import nickel_hydride

STUDY = 'hdiff.diffusion'


def test_a_good_study_is_accepted(error_of, study_inputs):
    assert error_of(STUDY, study_inputs()) is None


@pytest.mark.parametrize(
    ('temperatures', 'message'),
    [
        ([], '`temperatures_K` holds []: an Arrhenius fit needs at least two'),
        ([300], '`temperatures_K` holds [300]: an Arrhenius fit needs at least two'),
        ([300, 400, 300.0], '`temperatures_K` holds 300 K twice: give each once, and `replicas` for repeats'),
        ([300, 0], '`temperatures_K` holds 0: give positive numbers in K'),
        ([300, -10.5], '`temperatures_K` holds -10.5: give positive numbers'),
        ([300, 'hot'], "`temperatures_K` holds 'hot': give positive numbers"),
        ([300, None], '`temperatures_K` holds None'),
        ([300, True], '`temperatures_K` holds True'),
        ([300, math.nan], '`temperatures_K` holds nan'),
        ([300, math.inf], '`temperatures_K` holds inf'),
    ],
)
def test_temperatures(temperatures, message):
    assert message in temperatures_error(temperatures)


def test_temperatures_are_checked_by_the_workchain(error_of, study_inputs):
    assert '`temperatures_K` holds [800]' in error_of(STUDY, study_inputs(temperatures=orm.List([800])))


SETTINGS = [
    ({'timestep_fs': 0}, '`settings.timestep_fs` is 0: give a positive number'),
    ({'timestep_fs': -0.5}, '`settings.timestep_fs` is -0.5: give a positive number'),
    ({'timestep_fs': '1'}, "`settings.timestep_fs` is '1': give a number"),
    ({'timestep_fs': math.inf}, '`settings.timestep_fs` is inf: give a number'),
    ({'timestep_fs': 2.5}, '`timestep_fs` is 2.5: with hydrogen give at most 2.0 fs'),
    (
        {'npt': {'output_interval_fs': 40_000}},
        '`settings.npt.output_interval_fs` (40000 fs) is longer than the run (30.0',
    ),
    ({'nve': {'time_ps': 50.0}}, '`settings.nve.time_ps` (50.0 ps) is too short for the fit window up to 10.0 ps: run'),
    ({'nve': {'output_interval_fs': 5000}}, 'leaves too few frames in the window 2-10 ps: give at most 2000 fs'),
    ({'nve': {'time_ps': None}}, '`settings.nve.time_ps` is None: give a number'),
    ({'nve': {'time_ps': True}}, '`settings.nve.time_ps` is True: give a number'),
    ({'nve': {'checkpoint_interval_ps': 'often'}}, "`settings.nve.checkpoint_interval_ps` is 'often': give a number"),
    ({'analysis': {'window_ps': [10.0, 2.0]}}, '`settings.analysis.window_ps` is [10.0, 2.0]: give two increasing'),
    ({'analysis': {'window_ps': [2.0, 2.0]}}, '`settings.analysis.window_ps` is [2.0, 2.0]: give two increasing'),
    ({'analysis': {'window_ps': [0.0, 2.0]}}, '`settings.analysis.window_ps` is [0.0, 2.0]'),
    ({'analysis': {'window_ps': [2.0]}}, '`settings.analysis.window_ps` is [2.0]'),
    ({'analysis': {'window_ps': 2.0}}, '`settings.analysis.window_ps` is 2.0: give two increasing'),
    ({'analysis': {'window_ps': ['a', 'b']}}, "`settings.analysis.window_ps` is ['a', 'b']: give two increasing"),
    ({'analysis': {'rdf_bins': 0}}, '`settings.analysis.rdf_bins` is 0: give a positive number'),
    ({'analysis': {'rdf_bins': 20.5}}, '`settings.analysis.rdf_bins` is 20.5: give a whole number'),
    ({'analysis': {'rdf_r_max_A': 'far'}}, "`settings.analysis.rdf_r_max_A` is 'far': give a number"),
    ({'analysis': {'jump_length_A': -1.0}}, '`settings.analysis.jump_length_A` is -1.0: give a positive number'),
    ({'nvt': {'average_fraction': 1.5}}, '`settings.nvt.average_fraction` is 1.5: give a number above 0 and at most 1'),
    ({'npt': {'average_fraction': 0}}, '`settings.npt.average_fraction` is 0'),
    ({'nvt': {'average_fraction': 'half'}}, "`settings.nvt.average_fraction` is 'half': give a number"),
    ({'nvt': {'thermostat': 'berendsen'}}, "`settings.nvt`: `thermostat` is 'berendsen': choose one of langevin"),
    ({'npt': {'barostat': 'none'}}, "`settings.npt`: `barostat` is 'none': choose one of isotropic"),
    ({'npt': {'thermostat_time_fs': 0}}, '`settings.npt.thermostat_time_fs` is 0: give a positive number'),
    ({'npt': {'pressure_GPa': 'none'}}, "`settings.npt.pressure_GPa` is 'none': give a number"),
    (
        {'gate': {'temperature_tolerance_K': -3}},
        '`settings.gate.temperature_tolerance_K` is -3: give a positive number',
    ),
    ({'gate': {'drift_limit_meV_per_atom_per_ns': 0}}, '`settings.gate.drift_limit_meV_per_atom_per_ns` is 0'),
    ({'allow_small_cell': 'yes'}, "`settings.allow_small_cell` is 'yes': give true or false"),
]


@pytest.mark.parametrize(('overrides', 'message'), SETTINGS)
def test_settings(error_of, study_inputs, overrides, message):
    assert message in error_of(STUDY, study_inputs(overrides=overrides))


def test_pressure_may_be_negative_and_checkpoints_left_out(error_of, study_inputs):
    overrides = {'npt': {'pressure_GPa': -0.5, 'checkpoint_interval_ps': None}}
    assert error_of(STUDY, study_inputs(overrides=overrides)) is None


def test_settings_with_unknown_or_missing_keys(study_inputs):
    settings = study_inputs()['settings'].get_dict()
    error = settings_error({**settings, 'nve': {**settings['nve'], 'output_intervall_fs': 1}})
    assert error == ('unknown key `settings.nve.output_intervall_fs`. Did you mean `settings.nve.output_interval_fs`?')
    del settings['analysis']['window_ps']
    assert settings_error(settings).startswith('`settings.analysis.window_ps` is missing: start from a protocol')
    del settings['analysis']
    assert settings_error(settings).startswith('`settings.analysis` is missing')


def test_structures_are_checked(error_of, study_inputs, generate_structure):
    def error(atoms):
        return error_of(STUDY, study_inputs(structure=generate_structure(atoms=atoms)))

    close = nickel_hydride()
    close.positions[-1] = close.positions[0] + [0.2, 0.0, 0.0]
    mirrored = nickel_hydride()
    mirrored.cell = np.diag([7.04, 7.04, -7.04])
    slab = nickel_hydride()
    slab.pbc = [True, True, False]
    broken = nickel_hydride()
    broken.positions[3, 0] = np.nan
    assert '(Ni32) has no hydrogen: insert it' in error(nickel_hydride()[:-1])
    assert '(H) has no host atoms' in error(nickel_hydride()[-1:])
    assert 'hydrogen atom 32 is 0.20 Å from another atom: keep at least 0.5 Å' in error(close)
    assert 'left-handed or coplanar' in error(mirrored)
    assert 'not periodic' in error(slab)
    assert 'not finite numbers' in error(broken)


def test_a_cell_smaller_than_twice_the_cutoff(error_of, study_inputs, generate_potential):
    potentials = {'lj': generate_potential(cutoff_A=5.0)}
    error = error_of(STUDY, study_inputs(potentials=potentials))
    assert '(smallest height 7.04 Å) is smaller than twice the cutoff of potential ' in error
    assert "'lj' (5.00 Å): take a larger supercell" in error
    assert error_of(STUDY, study_inputs(potentials=potentials, overrides={'allow_small_cell': True})) is None


def test_a_potential_without_an_element(error_of, study_inputs, generate_potential):
    error = error_of(STUDY, study_inputs(potentials={'lj': generate_potential(elements=('Ni', 'Al'))}))
    assert "potential 'lj' lacks H of the structure (it covers Ni, Al): give a potential of all elements" in error


@pytest.mark.parametrize('label', ['a__b', 'a_', '1a', 'mein potential', 'a-b', 'ä', '_a'])
def test_labels_that_cannot_become_link_labels(error_of, study_inputs, generate_potential, label):
    error = error_of(STUDY, study_inputs(potentials={label: generate_potential()}))
    assert f'the label {label!r} of a potential cannot be used: give letters, digits' in error


def test_no_potential(error_of, study_inputs):
    assert '`potentials` is empty: give at least one' in error_of(STUDY, study_inputs(potentials={}))


def test_codes(error_of, study_inputs, fake_code, generate_potential, tmp_path):
    error = error_of(STUDY, study_inputs(codes={}))
    assert "`codes.lammps` is missing, which runs potential 'lj' (lammps)" in error
    potentials = {'mace': generate_potential('mace')}
    error = error_of(STUDY, study_inputs(potentials=potentials))
    assert "`codes.engine` is missing, which runs potential 'mace' (mace)" in error
    error = error_of(STUDY, study_inputs(codes={'lammps': fake_code('hdiff.md')}))
    assert "`codes.lammps` is set up for 'hdiff.md': give one whose default plugin is 'hdiff.lammps_md'" in error
    gone = fake_code(label='gone', filepath_executable='/no/such/lmp')
    error = error_of(STUDY, study_inputs(codes={'lammps': gone}))
    assert "the executable of code 'gone@localhost' does not exist: run `aiida-hdiff setup`" in error
    path = tmp_path / 'lmp'
    path.touch(mode=0o644)
    plain = fake_code(label='plain', filepath_executable=str(path))
    error = error_of(STUDY, study_inputs(codes={'lammps': plain}))
    assert "the executable of code 'plain@localhost' is not executable" in error


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'seed': -1}, '`seed` is -1: give a whole number from 0 to 2147483647'),
        ({'seed': 2**31}, '`seed` is 2147483648: give a whole number from 0 to 2147483647'),
        ({'replicas': 0}, '0 is given: give a whole number of at least 1'),
    ],
)
def test_whole_numbers(error_of, study_inputs, changes, message):
    values = {key: orm.Int(value) for key, value in changes.items()}
    assert message in error_of(STUDY, study_inputs(**values))


def test_concurrency(error_of, study_inputs):
    assert 'give a whole number of at least 1' in error_of(STUDY, study_inputs(max_concurrent=0))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'max_wallclock_second': 60},
            'unknown key `options.max_wallclock_second`. Did you mean `options.max_wallclock_seconds`?',
        ),
        ({'max_wallclock_seconds': 'long'}, '`options`: '),
        ({'resources': {'num_machines': 'two'}}, "`options.resources` is {'num_machines': 'two'}: "),
        ({'resources': {'nodes': 2}}, "`options.resources` is {'nodes': 2}: "),
    ],
)
def test_options_of_the_jobs(error_of, study_inputs, stage_inputs, options, message):
    assert message in error_of(STUDY, study_inputs(options=options))


def test_good_options_are_accepted(error_of, study_inputs):
    options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 2}, 'max_wallclock_seconds': 60}
    assert error_of(STUDY, study_inputs(options=options)) is None
    assert options['resources'] == {'num_machines': 1, 'num_mpiprocs_per_machine': 2}


def one_temperature(values, **changes):
    inputs = {
        'structure': values['structure'],
        'potential': values['potentials']['lj'],
        'code': values['codes']['lammps'],
        'temperature': orm.Float(800.0),
        'settings': values['settings'],
        'seed': values['seed'],
    }
    return {**inputs, **changes}


def test_one_temperature(error_of, study_inputs, fake_code, generate_potential, generate_structure):
    name, values = 'hdiff.diffusivity', study_inputs()
    assert error_of(name, one_temperature(values)) is None
    for changes, message in (
        ({'temperature': orm.Float(0.0)}, '`temperature` is 0.0: give a positive number in K'),
        ({'code': fake_code('hdiff.md')}, "is set up for 'hdiff.md', which cannot run a lammps potential"),
        (
            {'potential': generate_potential('lennard_jones')},
            'which cannot run a lennard_jones potential: give a code whose default plugin',
        ),
        ({'code': fake_code(label='none', filepath_executable='/no/such')}, 'does not exist: run `aiida-hdiff setup`'),
        ({'structure': generate_structure(atoms=nickel_hydride()[:-1])}, 'has no hydrogen'),
        ({'options': {'wall': 1}}, 'unknown key `options.wall`'),
        ({'settings': orm.Dict({})}, '`settings.timestep_fs` is missing'),
    ):
        assert message in error_of(name, one_temperature(values, **changes))


def test_one_stage(error_of, stage_inputs, fake_code, generate_potential, generate_state):
    name = 'hdiff.md_stage'
    assert error_of(name, stage_inputs()) is None
    for changes, message in (
        ({'parameters': orm.Dict({'ensemble': 'nve'})}, 'setting `temperature_K` is missing'),
        ({'code': fake_code('core.arithmetic.add')}, "is set up for 'core.arithmetic.add': give a code whose default"),
        ({'potential': generate_potential('lennard_jones')}, 'which cannot run a lennard_jones potential'),
        ({'potential': generate_potential(elements=('Ni',))}, 'but not H of `structure`'),
        ({'state': generate_state(repeats=1)}, '`state` has other atoms'),
    ):
        assert message in error_of(name, stage_inputs(**changes))


def test_launching_a_bad_study_leaves_nothing_behind(study_inputs):
    from aiida.engine import run
    from aiida.plugins import WorkflowFactory

    values = study_inputs(temperatures=orm.List([800]))
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    with pytest.raises(ValueError, match='needs at least two temperatures'):
        run(WorkflowFactory(STUDY), **values)
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before
