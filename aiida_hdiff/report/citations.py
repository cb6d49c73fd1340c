"""What to cite: references of the methods, of the programs used, and their BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.references import REFERENCES, Citation
from aiida_hdiff.report.study import Study

__all__ = ['METHOD_KEYS', 'REFERENCES', 'TOOL_KEYS', 'Citation', 'bibtex', 'study_citations']

_SPECIAL = str.maketrans(
    {
        '\\': r'\textbackslash{}',
        '{': r'\{',
        '}': r'\}',
        **{sign: f'\\{sign}' for sign in '%#$&_'},
        '~': r'\textasciitilde{}',
        '^': r'\textasciicircum{}',
    }
)

METHOD_KEYS = ('McCluskey2025', 'Maginn2019', 'Flyvbjerg1989', 'He2018', 'Calandrini2011', 'Orear1982')
"""Of the way from a trajectory to an activation energy; every report cites them."""
_AIIDA_KEYS = ('Huber2020', 'Uhrin2021')
_DETAIL_KEYS = {'sites': 'Northrup1980', 'collective': 'Murch1982', 'van_hove': 'VanHove1954'}
TOOL_KEYS: dict[str, tuple[str, ...]] = {
    'lammps': ('Thompson2022',),
    'ase': ('Larsen2017',),
    'chgnet': ('Deng2023',),
    'mace': ('Batatia2022',),
    'pod': ('Nguyen2023',),
    'vasp-mlff': ('Jinnouchi2019a', 'Jinnouchi2019b'),
    'vasp': ('Kresse1996', 'Kresse1999'),
    'gpaw': ('Mortensen2024', 'Larsen2017'),
    'direct': ('Qi2024',),
}
"""Programs and methods, as named in `Provenance.tools`, and the keys of their references."""


def study_citations(study: Study) -> tuple[Citation, ...]:
    """Return what a paper on this study cites: methods, AiiDA, and the programs and potentials that took part."""
    keys = [*METHOD_KEYS]
    details = [result.details for potential in study.potentials for result in potential.temperatures]
    keys += [key for name, key in _DETAIL_KEYS.items() if any(getattr(one, name) is not None for one in details)]
    keys += _AIIDA_KEYS
    used = tools_used(study)
    keys += [key for name, found in TOOL_KEYS.items() if name in used for key in found]
    return tuple(REFERENCES[key] for key in dict.fromkeys(keys))


def tools_used(study: Study) -> set[str]:
    """Return the keys of `TOOL_KEYS` that name what ran, what the potentials are and how they came to be.

    Parameters
    ----------
    study : Study
        The study; of one that was made with the VASP stand-in VASP itself is not among the tools.
    """
    engines = {name.lower() for name in study.provenance.software_versions}
    architectures = {potential.architecture.lower() for potential in study.potentials}
    named = {'lammps', 'ase', 'vasp'} & engines
    named |= {name for name in ('chgnet', 'mace', 'pod', 'vasp-mlff') if any(name in one for one in architectures)}
    named |= set(study.provenance.tools) & TOOL_KEYS.keys()
    return named - {'vasp'} if study.emulated else named


def bibtex(citations: Iterable[Citation], values: Iterable[LiteratureValue] = ()) -> str:
    """Return BibTeX entries.

    Parameters
    ----------
    citations : iterable of Citation
        References.
    values : iterable of LiteratureValue
        Published values; of these only the reference as one text and the DOI are known.

    Returns
    -------
    str
        The entries, in UTF-8.
    """
    entries = [_article(citation) for citation in citations]
    entries += [_misc(value) for value in values]
    return '\n\n'.join(entries) + '\n'


def _article(citation: Citation) -> str:
    fields = {
        'author': ' and '.join(map(_escape, citation.authors)),
        'title': f'{{{_escape(citation.title)}}}',
        'journal': _escape(citation.journal),
        'volume': citation.volume,
        'pages': citation.pages,
        'year': citation.year,
        'doi': citation.doi,
    }
    return _entry('article', citation.key, fields)


def _misc(value: LiteratureValue) -> str:
    key = re.sub(r'[^A-Za-z0-9:-]', '', value.key) or 'value'
    return _entry('misc', key, {'note': _escape(value.reference), 'doi': value.doi and _escape(value.doi)})


def _entry(kind: str, key: str, fields: dict[str, str | None]) -> str:
    lines = ',\n'.join(f'  {name} = {{{text}}}' for name, text in fields.items() if text)
    return f'@{kind}{{{key},\n{lines}\n}}'


def _escape(text: str) -> str:
    return text.translate(_SPECIAL)
