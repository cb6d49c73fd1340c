"""What to cite: references of the methods, of the programs used, and their BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.study import Study

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


@dataclass(frozen=True)
class Citation:
    """A reference.

    Attributes
    ----------
    key : str
        Name in BibTeX.
    authors : tuple of str
        Authors as ``Family, Given``; ``others`` stands for et al.
    title, journal, volume, pages, year : str
        The usual.
    doi : str or None
        Digital object identifier.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    journal: str
    volume: str
    pages: str
    year: str
    doi: str | None = None

    @property
    def text(self) -> str:
        """The reference in one line."""
        names = [author.partition(',')[0] for author in self.authors if author != 'others']
        if len(self.authors) > 3 or 'others' in self.authors:
            who = f'{names[0]} et al.'
        else:
            who = ' and '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names)
        return f'{who}, {self.title}, {self.journal} {self.volume}, {self.pages} ({self.year})'


REFERENCES = {
    item.key: item
    for item in (
        Citation('McCluskey2025', ('McCluskey, Andrew R.', 'Coles, Samuel W.', 'Morgan, Benjamin J.'),
                 'Accurate Estimation of Diffusion Coefficients and their Uncertainties from Computer Simulation',
                 'J. Chem. Theory Comput.', '21', '79', '2025', '10.1021/acs.jctc.4c01249'),
        Citation('Maginn2019', ('Maginn, Edward J.', 'Messerly, Richard A.', 'Carlson, Daniel J.', 'Roe, Daniel R.',
                                'Elliott, J. Richard'),
                 'Best Practices for Computing Transport Properties 1. Self-Diffusivity and Viscosity from '
                 'Equilibrium Molecular Dynamics', 'Living J. Comput. Mol. Sci.', '1', '6324', '2019',
                 '10.33011/livecoms.1.1.6324'),
        Citation('Flyvbjerg1989', ('Flyvbjerg, H.', 'Petersen, H. G.'),
                 'Error estimates on averages of correlated data', 'J. Chem. Phys.', '91', '461', '1989',
                 '10.1063/1.457480'),
        Citation('He2018', ('He, Xingfeng', 'Zhu, Yizhou', 'Epstein, Alexander', 'Mo, Yifei'),
                 'Statistical variances of diffusional properties from ab initio molecular dynamics simulations',
                 'npj Comput. Mater.', '4', '18', '2018', '10.1038/s41524-018-0074-y'),
        Citation('Huber2020', ('Huber, Sebastiaan P.', 'others'),
                 'AiiDA 1.0, a scalable computational infrastructure for automated reproducible workflows and data '
                 'provenance', 'Sci. Data', '7', '300', '2020', '10.1038/s41597-020-00638-4'),
        Citation('Uhrin2021', ('Uhrin, Martin', 'Huber, Sebastiaan P.', 'Yu, Jusong', 'Marzari, Nicola',
                               'Pizzi, Giovanni'),
                 'Workflows in AiiDA: Engineering a high-throughput, event-based engine for robust and modular '
                 'computational workflows', 'Comput. Mater. Sci.', '187', '110086', '2021',
                 '10.1016/j.commatsci.2020.110086'),
        Citation('Thompson2022', ('Thompson, Aidan P.', 'others'),
                 'LAMMPS - a flexible simulation tool for particle-based materials modeling at the atomic, meso, and '
                 'continuum scales', 'Comput. Phys. Commun.', '271', '108171', '2022', '10.1016/j.cpc.2021.108171'),
        Citation('Larsen2017', ('Larsen, Ask Hjorth', 'others'),
                 'The atomic simulation environment - a Python library for working with atoms',
                 'J. Phys.: Condens. Matter', '29', '273002', '2017', '10.1088/1361-648X/aa680e'),
        Citation('Deng2023', ('Deng, Bowen', 'others'),
                 'CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling',
                 'Nat. Mach. Intell.', '5', '1031', '2023', '10.1038/s42256-023-00716-3'),
        Citation('Batatia2022', ('Batatia, Ilyes', 'Kovács, Dávid Péter', 'Simm, Gregor N. C.', 'Ortner, Christoph',
                                 'Csányi, Gábor'),
                 'MACE: Higher Order Equivariant Message Passing Neural Networks for Fast and Accurate Force Fields',
                 'Adv. Neural Inf. Process. Syst.', '35', '11423', '2022', '10.48550/arXiv.2206.07697'),
    )
}  # fmt: skip
"""References by key."""

METHOD_KEYS = ('McCluskey2025', 'Maginn2019', 'Flyvbjerg1989', 'He2018')
_AIIDA_KEYS = ('Huber2020', 'Uhrin2021')
_ENGINES = {'lammps': 'Thompson2022', 'ase': 'Larsen2017'}
_ARCHITECTURES = {'chgnet': 'Deng2023', 'mace': 'Batatia2022'}


def study_citations(study: Study) -> tuple[Citation, ...]:
    """Return what a paper on this study cites: methods, AiiDA, engines and architectures of the potentials."""
    engines = ' '.join(study.provenance.software_versions).lower()
    keys = [*METHOD_KEYS, *_AIIDA_KEYS]
    keys += [key for name, key in _ENGINES.items() if name in engines]
    architectures = {potential.architecture.lower() for potential in study.potentials}
    keys += [key for name, key in _ARCHITECTURES.items() if any(name in one for one in architectures)]
    return tuple(REFERENCES[key] for key in keys)


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
