"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from aiida_hdiff import __version__
from aiida_hdiff.report.citations import bibtex, study_citations
from aiida_hdiff.report.compare import compare, published_label
from aiida_hdiff.report.comparison import comparison_table
from aiida_hdiff.report.extras import require
from aiida_hdiff.report.figures import figure_bytes, make_figures
from aiida_hdiff.report.interactive import Panel, make_panels
from aiida_hdiff.report.interactive.panel import runs
from aiida_hdiff.report.methods import METHODS, methods_paragraph
from aiida_hdiff.report.page_script import json_block, plotly_gzip_base64
from aiida_hdiff.report.provenance_graph import graph_svg
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult, run_name
from aiida_hdiff.report.table import (
    coefficient_ratio_text,
    coefficient_text,
    fit_notes,
    prefactor_factor,
    site_rows,
)
from aiida_hdiff.report.text import EMULATED, MISSING, STATUS_TEXT, measurement, plural, ratio, scientific

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = 'report.html.j2'

_STATIC = {'arrhenius', 'errors', 'msd', 'rdf', 'nve'}
"""Figures that also stand in the page as pictures, for readers without JavaScript."""
SHORT_GRAPH = 40
"""Nodes of a provenance graph up to which its drawing is unfolded at first."""
_MOTION = {'path', 'occupation', 'network', 'residence', 'rdf', 'rdf_compare', 'pairs', 'van_hove'}


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page shows it: the panel, its data, and a picture for those without JavaScript."""

    panel: Panel
    data: str
    picture: str
    alternative: str

    @property
    def groups(self) -> list[tuple[str, list[tuple[int, str]]]]:
        """The menu: groups of (number, label) of the variants."""
        found: dict[str, list[tuple[int, str]]] = {}
        for number, variant in enumerate(self.panel.variants):
            found.setdefault(variant.group, []).append((number, variant.label))
        return list(found.items())


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
        If jinja2, matplotlib or plotly is not installed.
    """
    environment = _environment()
    require('plotly')
    page_figures, citations = _page_figures(study), study_citations(study)
    checks = [one for one in study.potentials if any(map(_has_checks, one.temperatures))]
    unresolved = [
        (potential, result)
        for potential in study.potentials
        for result in potential.temperatures
        if result.status == 'not_resolved'
    ]
    page: str = environment.get_template(_TEMPLATE).render(
        study=study,
        version=__version__,
        figures=page_figures,
        graphs=[(graph, graph_svg(graph)) for graph in study.provenance.graphs],
        plotly=plotly_gzip_base64() if page_figures else '',
        style=_template_text('report.css'),
        script=_template_text('report.js'),
        run_warnings=run_warnings(study),
        paragraph=methods_paragraph(study),
        bibtex=bibtex(citations, study.literature),
        unresolved=unresolved,
        site_rows=site_rows(study),
        side_by_side=(side_by_side := comparison_table(study)),
        has_potentials=side_by_side is not None or 'errors' in page_figures,
        has_motion=bool(_MOTION & page_figures.keys()),
        has_checks=bool(checks) or 'nve' in page_figures,
        checks=checks,
        comparisons=[(one, compare(one, study.literature)) for one in study.potentials],
        methods=METHODS,
        references=citations,
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
        model_nodes=_model_nodes,
        plural=plural,
        published=published_label,
        ratio=ratio,
        ratio_at=coefficient_ratio_text,
        scientific=scientific,
        status=lambda result: STATUS_TEXT[result.status],
    )
    environment.globals.update(EMULATED=EMULATED, MISSING=MISSING, SHORT_GRAPH=SHORT_GRAPH)
    return environment


def _model_nodes(potential: PotentialResult) -> list[tuple[str, str]]:
    """Return the nodes that tell how a potential was made and judged: what it is and its UUID."""
    model = potential.model
    if model is None:
        return []
    nodes = (
        ('Training', model.training.node_uuid if model.training else None),
        ('Errors on the test set', model.evaluation_uuid),
        ('Check before the molecular dynamics', model.gate_uuid),
    )
    return [(name, uuid) for name, uuid in nodes if uuid]


def _has_checks(result: TemperatureResult) -> bool:
    """Tell whether there is anything to show in the table of checks."""
    values = (result.drift_meV_per_atom_per_ns, result.mean_volume_A3, result.production_ps, result.window_ps)
    return any(value is not None for value in values)


def _template_text(name: str) -> str:
    """Return a file that enters the page as it is."""
    return resources.files('aiida_hdiff.report').joinpath('templates').joinpath(name).read_text(encoding='utf-8')


def run_warnings(study: Study) -> list[tuple[str, str]]:
    """Return the warnings of the single runs: (potential and temperature, warning)."""
    return [
        (f'{potential.label}, {run_name(potential, result)}', warning)
        for potential, result in runs(study)
        for warning in result.details.warnings
    ]


def _page_figures(study: Study) -> dict[str, PageFigure]:
    """Return the figures with their data."""
    pictures = make_figures(study, _STATIC)
    return {
        name: PageFigure(
            panel=panel,
            data=json_block([variant.figure for variant in panel.variants]),
            picture=base64.b64encode(figure_bytes(pictures[name], 'svg')).decode('ascii') if name in pictures else '',
            alternative=_alternative(name, study),
        )
        for name, panel in make_panels(study).items()
    }


def _alternative(name: str, study: Study) -> str:
    """Return a description of a figure in words, with the numbers that it shows."""
    if name == 'arrhenius':
        laws = '; '.join(_law(potential) for potential in study.potentials) or 'no results'
        return f'Arrhenius plot of the diffusion coefficient against the inverse temperature: {laws}.'
    labels = ', '.join(potential.label for potential in study.potentials)
    subject = {
        'msd': 'Mean squared displacement of hydrogen against lag time on logarithmic axes',
        'rdf': 'Radial distribution functions',
        'errors': 'Bars of the root mean square errors of energy, forces and stress',
        'parity': 'Predictions against labels of energy, forces and stress',
        'rdf_compare': 'Radial distribution functions side by side',
        'nve': 'Temperature and energy against time in the NVE runs',
        'path': 'Three-dimensional view of the path of one hydrogen atom',
        'network': 'Three-dimensional view of the sites and the jumps between them',
    }.get(name, name.replace('_', ' ').capitalize())
    return f'{subject} for {labels}.'


def _law(potential: PotentialResult) -> str:
    """Return the Arrhenius law of one potential in words."""
    if not potential.has_fit:
        return f'{potential.label} without a fit'
    energy = measurement(potential.activation_energy_eV, potential.activation_energy_error_eV)
    return f'{potential.label} with activation energy {energy} eV'
