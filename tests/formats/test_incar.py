"""INCAR: written, read, checked, and the identity of the level of theory."""

import pytest

from aiida_hdiff.formats.incar import (
    dft_settings_hash,
    electronic_settings,
    format_incar,
    normalised,
    number,
    numbers,
    read_incar,
    seed_value,
    truth,
)
from aiida_hdiff.formats.incar_checks import incar_error, ml_mode
from aiida_hdiff.formats.vasp_versions import parse_version, version_problems

SPECIES = ('Mg', 'H')
DFT = {
    'GGA': 'PE',
    'ENCUT': 600,
    'EDIFF': 1e-5,
    'PREC': 'Accurate',
    'ISMEAR': 1,
    'SIGMA': 0.1,
    'LREAL': 'Auto',
    'ISYM': 0,
}
TRAIN = {
    **DFT,
    'ML_LMLFF': True,
    'ML_MODE': 'train',
    'ML_CTIFOR': 0.005,
    'ML_MCONF': 5000,
    'ML_MB': 4000,
    'IBRION': 0,
    'NSW': 10000,
    'POTIM': 1.0,
    'MDALGO': 3,
    'ISIF': 3,
    'LANGEVIN_GAMMA': [10, 10],
    'LANGEVIN_GAMMA_L': 10,
    'PMASS': 1000,
    'PSTRESS': 0,
    'TEBEG': 1,
    'TEEND': 700,
    'RANDOM_SEED': '4711 0 0',
}
RUN_NVE = {
    'ML_LMLFF': True,
    'ML_MODE': 'run',
    'ML_OUTBLOCK': 10,
    'ML_OUTPUT_MODE': 0,
    'IBRION': 0,
    'NSW': 1000000,
    'POTIM': 0.7,
    'MDALGO': 1,
    'ISIF': 2,
    'ANDERSEN_PROB': 0.0,
    'TEBEG': 480,
    'RANDOM_SEED': '1 0 0',
}
OTHER = {tag for tag in (*TRAIN, *RUN_NVE) if not tag.startswith('ML_')} | {
    'KSPACING',
    'MAXMIX',
    'NBLOCK',
    'KBLOCK',
    'POMASS',
}


def error(base=TRAIN, *, constraint='fixed_shape', n_configurations=None, species=SPECIES, extra=(), **changes):
    tags = {key: value for key, value in {**base, **changes}.items() if value is not ...}
    return incar_error(
        tags, species, constraint=constraint, n_configurations=n_configurations, other_tags=OTHER, extra_tags=extra
    )


def test_the_stages_of_the_reference_study_are_accepted():
    assert error() is None
    assert error(n_configurations=4999) is None
    assert error(RUN_NVE, constraint=None) is None
    nvt = {'MDALGO': 3, 'ANDERSEN_PROB': ..., 'LANGEVIN_GAMMA': '10 10', 'TEEND': 480}
    assert error(RUN_NVE, constraint=None, **nvt) is None
    refit = {**DFT, 'ML_LMLFF': '.TRUE.', 'ML_MODE': 'refit'}
    assert error(refit, constraint=None) is None
    assert error(refit, constraint=None, NSW=1) is None
    assert error(ML_MODE='TRAIN') is None


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'ML_ISTART': 2, 'ML_MODE': ...}, '`ML_ISTART` is deprecated since VASP 6.4: give `ML_MODE` = run instead'),
        ({'ML_ISTART': '4'}, 'give `ML_MODE` = refit instead'),
        ({'ML_ISTART': 7}, 'give `ML_MODE` = train, select, refit or run instead'),
        ({'ML_LMLFF': ...}, '`ML_LMLFF` is not .TRUE., but ML_CTIFOR is given: set it'),
        ({'ML_LMLFF': '.FALSE.'}, '`ML_LMLFF` is not .TRUE.'),
        ({'ML_MODE': ...}, '`ML_MODE` is missing: give one of train, select'),
        ({'ML_MODE': 'Train'}, "`ML_MODE` is 'Train', which stops VASP: write it as train"),
        (
            {'ML_MODE': 'tran'},
            "`ML_MODE` is 'tran': give one of train, select, refit, refitbayesian, run. Did you mean train?",
        ),
        ({'ML_LFAST': True}, '`ML_LFAST` is set by a refit: leave it out'),
        ({'KSPACING': 0.2}, '`KSPACING` and `KGAMMA` are ignored'),
        ({'ML_CTIFR': 0.1}, '`ML_CTIFR` is no known INCAR tag. Did you mean `ML_CTIFOR`?'),
        ({'TEBEGG': 0.1}, '`TEBEGG` is no known INCAR tag. Did you mean `TEBEG`?'),
        ({'tebeg': 300}, '`TEBEG` is given twice in different spellings'),
        ({'ML CTIFOR': 3}, "'ML CTIFOR' is no INCAR tag"),
        ({'ML_CTIFOR': 0}, '`ML_CTIFOR` is 0: give a positive number'),
        ({'ML_CTIFOR': 'small'}, "`ML_CTIFOR` is 'small': give a positive number"),
        ({'ML_MCONF': 0.5}, '`ML_MCONF` is 0.5: give a whole number of at least 1'),
        ({'ML_ICRITERIA': 5}, '`ML_ICRITERIA` is 5: give 0 (fixed threshold)'),
        ({'ML_OUTBLOCK': 10}, '`ML_OUTBLOCK` only acts with ML_MODE = run'),
        ({'MAXMIX': 40}, '`MAXMIX` breaks down'),
        ({'IBRION': 2}, '`IBRION` is 2: give 0, which is molecular dynamics'),
        ({'NSW': ...}, '`NSW` is None: give a whole number of at least 1'),
        ({'NSW': 0}, '`NSW` is 0: give a whole number of at least 1'),
        ({'POTIM': ...}, '`POTIM` is None: give the time step in fs'),
        ({'POTIM': 5}, '`POTIM` is 5: give the time step in fs, at most 2 fs'),
        ({'ISYM': 2}, '`ISYM` is 2: give 0'),
        ({'TEBEG': 0}, '`TEBEG` is 0: give at least 1 K'),
        ({'TEEND': 1e-4}, '`TEEND` is 0.0001: give at least 1 K'),
        ({'TEBEG': ...}, '`TEBEG` is missing'),
        ({'MDALGO': 0}, '`MDALGO` is 0: give 3 (Langevin) or 1'),
        ({'MDALGO': ...}, '`MDALGO` is None: give 3 (Langevin) or 1'),
        ({'ISIF': 4}, '`ISIF` is 4: give 2 (fixed cell) or 3'),
        ({'MDALGO': 2}, '`ISIF` = 3 with `MDALGO` = 2: constant pressure needs MDALGO = 3'),
        ({'LANGEVIN_GAMMA': [10]}, '`LANGEVIN_GAMMA` is [10]: give 2 numbers in 1/ps, one per species'),
        ({'LANGEVIN_GAMMA': ...}, '`LANGEVIN_GAMMA` is None: give 2 numbers'),
        ({'LANGEVIN_GAMMA': '2*0'}, '`LANGEVIN_GAMMA` is zero for all species'),
        ({'LANGEVIN_GAMMA_L': ...}, '`LANGEVIN_GAMMA_L` is None: give a positive number for the lattice'),
        ({'PMASS': -1}, '`PMASS` is -1: give a positive number for the lattice'),
        ({'RANDOM_SEED': ...}, '`RANDOM_SEED` is None: give three whole numbers'),
        ({'RANDOM_SEED': '1 2'}, "`RANDOM_SEED` is '1 2': give three whole numbers"),
        ({'NBLOCK': 0}, '`NBLOCK` is 0: give a whole number'),
        ({'NBLOCK': 50000, 'KBLOCK': 50000}, 'above 2147483647, which gives NaN'),
        ({'POMASS': '24.3'}, "`POMASS` is '24.3': give 2 positive masses in u"),
    ],
)
def test_training_that_cannot_run(changes, message):
    assert message in error(**changes)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'POMASS': '24.305 4.0'}, '`POMASS` of H is 4 u instead of 1.008 u: it changes the diffusion coefficient'),
        ({'ML_MCONF': 100}, '`ML_MCONF` steers the training, but ML_MODE = run does not train: leave it out'),
        ({'ANDERSEN_PROB': ...}, '`ANDERSEN_PROB` is None: give 0.0 for NVE'),
        ({'LANGEVIN_GAMMA': '10 10'}, 'is no Langevin thermostat: leave it out'),
        ({'PSTRESS': 1}, '`PSTRESS` is given, but ISIF = 2 does not change the cell: leave it out'),
        ({'ML_OUTBLOCK': 0}, '`ML_OUTBLOCK` is 0: give a whole number of at least 1'),
        ({'NSW': 10**9, 'ML_OUTBLOCK': 100}, 'above 2147483647'),
    ],
)
def test_production_that_cannot_run(changes, message):
    assert message in error(RUN_NVE, constraint=None, **changes)


def test_raised_masses_are_for_training_only():
    assert error(POMASS='24.305 4.0') is None
    assert error(RUN_NVE, constraint=None, POMASS='24.305 1.008') is None


def test_the_shape_of_the_cell_is_never_free_by_accident():
    assert '`constraint` is missing, and with ISIF = 3 the shape of the cell is free' in error(constraint=None)
    assert error(constraint='none') is None
    assert "`constraint` is 'shape': choose one of fixed_shape, fixed_angles, none" in error(constraint='shape')
    assert 'ISIF = 2 does not change the cell: leave it out' in error(RUN_NVE, constraint='fixed_shape')


def test_the_training_set_must_fit():
    message = error(n_configurations=5000)
    assert message == '`ML_MCONF` is 5000, but the ML_AB has 5000 configurations: give more, for example 7000.'
    assert error(n_configurations=5000, ML_MCONF=...) is None


def test_a_refit_makes_no_steps():
    refit = {**DFT, 'ML_LMLFF': True, 'ML_MODE': 'refit'}
    assert 'ML_MODE = refit makes no steps: leave it out' in error(refit, constraint=None, NSW=100)


def test_new_tags_can_be_named():
    assert 'no known INCAR tag' in error(ML_BRAND_NEW=1)
    assert error(ML_BRAND_NEW=1, extra=['ml_brand_new']) is None


def test_the_mode_is_found_in_any_spelling():
    assert ml_mode({'ml_mode': 'REFIT '}) == 'refit'
    assert ml_mode({'NSW': 1}) is None


def test_format(file_regression):
    text = format_incar({**TRAIN, 'system': 'Mg H', 'LWAVE': False, 'MAGMOM': [1.0, -1.5], 'NPAR': None})
    file_regression.check(text, basename='incar')
    assert 'NPAR' not in text


@pytest.mark.parametrize('value', ['a;b', 'a # b', 'two\nlines', {'a': 1}, [], object()])
def test_values_that_cannot_be_written(value):
    with pytest.raises(ValueError, match='`SYSTEM` is '):
        format_incar({'SYSTEM': value})


def test_read_what_was_written():
    values = read_incar(format_incar({**TRAIN, 'LWAVE': False, 'LANGEVIN_GAMMA': [10.0, 20.0]}))
    assert values['ML_LMLFF'] is True
    assert values['LWAVE'] is False
    assert values['NSW'] == 10000
    assert isinstance(values['NSW'], int)
    assert values['ML_CTIFOR'] == 0.005
    assert values['LANGEVIN_GAMMA'] == [10.0, 20.0]
    assert values['RANDOM_SEED'] == [4711, 0, 0]
    assert values['GGA'] == 'PE'
    assert error({**values, 'LANGEVIN_GAMMA': [10.0, 20.0]}, LWAVE=...) is None


def test_read_what_users_write():
    text = (
        ' encut=520 ; ediff = 1D-6 # comment\n! a line\nLANGEVIN_GAMMA = 10 \\\n 10\nENCUT = 300\nMAGMOM = 4*0.6 2\n\n'
    )
    assert read_incar(text) == {
        'ENCUT': 520, 'EDIFF': 1e-6, 'LANGEVIN_GAMMA': [10, 10], 'MAGMOM': [0.6, 0.6, 0.6, 0.6, 2.0],
    }  # fmt: skip
    with pytest.raises(ValueError, match="line 2: '1x' is no tag"):
        read_incar('A = 1\n1x = 2\n')


def test_values_of_tags():
    assert [truth(value) for value in ('.TRUE.', 'T', '.f.', 'no', 1, True)] == [True, True, False, None, None, True]
    assert numbers('2*1.5 3') == [1.5, 1.5, 3.0]
    assert numbers([1, '2']) == [1.0, 2.0]
    assert [numbers(value) for value in ('a', True, [True], '', None, [None])] == [None] * 6
    assert number('1d-3') == 1e-3
    assert number([1, 2]) is None
    assert seed_value(5) == '5 0 0'
    assert seed_value(2**31 - 1) == f'{2**31 - 1 - 2 * 900_000_000} 0 0'


def test_normalised_sorts_and_drops_what_is_not_set():
    assert list(normalised({'nsw': 1, 'Encut': 2, 'algo': None})) == ['ENCUT', 'NSW']


TITLES = ('PAW_PBE Mg 13Apr2007', 'PAW_PBE H 15Jun2001')
GAMMA = {'mesh': [1, 1, 1], 'offset': [0, 0, 0]}


def test_the_level_of_theory_does_not_depend_on_spelling_or_dynamics():
    reference = dft_settings_hash(TRAIN, TITLES, GAMMA)
    assert reference.startswith('vasp:')
    assert len(reference) == 21
    other = {key.lower(): value for key, value in reversed(TRAIN.items())}
    other |= {'encut': '600.0', 'prec': 'ACCURATE', 'nsw': 7, 'tebeg': 300, 'ml_mconf': 9, 'ncore': 4, 'lwave': '.F.'}
    other |= {'ediff': '1E-5', 'nelm': 200, 'ml_mode': 'select'}
    assert dft_settings_hash(other, TITLES[::-1], {'mesh': (1.0, 1, 1), 'offset': [0.0] * 3}) == reference
    assert dft_settings_hash(DFT, TITLES, GAMMA) == reference


@pytest.mark.parametrize(
    ('incar', 'titles', 'kpoints'),
    [
        ({**DFT, 'ENCUT': 500}, TITLES, GAMMA),
        ({**DFT, 'ISPIN': 2}, TITLES, GAMMA),
        ({**DFT, 'EDIFF': 1e-4}, TITLES, GAMMA),
        ({**DFT, 'ALGO': 'All'}, TITLES, GAMMA),
        (DFT, ('PAW_PBE Mg_pv 13Apr2007', TITLES[1]), GAMMA),
        (DFT, TITLES[:1], GAMMA),
        (DFT, TITLES, {'mesh': [2, 2, 2], 'offset': [0, 0, 0]}),
        (DFT, TITLES, {'mesh': [1, 1, 1], 'offset': [0.5, 0, 0]}),
    ],
)
def test_the_level_of_theory_depends_on_what_matters(incar, titles, kpoints):
    assert dft_settings_hash(incar, titles, kpoints) != dft_settings_hash(DFT, TITLES, GAMMA)


def test_electronic_settings():
    assert electronic_settings({'lreal': 'Auto', 'NSW': 5, 'ML_MB': 3, 'ispin': '2', 'LASPH': 'T', 'LDAUU': '0 3'}) == {
        'LREAL': 'auto', 'ISPIN': 2.0, 'LASPH': True, 'LDAUU': [0.0, 3.0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ('version', 'mode', 'options', 'refused', 'words'),
    [
        ('vasp.6.3.2 27Jun22', 'train', {}, [True], 'does not know ML_MODE'),
        ('6.4.1', 'run', {}, [False, False], 'ML_OUTBLOCK is incomplete'),
        ('6.4.1', 'run', {'angles_degrees': (90.0, 90.0, 45.0)}, [True, False], 'extreme angles'),
        ('6.4.1', 'run', {'angles_degrees': (90.0, 90.0, 120.0)}, [False, False], 'extreme angles'),
        ('6.4.3', 'train', {}, [False], 'too little memory'),
        ('6.5.0', 'train', {'n_machines': 2}, [True], '-Duse_shmem'),
        ('6.5.0', 'train', {}, [False], '-Duse_shmem'),
        ('6.4.3', 'run', {}, [], ''),
        ('6.5.1', 'train', {'n_machines': 4}, [], ''),
        ('EMULATOR', 'train', {}, [], ''),
    ],
)
def test_versions(version, mode, options, refused, words):
    problems = version_problems(version, mode, **options)
    assert [problem.refused for problem in problems] == refused
    assert words in ' '.join(problem.message for problem in problems)


def test_parse_version():
    assert parse_version('vasp.6.4.3 19Mar24 (build Apr 1 2024)') == (6, 4, 3)
    assert parse_version('EMULATOR') is None
