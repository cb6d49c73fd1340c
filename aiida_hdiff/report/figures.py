"""The figures of a study: making and saving them."""

from __future__ import annotations

import io
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
from aiida_hdiff.report.plots.msd import msd_figure
from aiida_hdiff.report.plots.rdf import rdf_figure
from aiida_hdiff.report.plots.series import nve_figure
from aiida_hdiff.report.plots.style import house_style
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

_METADATA: dict[str, dict[str, str | None]] = {
    'svg': {'Date': None, 'Creator': None},
    'pdf': {'CreationDate': None, 'Creator': None, 'Producer': None},
    'png': {'Software': None},
}


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
        Figures by name: ``arrhenius``, ``deviation``, ``msd``, ``window``, ``rdf``, ``pairs``, ``van_hove``,
        ``occupation``, ``nve``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    makers = {
        'deviation': deviation_figure,
        'msd': msd_figure,
        'window': window_figure,
        'rdf': rdf_figure,
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
    return figures


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as the content of a file; equal figures give equal bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    kind : str
        ``png`` (200 dots per inch), ``svg`` or ``pdf``.

    Returns
    -------
    bytes
        The content.
    """
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, metadata=_METADATA[kind])
    return buffer.getvalue()


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
        for kind in _METADATA:
            path = target / f'{name}.{kind}'
            path.write_bytes(figure_bytes(figure, kind))
            paths.append(path)
    return paths
