"""The figures of a study: making and saving them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_hdiff.report.plots.arrhenius import arrhenius_figure
from aiida_hdiff.report.plots.details import (
    deviation_figure,
    occupation_figure,
    pairs_figure,
    van_hove_figure,
    window_figure,
)
from aiida_hdiff.report.plots.errors import errors_figure
from aiida_hdiff.report.plots.learning import learning_figures
from aiida_hdiff.report.plots.msd import msd_figure
from aiida_hdiff.report.plots.parity import parity_figure
from aiida_hdiff.report.plots.rdf import rdf_figure
from aiida_hdiff.report.plots.rdf_compare import rdf_compare_figure
from aiida_hdiff.report.plots.series import nve_figure
from aiida_hdiff.report.plots.style import KINDS, figure_bytes
from aiida_hdiff.report.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    'arrhenius_figure',
    'figure_bytes',
    'make_figures',
    'msd_figure',
    'nve_figure',
    'rdf_figure',
    'save_figures',
]


def make_figures(study: Study, names: Collection[str] | None = None) -> dict[str, Figure]:
    """Make every figure that the study has data for.

    Parameters
    ----------
    study : Study
        The study.
    names : collection of str, optional
        Which figures to make besides ``arrhenius``; by default all.

    Returns
    -------
    dict
        Figures by name: ``arrhenius``, ``errors``, ``deviation``, ``msd``, ``window``, ``rdf``, ``rdf_compare``,
        ``pairs``, ``van_hove``, ``occupation``, ``nve``, for each potential ``parity_`` with its label, and for each
        training ``learning`` (on the fly) or ``learning_curves``, with a number from the second on.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    makers = {
        'errors': errors_figure,
        'deviation': deviation_figure,
        'msd': msd_figure,
        'window': window_figure,
        'rdf': rdf_figure,
        'rdf_compare': rdf_compare_figure,
        'pairs': pairs_figure,
        'van_hove': van_hove_figure,
        'occupation': occupation_figure,
        'nve': nve_figure,
    }
    figures = {'arrhenius': arrhenius_figure(study)}
    for name, make in makers.items():
        if names is not None and name not in names:
            continue
        figure = make(study)
        if figure is not None:
            figures[name] = figure
    if names is None or 'parity' in names:
        figures |= _parity_figures(study)
    return figures | learning_figures(study, names)


def _parity_figures(study: Study) -> dict[str, Figure]:
    """Return a figure of predictions against labels for each potential that has them."""
    found = {}
    for potential in study.potentials:
        figure = parity_figure(potential, emulated=study.emulated)
        if potential.model is not None and figure is not None:
            found[f'parity_{re.sub("[^A-Za-z0-9]+", "_", potential.model.key)}'] = figure
    return found


def save_figures(study: Study, directory: Path | str, names: Collection[str] | None = None) -> list[Path]:
    """Write every figure as PDF, SVG and PNG.

    Parameters
    ----------
    study : Study
        The study.
    directory : pathlib.Path or str
        Where to write; made if it does not exist.
    names : collection of str, optional
        Which figures besides the Arrhenius plot; by default all.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in make_figures(study, names).items():
        for kind in KINDS:
            path = target / f'{name}.{kind}'
            path.write_bytes(figure_bytes(figure, kind))
            paths.append(path)
    return paths
