"""What is wrong with an INCAR of molecular dynamics with a machine-learned force field, found before VASP runs.

Sources: https://www.vasp.at/wiki/index.php/ML_MODE and the pages of the tags.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from aiida_hdiff.formats.iconst import CONSTRAINTS
from aiida_hdiff.formats.incar import normalised, number, numbers, truth

MODES = ('train', 'select', 'refit', 'refitbayesian', 'run')
MOVING_MODES = ('train', 'run')
LOWEST_TEMPERATURE_K = 1.0
"""VASP takes temperatures near zero as a sign that the atoms are to be relaxed."""
MASS_TOLERANCE = 0.01
LARGEST_COUNTER = 2**31 - 1

ML_TAGS = frozenset(
    (
        'ML_AFILT2 ML_CALGO ML_CDOUB ML_CSIG ML_CSLOPE ML_CTIFOR ML_CX ML_DESC_TYPE ML_EATOM_REF ML_EPS_LOW ML_EPS_REG '
        'ML_ESTBLOCK ML_FF_CTIFOR ML_IAFILT2 ML_IALGO_LINREG ML_IBROAD1 ML_IBROAD2 ML_ICOUPLE ML_ICRITERIA ML_ICUT1 '
        'ML_ICUT2 ML_IERR ML_INVERSE_SOAP ML_IREG ML_ISAMPLE ML_ISCALE_TOTEN ML_ISOAP1 ML_ISOAP2 ML_IWEIGHT '
        'ML_LAFILT2 ML_LBASIS_DISCARD ML_LCOUPLE ML_LEATOM ML_LERR ML_LHEAT ML_LIB ML_LMAX2 ML_LMLFF ML_LMLMB '
        'ML_LNORM1 ML_LNORM2 ML_LSIC ML_LSPARSDES ML_LSUPERVEC ML_LUSE_NAMES ML_LVARTRAN ML_MB ML_MCONF ML_MCONF_NEW '
        'ML_METRIC1 ML_METRIC2 ML_MHIS ML_MODE ML_MRB1 ML_MRB2 ML_MSPL1 ML_MSPL2 ML_NATOM_COUPLED ML_NCSHMEM ML_NHYP '
        'ML_NHYP1 ML_NHYP2 ML_NMDINT ML_NR1 ML_NR2 ML_NRANK_SPARSDES ML_OUTBLOCK ML_OUTPUT_MODE ML_RCOUPLE ML_RCUT1 '
        'ML_RCUT2 ML_RDES_SPARSDES ML_SCLC_CTIFOR ML_SIGV0 ML_SIGW0 ML_SION1 ML_SION2 ML_W1 ML_W2 ML_WTIFOR ML_WTOTEN '
        'ML_WTSIF'
    ).split()
)

Incar = Mapping[str, Any]


def incar_error(
    incar: Mapping[str, Any],
    species: Sequence[str],
    *,
    constraint: str | None = None,
    n_configurations: int | None = None,
    other_tags: Collection[str] = (),
    extra_tags: Collection[str] = (),
) -> str | None:
    """Return what is wrong with the INCAR of a force-field run, or ``None``.

    Parameters
    ----------
    incar
        Tags and values, in any spelling.
    species
        Chemical symbols in the order of POSCAR.
    constraint
        One of `aiida_hdiff.formats.iconst.CONSTRAINTS`: what holds the shape of the cell at constant pressure.
    n_configurations
        Number of configurations in the ML_AB that the run reads.
    other_tags
        All known tags that do not begin with ML_, in capitals; nothing is said about them if empty.
    extra_tags
        Further tags that are accepted without a check.
    """
    try:
        tags = normalised(incar)
    except ValueError as problem:
        return str(problem)
    error = _unknown_tag_error(tags, {tag.upper() for tag in other_tags}, {tag.upper() for tag in extra_tags})
    mode = None
    if error is None:
        error, mode = _mode_error(tags)
    if error is not None or mode is None:
        return error
    checks: list[Callable[[], str | None]] = [
        lambda: _forbidden_tag_error(tags),
        lambda: _learning_error(tags, mode, n_configurations),
    ]
    if mode in MOVING_MODES:
        checks += [
            lambda: _motion_error(tags),
            lambda: _temperature_error(tags),
            lambda: _ensemble_error(tags, len(species)),
            lambda: _pressure_error(tags, constraint),
            lambda: _seed_error(tags),
            lambda: _output_error(tags),
        ]
    elif number(tags.get('NSW', 1)) not in (0.0, 1.0):
        checks.append(lambda: f'`NSW` is {tags["NSW"]!r}, but ML_MODE = {mode} makes no steps: leave it out.')
    checks.append(lambda: _mass_error(tags, species, mode))
    return next((found for found in (check() for check in checks) if found is not None), None)


def ml_mode(incar: Mapping[str, Any]) -> str | None:
    """Return ML_MODE in small letters, or ``None``."""
    value = next((value for key, value in incar.items() if str(key).upper() == 'ML_MODE'), None)
    return str(value).strip().lower() if value is not None else None


def _unknown_tag_error(tags: Incar, other: Collection[str], extra: Collection[str]) -> str | None:
    for tag in tags:
        if tag in extra or tag in ML_TAGS or tag in _DEPRECATED:
            continue
        known = ML_TAGS if tag.startswith('ML_') else other
        if known and tag not in known:
            near = get_close_matches(tag, known, n=1)
            hint = f'Did you mean `{near[0]}`? ' if near else ''
            return f'`{tag}` is no known INCAR tag. {hint}Name a new tag in `unsupported_parameters` of the settings.'
    return None


def _mode_error(tags: Incar) -> tuple[str | None, str | None]:
    """Return what is wrong with the mode, and the mode."""
    if 'ML_ISTART' in tags:
        modes = {'0': 'train', '1': 'train', '2': 'run', '3': 'select', '4': 'refit'}
        mode = modes.get(str(tags['ML_ISTART']).strip(), 'train, select, refit or run')
        return f'`ML_ISTART` is deprecated since VASP 6.4: give `ML_MODE` = {mode} instead.', None
    if truth(tags.get('ML_LMLFF')) is not True:
        given = next((tag for tag in tags if tag.startswith('ML_') and tag != 'ML_LMLFF'), None)
        why = f', but {given} is given' if given else ''
        return f'`ML_LMLFF` is not .TRUE.{why}: set it, or use a calculation without a force field.', None
    value = tags.get('ML_MODE')
    if value is None:
        return f'`ML_MODE` is missing: give one of {", ".join(MODES)}.', None
    mode = str(value).strip()
    if mode.lower() not in MODES:
        near = get_close_matches(mode.lower(), MODES, n=1)
        hint = f' Did you mean {near[0]}?' if near else ''
        return f'`ML_MODE` is {value!r}: give one of {", ".join(MODES)}.{hint}', None
    if mode not in (mode.lower(), mode.upper()):
        return f'`ML_MODE` is {value!r}, which stops VASP: write it as {mode.lower()}, all letters small.', None
    return None, mode.lower()


_DEPRECATED = ('ML_ISTART', 'ML_LFAST')
_POSITIVE = ('ML_CTIFOR', 'ML_CDOUB', 'ML_SCLC_CTIFOR', 'ML_RCUT1', 'ML_RCUT2', 'ML_WTOTEN', 'ML_WTIFOR', 'ML_WTSIF')


def _forbidden_tag_error(tags: Incar) -> str | None:
    if 'ML_LFAST' in tags:
        return '`ML_LFAST` is set by a refit: leave it out, and run ML_MODE = refit for a fast force field.'
    if 'KSPACING' in tags or 'KGAMMA' in tags:
        return '`KSPACING` and `KGAMMA` are ignored where there are k-points: leave them out, and give `kpoints`.'
    return None


def _learning_error(tags: Incar, mode: str, n_configurations: int | None) -> str | None:
    for tag in (
        'ML_CTIFOR',
        'ML_CDOUB',
        'ML_SCLC_CTIFOR',
        'ML_RCUT1',
        'ML_RCUT2',
        'ML_WTOTEN',
        'ML_WTIFOR',
        'ML_WTSIF',
    ):
        value = number(tags[tag]) if tag in tags else 1.0
        if value is None or not value > 0:
            return f'`{tag}` is {tags[tag]!r}: give a positive number.'
    for tag in ('ML_MCONF', 'ML_MB', 'ML_MHIS', 'ML_MCONF_NEW', 'ML_OUTBLOCK'):
        error = _whole_number_error(tags, tag, 1)
        if error:
            return error
    if 'ML_ICRITERIA' in tags and number(tags['ML_ICRITERIA']) not in (0.0, 1.0, 2.0, 3.0):
        return f'`ML_ICRITERIA` is {tags["ML_ICRITERIA"]!r}: give 0 (fixed threshold), 1 (the default), 2 or 3.'
    if mode == 'run':
        for tag in ('ML_CTIFOR', 'ML_ICRITERIA', 'ML_CX', 'ML_MCONF', 'ML_MB'):
            if tag in tags:
                return f'`{tag}` steers the training, but ML_MODE = run does not train: leave it out.'
        return None
    if 'ML_OUTBLOCK' in tags and number(tags['ML_OUTBLOCK']) != 1.0:
        return f'`ML_OUTBLOCK` only acts with ML_MODE = run, not with {mode}: leave it out.'
    limit = number(tags.get('ML_MCONF', LARGEST_COUNTER))
    if n_configurations is not None and limit is not None and limit <= n_configurations:
        return (
            f'`ML_MCONF` is {tags["ML_MCONF"]}, but the ML_AB has {n_configurations} configurations: give more, for '
            f'example {n_configurations + 2000}.'
        )
    mixing = number(tags.get('MAXMIX', 0))
    if mode == 'train' and (mixing is None or mixing > 0):
        return '`MAXMIX` breaks down when electronic steps are rare: leave it out in training.'
    return None


def _motion_error(tags: Incar) -> str | None:
    if number(tags.get('IBRION')) != 0.0:
        return f'`IBRION` is {tags.get("IBRION")!r}: give 0, which is molecular dynamics.'
    error = _whole_number_error(tags, 'NSW', 1, required=True)
    if error:
        return error
    timestep = number(tags.get('POTIM'))
    if timestep is None or not 0 < timestep <= 2:
        return f'`POTIM` is {tags.get("POTIM")!r}: give the time step in fs, at most 2 fs with hydrogen.'
    if (number(tags.get('ISYM', 0)) or 0.0) > 0:
        return f'`ISYM` is {tags["ISYM"]!r}: give 0, molecular dynamics has no symmetry.'
    return None


def _temperature_error(tags: Incar) -> str | None:
    for tag in ('TEBEG', 'TEEND'):
        value = number(tags.get(tag))
        if tag in tags and (value is None or not value >= LOWEST_TEMPERATURE_K):
            return (
                f'`{tag}` is {tags[tag]!r}: give at least {LOWEST_TEMPERATURE_K:g} K; VASP takes a temperature near 0 '
                'for a relaxation.'
            )
    return '`TEBEG` is missing: give the temperature in K.' if 'TEBEG' not in tags else None


def _ensemble_error(tags: Incar, n_species: int) -> str | None:
    algorithm, isif = number(tags.get('MDALGO')), number(tags.get('ISIF'))
    if algorithm == 0.0 or algorithm is None:
        return (
            f'`MDALGO` is {tags.get("MDALGO")!r}: give 3 (Langevin) or 1 (Andersen, with ANDERSEN_PROB = 0 for NVE); '
            'MDALGO = 0 wraps the atoms into the cell.'
        )
    if isif not in (2.0, 3.0):
        return f'`ISIF` is {tags.get("ISIF")!r}: give 2 (fixed cell) or 3 (constant pressure, with MDALGO = 3).'
    if isif == 3.0 and algorithm != 3.0:
        return f'`ISIF` = 3 with `MDALGO` = {tags["MDALGO"]!r}: constant pressure needs MDALGO = 3.'
    if algorithm == 3.0:
        friction = numbers(tags.get('LANGEVIN_GAMMA'))
        if friction is None or len(friction) != n_species or any(value < 0 for value in friction):
            return (
                f'`LANGEVIN_GAMMA` is {tags.get("LANGEVIN_GAMMA")!r}: give {n_species} numbers in 1/ps, one per '
                'species in the order of POSCAR.'
            )
        if not any(friction):
            return '`LANGEVIN_GAMMA` is zero for all species: there is no thermostat; give for example 10.'
    elif 'LANGEVIN_GAMMA' in tags or 'LANGEVIN_GAMMA_L' in tags:
        return f'`LANGEVIN_GAMMA` is given, but MDALGO = {tags["MDALGO"]!r} is no Langevin thermostat: leave it out.'
    if algorithm == 1.0:
        probability = number(tags.get('ANDERSEN_PROB'))
        if probability is None or not 0 <= probability <= 1:
            return f'`ANDERSEN_PROB` is {tags.get("ANDERSEN_PROB")!r}: give 0.0 for NVE, or a probability.'
    return None


def _pressure_error(tags: Incar, constraint: str | None) -> str | None:
    if constraint is not None and constraint not in CONSTRAINTS:
        return f'`constraint` is {constraint!r}: choose one of {", ".join(CONSTRAINTS)}.'
    if number(tags['ISIF']) != 3.0:
        if constraint not in (None, 'none'):
            return f'`constraint` is {constraint!r}, but ISIF = 2 does not change the cell: leave it out.'
        given = next((tag for tag in ('PSTRESS', 'PMASS', 'LANGEVIN_GAMMA_L') if tag in tags), None)
        return f'`{given}` is given, but ISIF = 2 does not change the cell: leave it out.' if given else None
    if constraint is None:
        return (
            '`constraint` is missing, and with ISIF = 3 the shape of the cell is free to change: give fixed_shape '
            '(volume only, by an ICONST file), fixed_angles, or none.'
        )
    for tag, required in (('LANGEVIN_GAMMA_L', True), ('PMASS', False)):
        value = number(tags.get(tag))
        if (required or tag in tags) and (value is None or not value > 0):
            return f'`{tag}` is {tags.get(tag)!r}: give a positive number for the lattice at constant pressure.'
    return None


def _seed_error(tags: Incar) -> str | None:
    seed = numbers(tags.get('RANDOM_SEED'))
    if seed is None or len(seed) != 3 or any(value < 0 or not value.is_integer() for value in seed):
        return (
            f'`RANDOM_SEED` is {tags.get("RANDOM_SEED")!r}: give three whole numbers such as "4711 0 0", so that the '
            'random numbers of the run are known.'
        )
    return None


def _output_error(tags: Incar) -> str | None:
    for tag in ('NBLOCK', 'KBLOCK'):
        error = _whole_number_error(tags, tag, 1)
        if error:
            return error
    steps, blocks = number(tags['NSW']) or 1, number(tags.get('ML_OUTBLOCK', 1)) or 1
    if (
        max(steps * blocks, (number(tags.get('NBLOCK', 1)) or 1) * (number(tags.get('KBLOCK', 1)) or 1))
        > LARGEST_COUNTER
    ):
        return (
            'NSW × ML_OUTBLOCK or NBLOCK × KBLOCK is above 2147483647, which gives NaN up to VASP 6.4.3: make the run '
            'shorter.'
        )
    return None


def _mass_error(tags: Incar, species: Sequence[str], mode: str) -> str | None:
    if 'POMASS' not in tags:
        return None
    from ase.data import atomic_masses, atomic_numbers

    masses = numbers(tags['POMASS'])
    if masses is None or len(masses) != len(species) or not all(mass > 0 for mass in masses):
        return f'`POMASS` is {tags["POMASS"]!r}: give {len(species)} positive masses in u, in the order of POSCAR.'
    for symbol, mass in zip(species, masses, strict=True):
        natural = float(atomic_masses[atomic_numbers[symbol]])
        if mode == 'run' and abs(mass - natural) > MASS_TOLERANCE * natural:
            return (
                f'`POMASS` of {symbol} is {mass:g} u instead of {natural:g} u: it changes the diffusion coefficient; '
                'raise masses in training only.'
            )
    return None


def _whole_number_error(tags: Incar, tag: str, least: int, *, required: bool = False) -> str | None:
    if tag not in tags and not required:
        return None
    value = number(tags.get(tag))
    if value is None or not value.is_integer() or value < least:
        return f'`{tag}` is {tags.get(tag)!r}: give a whole number of at least {least}.'
    return None
