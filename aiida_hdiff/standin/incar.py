"""INCAR, and the tags that the stand-in obeys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiida_hdiff.standin import StandinError

MODES = ('train', 'select', 'refit', 'run')
DFT_ONLY = 'none'


@dataclass(frozen=True)
class Settings:
    """Values of the tags that have an effect, named as in INCAR; temperatures in K, times in fs.

    Attributes
    ----------
    tags
        All tags as written.
    mode
        `ML_MODE` in lower case, `none` without a force field.
    """

    tags: Mapping[str, str]
    mode: str = DFT_ONLY
    system: str = 'unknown system'
    nsw: int = 0
    ibrion: int = -1
    isif: int = 2
    mdalgo: int = 0
    potim: float = 1.0
    tebeg: float = 1e-4
    teend: float = 1e-4
    nblock: int = 1
    smass: float = -3.0
    andersen_prob: float = 0.0
    langevin_gamma: tuple[float, ...] = ()
    langevin_gamma_l: float = 0.0
    pmass: float = 1000.0
    pstress: float = 0.0
    random_seed: tuple[int, ...] = (0, 0, 0)
    nelm: int = 60
    ediff: float = 1e-4
    encut: float = 400.0
    ctifor: float = 0.002
    cdouble: float = 2.0
    csig: float = 0.4
    cslope: float = 0.2
    cx: float = 0.0
    sclc_ctifor: float = 0.6
    icriteria: int = 1
    nmdint: int = 10
    mconf_new: int = 5
    mhis: int = 10
    mconf: int = 1500
    mb: int = 1500
    lbasis_discard: bool = True
    rcut1: float = 8.0
    rcut2: float = 5.0
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    outblock: int = 1
    output_mode: int = 1
    pomass: tuple[float, ...] = field(default=())

    @property
    def has_force_field(self) -> bool:
        """Whether a force field takes part."""
        return self.mode != DFT_ONLY

    @property
    def npt(self) -> bool:
        """Whether the cell moves."""
        return self.isif >= 3 and self.is_md

    @property
    def is_md(self) -> bool:
        """Whether atoms move."""
        return self.ibrion == 0 and self.nsw > 0 and self.mode in ('train', 'run', DFT_ONLY)


def parse_tags(text: str) -> dict[str, str]:
    """Return the tags of an INCAR by upper-case name; the first of repeated tags counts.

    Raises
    ------
    StandinError
        A line that is neither a tag nor a comment.
    """
    tags: dict[str, str] = {}
    for line in text.replace('\\\n', ' ').splitlines():
        for statement in line.split('#')[0].split('!')[0].split(';'):
            if not statement.strip():
                continue
            name, equals, value = statement.partition('=')
            if not equals or not name.strip():
                raise StandinError(f'INCAR: {statement.strip()[:60]!r} is no tag: write NAME = value')
            tags.setdefault(name.strip().upper(), value.strip())
    return tags


def read_settings(text: str) -> Settings:
    """Return the settings of an INCAR.

    Raises
    ------
    StandinError
        A value that cannot be read, or a combination that the stand-in does not do.
    """
    tags = parse_tags(text)
    read = _Reader(tags)
    if 'ML_ISTART' in tags:
        raise StandinError('ML_ISTART is deprecated: give ML_MODE = train, select, refit or run')
    mode = DFT_ONLY
    if read.logical('ML_LMLFF', False):
        word = tags.get('ML_MODE', 'train')
        mode = word.lower()
        if mode not in (*MODES, DFT_ONLY) or word not in (word.lower(), word.upper()):
            raise StandinError(
                f'ML_MODE = {word}: give one of {", ".join((*MODES, DFT_ONLY))} in all upper or all lower case'
            )
    nsw = read.integer('NSW', 0)
    if mode in ('select', 'refit'):
        nsw = 1
    run = mode == 'run'
    outblock = max(1, read.integer('ML_OUTBLOCK', 10)) if run else 1
    values = Settings(
        tags=tags,
        mode=mode,
        system=tags.get('SYSTEM', 'unknown system'),
        nsw=nsw,
        ibrion=read.integer('IBRION', -1 if nsw < 2 else 0),
        isif=read.integer('ISIF', 0 if read.integer('IBRION', -1) == 0 else 2),
        mdalgo=read.integer('MDALGO', 0),
        potim=read.number('POTIM', 1.0),
        tebeg=read.number('TEBEG', 1e-4),
        teend=read.number('TEEND', read.number('TEBEG', 1e-4)),
        nblock=max(1, read.integer('NBLOCK', 1), outblock),
        smass=read.number('SMASS', -3.0),
        andersen_prob=read.number('ANDERSEN_PROB', 0.0),
        langevin_gamma=read.numbers('LANGEVIN_GAMMA'),
        langevin_gamma_l=read.number('LANGEVIN_GAMMA_L', 0.0),
        pmass=read.number('PMASS', 1000.0),
        pstress=read.number('PSTRESS', 0.0),
        random_seed=tuple(int(value) for value in read.numbers('RANDOM_SEED')) or (0, 0, 0),
        nelm=read.integer('NELM', 60),
        ediff=read.number('EDIFF', 1e-4),
        encut=read.number('ENCUT', 400.0),
        ctifor=read.number('ML_CTIFOR', 0.002),
        cdouble=read.number('ML_CDOUB', 2.0),
        csig=read.number('ML_CSIG', 0.4),
        cslope=read.number('ML_CSLOPE', 0.2),
        cx=read.number('ML_CX', 0.0),
        sclc_ctifor=read.number('ML_SCLC_CTIFOR', 0.6),
        icriteria=read.integer('ML_ICRITERIA', 1),
        nmdint=read.integer('ML_NMDINT', 10),
        mconf_new=max(1, read.integer('ML_MCONF_NEW', 5)),
        mhis=max(1, read.integer('ML_MHIS', 10)),
        mconf=read.integer('ML_MCONF', 0),
        mb=read.integer('ML_MB', 0),
        lbasis_discard=read.logical('ML_LBASIS_DISCARD', True),
        rcut1=read.number('ML_RCUT1', 8.0),
        rcut2=read.number('ML_RCUT2', 5.0),
        weights=(read.number('ML_WTOTEN', 1.0), read.number('ML_WTIFOR', 1.0), read.number('ML_WTSIF', 1.0)),
        outblock=outblock,
        output_mode=read.integer('ML_OUTPUT_MODE', 0) if run else 1,
        pomass=read.numbers('POMASS'),
    )
    _check(values)
    return values


def _check(values: Settings) -> None:
    if values.nsw > 0 and values.ibrion not in (0, -1):
        raise StandinError(f'IBRION = {values.ibrion}: the stand-in does IBRION = 0 with NSW > 0, or NSW = 0')
    if values.mode in ('train', 'run') and not values.is_md:
        raise StandinError(f'ML_MODE = {values.mode} needs IBRION = 0 and NSW > 0')
    if values.mdalgo not in (0, 1, 2, 3):
        raise StandinError(f'MDALGO = {values.mdalgo}: the stand-in has 0 to 3')
    if values.npt and values.mdalgo != 3:
        raise StandinError(f'ISIF = {values.isif} with MDALGO = {values.mdalgo}: the cell moves with MDALGO = 3 only')
    if values.mdalgo == 3 and values.is_md and not values.langevin_gamma:
        raise StandinError('MDALGO = 3 needs LANGEVIN_GAMMA, a friction in 1/ps for each species')
    if values.icriteria not in (0, 1, 2, 3):
        raise StandinError(f'ML_ICRITERIA = {values.icriteria}: give 0, 1, 2 or 3')
    if values.potim <= 0.0 or values.pmass <= 0.0:
        raise StandinError('POTIM and PMASS must be positive')


class _Reader:
    """Typed access to tags."""

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._tags = tags

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return all numbers of a tag, empty without the tag; `n*x` repeats x."""
        values: list[float] = []
        for word in self._tags.get(name, '').split():
            count, star, value = word.rpartition('*')
            try:
                values += [float(value.upper().replace('D', 'E'))] * (int(count) if star else 1)
            except ValueError:
                raise StandinError(f'INCAR: {name} = {self._tags[name]} is no number') from None
        return tuple(values)

    def number(self, name: str, default: float) -> float:
        """Return the first number."""
        return (self.numbers(name) or (default,))[0]

    def integer(self, name: str, default: int) -> int:
        """Return the first number, which must be whole."""
        value = self.number(name, default)
        if value != int(value):
            raise StandinError(f'INCAR: {name} = {self._tags[name]} is no whole number')
        return int(value)

    def logical(self, name: str, default: bool) -> bool:
        """Return a truth value, .TRUE. or T."""
        word = self._tags.get(name, '').strip('.').upper()
        if word and word[0] not in 'TF':
            raise StandinError(f'INCAR: {name} = {self._tags[name]} is no truth value')
        return word.startswith('T') if word else default
