"""Protocols, stages and bad input of the on-the-fly training, without running anything."""

import pytest
from aiida import orm

from aiida_hdiff.workflows.training import (
    OnTheFlyProtocols,
    planned_jobs,
    plateau_name,
    stage_constraint,
    stage_groups,
    stage_incar,
    stage_settings,
)
from aiida_hdiff.workflows.training_validation import dataset_error, training_settings_error
from tests.workflows.training_fixtures import REFERENCE, labelled_dataset

PROTOCOLS = ('demo', 'fast', 'moderate', 'paper')


def settings_of(protocol='moderate', **overrides):
    return OnTheFlyProtocols.get_protocol_settings(protocol, overrides)


def changed(path, value):
    """Return the default settings with one leaf changed, whatever it is."""
    settings = settings_of()
    target, (*parents, last) = settings, path.split('.')
    for key in parents:
        target[key] = dict(target[key])
        target = target[key]
    target[last] = value
    return settings


def test_the_protocols_are_these():
    assert tuple(OnTheFlyProtocols.get_available_protocols()) == PROTOCOLS
    assert OnTheFlyProtocols.get_default_protocol() == 'moderate'
    for protocol in PROTOCOLS:
        assert training_settings_error(settings_of(protocol)) is None


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_the_tags_of_every_stage(data_regression, protocol):
    settings = settings_of(protocol)
    names = [name for group in stage_groups(settings) for name in group]
    data_regression.check({name: stage_incar(settings, name, n_species=2) for name in names})


def test_the_paper_protocol_is_the_reference_study():
    settings = settings_of('paper')
    ramp, plateau = (stage_settings(settings, name) for name in ('ramp', 'train_673K'))
    assert (ramp['steps'], ramp['end_K'], plateau['steps']) == (200_000, 700.0, 100_000)
    tags = stage_incar(settings, 'ramp', n_species=2)
    expected = {
        'GGA': 'PE', 'ENCUT': 600.0, 'EDIFF': 1e-4, 'POTIM': 1.0, 'MDALGO': 3, 'ISIF': 3, 'PSTRESS': 0.0,
        'LANGEVIN_GAMMA': [10.0, 10.0], 'LANGEVIN_GAMMA_L': 10.0, 'ML_ICRITERIA': 1,
    }  # fmt: skip
    assert {key: tags[key] for key in expected} == expected
    assert ramp['threshold_eV_A'] == 0.005
    assert stage_constraint(settings, 'ramp') == 'fixed_shape'
    assert list(planned_jobs(settings).values()) == [20, 10, 10, 10, 1]


def test_the_density_functional_calculation_is_the_same_in_all_stages():
    from aiida_hdiff.formats.incar import electronic_settings

    settings = settings_of('paper', incar={'ispin': 2, 'MAGMOM': '32*0.6 1*0'})
    names = [name for group in stage_groups(settings, from_dataset=True) for name in group]
    found = [electronic_settings(stage_incar(settings, name, n_species=2)) for name in names]
    assert all(values == found[0] for values in found)
    assert found[0]['ISPIN'] == 2.0


def test_the_order_of_the_stages():
    serial, parallel = settings_of(), settings_of(plateaus={'order': 'parallel'})
    plateaus = ['train_300K', 'train_480K', 'train_673K']
    assert stage_groups(serial) == [['ramp'], *([name] for name in plateaus), ['refit']]
    assert stage_groups(parallel) == [['ramp'], plateaus, ['select'], ['refit']]
    assert stage_groups(serial, from_dataset=True)[0] == ['start']
    assert stage_groups(settings_of(ramp={'time_ps': 0.0}))[0] == ['train_300K']
    assert plateau_name(333.25) == 'train_333p25K'


def test_a_fixed_cell_has_no_barostat_and_no_ICONST():
    settings = settings_of(cell='fixed')
    tags = stage_incar(settings, 'ramp', n_species=2)
    assert tags['ISIF'] == 2
    assert not {'PMASS', 'LANGEVIN_GAMMA_L', 'PSTRESS'} & set(tags)
    assert stage_constraint(settings, 'ramp') is None
    assert stage_constraint(settings_of(cell='free'), 'ramp') == 'none'


def test_tags_are_added_and_removed():
    settings = settings_of(incar={'sigma': None, 'ISPIN': 2}, ml={'ML_RCUT1': 7.0})
    tags = stage_incar(settings, 'ramp', n_species=2)
    assert 'SIGMA' not in tags
    assert (tags['ISPIN'], tags['ML_RCUT1']) == (2, 7.0)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'ramps': {}}, 'unknown key `ramps`. Did you mean `ramp`?'),
        ({'ramp': {'time': 1.0}}, 'unknown key `ramp.time`. Did you mean `ramp.time_ps`?'),
        ({'incar': 5}, '`incar` is 5: give a mapping of INCAR tags.'),
    ],
)
def test_unknown_overrides(overrides, message):
    with pytest.raises(ValueError) as caught:
        settings_of(**overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('ramp.start_K', 0.0, '`settings.ramp.start_K` is 0.0: give a positive number'),
        ('ramp.start_K', 0.5, 'VASP takes TEBEG near 0 for a relaxation; give at least 1 K'),
        ('plateaus.temperatures_K', [300.0, 0.0], 'holds 0.0 K'),
        ('plateaus.temperatures_K', [300, 300.0], 'give each temperature once'),
        ('plateaus.temperatures_K', 300.0, 'give a list of temperatures'),
        ('plateaus.order', 'both', 'give one of serial, parallel'),
        ('cell', 'hexagonal', 'give one of fixed_shape'),
        ('learning.criterion', 4, 'give one of 0, 1, 2'),
        ('learning.criterion', True, 'give one of 0, 1, 2'),
        ('learning.threshold_eV_A', 5.0, 'ML_CTIFOR is in eV/Å, for example 0.005 for 5 meV/Å'),
        ('learning.ramp_cx', 3.0, 'ML_CX goes from'),
        ('learning.growth', 1.0, 'give a factor above 1'),
        ('learning.max_configurations', 10.5, 'give a whole number'),
        ('learning.carry_threshold', 1, 'give true or false'),
        ('chunk_steps', 10**6, 'would take gigabytes'),
        ('timestep_fs', 5.0, 'at most 2 fs'),
        ('pressure_GPa', 'high', 'give a number'),
        ('retries.scf', -1, 'give zero or a positive number'),
        ('incar', {'ML_ISTART': 0}, '`settings.incar.ML_ISTART` is deprecated'),
        ('ml', {'ml_istart': 2}, '`settings.ml.ml_istart` is deprecated'),
        ('incar', {'TEBEG': 0}, 'is set by `ramp.start_K` and `plateaus.temperatures_K`: leave it out'),
        ('incar', {'nsw': 5}, 'is set by `ramp.time_ps`'),
        ('ml', {'ML_CTIFOR': 0.1}, 'is set by `learning.threshold_eV_A`'),
        ('incar', {'ML_RCUT1': 5}, 'give it in `settings.ml`'),
        ('ml', {'ENCUT': 5}, 'give it in `settings.incar`'),
        ('incar', {'ALGO': 'All'}, 'ALGO = All'),
        ('accepted_tags', 'NEWTAG', 'give a list of INCAR tags'),
        ('incar', 3, 'give a mapping of INCAR tags'),
    ],
)
def test_bad_settings(path, value, message):
    assert message in training_settings_error(changed(path, value))


def test_missing_and_unknown_settings():
    settings = settings_of()
    assert training_settings_error({**settings, 'chunks': 3}).startswith('unknown key `settings.chunks`')
    del settings['seed' if 'seed' in settings else 'ramp']
    assert training_settings_error(settings) == '`settings.ramp` is missing: start from a protocol, which sets all.'
    nothing = settings_of(ramp={'time_ps': 0.0}, plateaus={'temperatures_K': []})
    assert 'give something to train on' in training_settings_error(nothing)


def test_labels_to_go_on_from():
    known = {
        'settings': settings_of(),
        'n_frames': 10,
        'elements': ['H', 'Ni'],
        'references': [REFERENCE],
        'symbols': ['Ni', 'H'],
        'expected_reference': REFERENCE,
    }
    assert dataset_error(**known) is None
    for changes, message in (
        ({'n_frames': 3000}, '`settings.learning.max_configurations` is 3000, but `dataset` has 3000 frames'),
        ({'elements': ['Ni']}, '`dataset` has no H of `structure`'),
        ({'references': ['vasp:other']}, 'must be equal'),
        ({'references': [REFERENCE, 'vasp:other']}, 'must be equal'),
    ):
        assert message in dataset_error(**{**known, **changes})


@pytest.fixture
def training_inputs(fake_code, generate_structure, fake_potcars):
    """Give a factory of valid inputs of a training."""
    pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

    def factory(overrides=None, **changes):
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        values = {
            'code': fake_code('hdiff.vasp_mlff'),
            'structure': generate_structure(),
            'kpoints': kpoints,
            'potcars': fake_potcars(),
            'settings': orm.Dict(OnTheFlyProtocols.get_protocol_settings('demo', overrides)),
            'seed': orm.Int(1),
        }
        return {**values, **changes}

    return factory


def test_bad_inputs(error_of, training_inputs, fake_code, generate_structure, fake_potcars):
    from ase import Atoms
    from ase.build import bulk

    mixed = Atoms('HNi', positions=[[0, 0, 0], [2, 2, 2]], cell=[5, 5, 5], pbc=True)
    mixed.extend(Atoms('H', positions=[[4, 4, 4]]))
    potcars = fake_potcars()
    for changes, message in (
        ({'code': fake_code('hdiff.md')}, "give a code whose default plugin is 'hdiff.vasp_mlff'"),
        ({'structure': generate_structure(atoms=mixed)}, 'sort the sites by element'),
        ({'potcars': {'Ni': potcars['Ni']}}, '`potcars` has no POTCAR for H of `structure`'),
        ({'potcars': {**potcars, 'H': potcars['Ni']}}, '`potcars.H` is the POTCAR of Ni, but H is H'),
        ({'structure': generate_structure(atoms=bulk('Ni', cubic=True))}, 'belongs to no kind'),
        (
            {'overrides': {'incar': {'ENCUTT': 5}}},
            '`ENCUTT` is no known INCAR tag. Did you mean `ENCUT`? Name a new tag in `settings.accepted_tags`.',
        ),
        ({'overrides': {'ml': {'ML_RCUTT': 5}}}, 'INCAR of stage ramp: `ML_RCUTT` is no known INCAR tag'),
        ({'overrides': {'incar': {'ISYM': 2}}}, '`ISYM` is 2'),
        ({'overrides': {'friction_per_ps': 0.0}}, 'there is no thermostat'),
        ({'dataset': labelled_dataset([1, 2])}, 'must be equal'),
    ):
        assert message in error_of('hdiff.on_the_fly', training_inputs(**changes)), changes
    assert error_of('hdiff.on_the_fly', training_inputs()) is None
    accepted = {'incar': {'NEWTAG': 5}, 'accepted_tags': ['NEWTAG']}
    assert error_of('hdiff.on_the_fly', training_inputs(overrides=accepted)) is None


def test_the_builder(fake_code, generate_structure, fake_potcars, error_of):
    pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')
    from aiida_hdiff.workflows.on_the_fly import OnTheFlyWorkChain
    from tests.vasp_fixtures import POTCAR_FAMILY

    potcars = fake_potcars()
    arguments = (fake_code('hdiff.vasp_mlff'), generate_structure())
    builder = OnTheFlyWorkChain.get_builder_from_protocol(
        *arguments, POTCAR_FAMILY, protocol='fast', overrides={'ramp': {'time_ps': 3.0}}, seed=5
    )
    assert {kind: node.pk for kind, node in builder.potcars.items()} == {
        kind: node.pk for kind, node in potcars.items()
    }
    assert builder.kpoints.get_kpoints_mesh()[0] == [3, 3, 3]
    assert builder.settings['ramp']['time_ps'] == 3.0
    assert error_of('hdiff.on_the_fly', builder._inputs(prune=True)) is None
    with pytest.raises(ValueError, match="POTCAR family 'no-such-family' does not exist"):
        OnTheFlyWorkChain.get_builder_from_protocol(*arguments, 'no-such-family')
