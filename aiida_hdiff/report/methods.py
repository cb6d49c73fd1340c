"""How the numbers of a report were obtained, in words."""

from __future__ import annotations

from aiida_hdiff import __version__
from aiida_hdiff.report.citations import TOOL_KEYS, study_citations
from aiida_hdiff.report.study import Study
from aiida_hdiff.report.text import EMULATED, plural
from aiida_hdiff.report.training_text import training_sentences

METHODS = (
    (
        'Simulation',
        'At every temperature an NpT run gives the mean volume, an NVT run at that volume the mean energy, '
        'and the production run starts from the NVT frame of that energy, with its velocities, at constant '
        'energy (NVE): no thermostat touches the motion of hydrogen. D belongs to the measured mean '
        'temperature of the NVE run, not to the requested one.',
    ),
    (
        'Diffusion coefficient',
        'The mean motion of the host atoms is subtracted from the unwrapped positions of hydrogen. D is a '
        'sixth of the slope of the mean squared displacement over all time origins [5], a straight line with '
        'free intercept in the fit window, so that vibrations do not enter. It is the tracer diffusion '
        'coefficient [1, 2].',
    ),
    (
        'Its error',
        'The slope is the mean of one slope per time origin, all hydrogen atoms pooled. The standard error '
        'comes from blocking this time series [3], which also holds where hops are rare or correlated; the '
        'residuals of the straight line would give an error that is far too small [1]. With few hops in all'
        ' [4], an interval that includes zero, or a slope that changes with the window, D is not resolved '
        'and only an upper bound (95 %) is given.',
    ),
    (
        'Arrhenius law',
        'ln D is fitted against 1/kT with the standard errors of D and of the mean temperature as weights '
        '[6]. If χ² exceeds the degrees of freedom (at least two) the errors are multiplied by √(χ²/degrees of '
        'freedom). Temperatures that are not resolved are left out of the fit.',
    ),
    (
        'Limits',
        'The nuclei are classical: below about 400 K, in bcc metals also above, quantum effects are '
        'missing. Errors are statistical; the error of the potential is not in them. Permeation and '
        'absorption measure the chemical diffusion coefficient, which equals the tracer one only at low '
        'hydrogen concentration.',
    ),
)
"""Headings and paragraphs; the numbers in brackets are places in `METHOD_KEYS`, from 1."""
_POTENTIALS = ('Deng2023', 'Batatia2022', 'Nguyen2023', 'Jinnouchi2019a', 'Jinnouchi2019b')


def methods_paragraph(study: Study) -> str:
    """Return a paragraph for the methods section of a paper, with the settings of this study.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    str
        Plain text; references are given by the keys of the BibTeX entries, in brackets.
    """
    cited = {citation.key for citation in study_citations(study)}
    atoms = ' and '.join(f'{count} {element}' for element, count in study.composition.items())
    cell = f' in a periodic cell of {atoms} atoms' if atoms else ''
    kinds = ', '.join(f'{one.label} ({one.architecture})' for one in study.potentials)
    temperatures = sorted({item.temperature_K for one in study.potentials for item in one.temperatures})
    replicas = max((one.n_replicas for one in study.potentials), default=1)
    sentences = [f'{EMULATED}.'] if study.emulated else []
    sentences.append(
        f'Diffusion of hydrogen in {study.host} was simulated by classical molecular dynamics{cell}'
        + (f' with {_potentials(kinds, len(study.potentials))}' if kinds else '')
        + f'{_cite(cited, *_POTENTIALS)}.'
    )
    sentences += _training(study, cited)
    sentences += training_sentences(study)
    if temperatures:
        kelvin = ', '.join(f'{one:g}' for one in temperatures)
        each = f' in {plural(replicas, "independent run")} each' if replicas > 1 else ''
        sentences.append(f'Temperatures were {kelvin} K{each}.')
    sentences.append(
        'At each temperature an NpT run gave the mean volume, an NVT run at that volume a frame at the mean energy, '
        'and an NVE run started from that frame the trajectory that was analysed.'
    )
    if study.settings:
        listed = '; '.join(f'{name}: {value}' for name, value in study.settings.items())
        sentences.append(f'Settings: {listed}.')
    sentences += [
        'The tracer diffusion coefficient D is a sixth of the slope of the mean squared displacement of hydrogen '
        'relative to the host, averaged over all atoms and time origins [McCluskey2025, Maginn2019, Calandrini2011]; '
        'its standard error comes from block averages of the series of slopes per time origin [Flyvbjerg1989], and '
        'runs with too few hops give an upper bound only [He2018].',
        'The activation energy and the prefactor were fitted to ln D against 1/kT at the measured mean '
        'temperatures, weighted with the errors of D and of the temperature [Orear1982].',
        *_correlations(cited),
        _programs(study, cited),
    ]
    return ' '.join(sentences)


def _potentials(names: str, count: int) -> str:
    return f'the interatomic potential{"" if count == 1 else "s"} {names}'


def _training(study: Study, cited: set[str]) -> list[str]:
    """Return by which program and how the potentials were trained, as far as they were."""
    sentences, tools = [], study.provenance.tools
    if 'vasp' in tools and 'Kresse1996' in cited:
        sentences.append('Energies and forces to train on came from VASP [Kresse1996, Kresse1999].')
    if 'gpaw' in tools:
        sentences.append('Energies and forces to train on came from GPAW [Mortensen2024, Larsen2017].')
    if 'direct' in tools:
        sentences.append('Configurations to label were chosen by DIRECT sampling [Qi2024].')
    return sentences


def _correlations(cited: set[str]) -> list[str]:
    """Return what else was computed of the motion of hydrogen."""
    parts = (
        ('jumps between sites by the stable states picture', 'Northrup1980'),
        ('the collective diffusion coefficient and the Haven ratio', 'Murch1982'),
        ('the self part of the van Hove function', 'VanHove1954'),
    )
    found = [f'{what} [{key}]' for what, key in parts if key in cited]
    return [f'Of the same trajectories were computed: {"; ".join(found)}.'] if found else []


def _programs(study: Study, cited: set[str]) -> str:
    versions = study.provenance.software_versions
    engines = [f'{name} {version}' for name, version in versions.items() if not name.startswith('aiida')]
    core = versions.get('aiida-core', '')
    plugin = versions.get('aiida-hdiff', __version__)
    keys = [key for name in versions for key in TOOL_KEYS.get(name.lower(), ())]
    ran = f' Forces and motion were computed by {", ".join(engines)}{_cite(cited, *keys)}.'
    return (
        f'All steps were run and recorded by aiida-hdiff {plugin} on AiiDA{" " + core if core else ""} '
        f'[Huber2020, Uhrin2021], so that every number can be traced to its inputs.{ran if engines else ""}'
    )


def _cite(cited: set[str], *keys: str) -> str:
    found = [key for key in keys if key in cited]
    return f' [{", ".join(found)}]' if found else ''
