"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiida_hdiff import __version__
from aiida_hdiff.report.compare import compare
from aiida_hdiff.report.extras import require
from aiida_hdiff.report.figures import figure_bytes, make_figures
from aiida_hdiff.report.methods import METHODS, REFERENCES
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult
from aiida_hdiff.report.table import (
    coefficient_ratio_text,
    coefficient_text,
    fit_notes,
    prefactor_factor,
    published_label,
)
from aiida_hdiff.report.text import MISSING, STATUS_TEXT, measurement, plural, ratio, scientific

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = 'report.html.j2'

_CAPTIONS = {
    'arrhenius': (
        'Arrhenius plot. Error bars are standard errors, bands 95 % intervals of the fit, bars with an arrow '
        'upper bounds. Published laws are solid inside their measured range and dashed outside.'
    ),
    'msd': (
        'Mean squared displacement of hydrogen. D is fitted in the shaded window; the dashed line has the '
        'slope of diffusion. Dotted curves are not resolved.'
    ),
    'rdf': 'Radial distribution functions: lost peaks of the host mean that it melted or transformed.',
    'nve': (
        'Temperature and total energy in the production runs: values (thin) and means over a twentieth of '
        'the run (thick). Dashed lines are the requested temperatures; the slope of the energy is the drift.'
    ),
}


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page shows it: data URI, text for those who do not see it, caption, width in pixels."""

    source: str
    alternative: str
    caption: str
    width: int


def render_html(study: Study) -> str:
    """Return the report as one HTML page that needs no other file and no network.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    str
        The page; equal studies give equal pages.

    Raises
    ------
    ImportError
        If jinja2 or matplotlib is not installed.
    """
    environment = _environment()
    unresolved = [
        (potential, result)
        for potential in study.potentials
        for result in potential.temperatures
        if result.status == 'not_resolved'
    ]
    page: str = environment.get_template(_TEMPLATE).render(
        study=study,
        version=__version__,
        figures=_page_figures(study),
        unresolved=unresolved,
        checks=[one for one in study.potentials if any(map(_has_checks, one.temperatures))],
        comparisons=[(one, compare(one, study.literature)) for one in study.potentials],
        methods=METHODS,
        references=REFERENCES,
    )
    return page


def _environment() -> Environment:
    """Return the template environment; everything put into the page is escaped."""
    jinja2 = require('jinja2')
    environment: Environment = jinja2.Environment(
        loader=jinja2.PackageLoader('aiida_hdiff.report', 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        coefficient=coefficient_text,
        factor=prefactor_factor,
        fit_notes=fit_notes,
        measurement=measurement,
        plural=plural,
        published=published_label,
        ratio=ratio,
        ratio_at=coefficient_ratio_text,
        scientific=scientific,
        status=lambda result: STATUS_TEXT[result.status],
    )
    environment.globals['MISSING'] = MISSING
    return environment


def _has_checks(result: TemperatureResult) -> bool:
    """Tell whether there is anything to show in the table of checks."""
    values = (result.drift_meV_per_atom_per_ns, result.mean_volume_A3, result.production_ps, result.window_ps)
    return any(value is not None for value in values)


def _page_figures(study: Study) -> dict[str, PageFigure]:
    """Return the figures as SVG data URIs."""
    pages = {}
    for name, figure in make_figures(study).items():
        data = base64.b64encode(figure_bytes(figure, 'svg')).decode('ascii')
        pages[name] = PageFigure(
            source=f'data:image/svg+xml;base64,{data}',
            alternative=_alternative(name, study),
            caption=_CAPTIONS[name],
            width=round(150 * figure.get_figwidth()),
        )
    return pages


def _alternative(name: str, study: Study) -> str:
    """Return a description of a figure in words, with the numbers that it shows."""
    if name == 'arrhenius':
        laws = '; '.join(_law(potential) for potential in study.potentials) or 'no results'
        return f'Arrhenius plot of the diffusion coefficient against the inverse temperature: {laws}.'
    labels = ', '.join(potential.label for potential in study.potentials)
    if name == 'msd':
        return f'Mean squared displacement of hydrogen against lag time on logarithmic axes for {labels}.'
    if name == 'rdf':
        pairs = ', '.join(dict.fromkeys(curve.pair for one in study.potentials for curve in one.rdf))
        return f'Radial distribution functions of {pairs}.'
    return f'Temperature and energy against time in the NVE runs for {labels}.'


def _law(potential: PotentialResult) -> str:
    """Return the Arrhenius law of one potential in words."""
    if not potential.has_fit:
        return f'{potential.label} without a fit'
    energy = measurement(potential.activation_energy_eV, potential.activation_energy_error_eV)
    return f'{potential.label} with activation energy {energy} eV'
