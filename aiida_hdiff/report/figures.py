"""The figures of a study: making and saving them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_hdiff.report.plots.arrhenius import arrhenius_figure
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
    'png': {'Software': None},
}


def make_figures(study: Study) -> dict[str, Figure]:
    """Make every figure that the study has data for.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    dict
        Figures by name: ``arrhenius``, ``msd``, ``rdf``, ``nve``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    figures = {'arrhenius': arrhenius_figure(study)}
    for name, figure in (('msd', msd_figure(study)), ('rdf', rdf_figure(study)), ('nve', nve_figure(study))):
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
        ``png`` (200 dots per inch) or ``svg``.

    Returns
    -------
    bytes
        The content.
    """
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, metadata=_METADATA[kind])
    return buffer.getvalue()


def save_figures(study: Study, directory: Path | str) -> list[Path]:
    """Write every figure as PNG and SVG.

    Parameters
    ----------
    study : Study
        The study.
    directory : pathlib.Path or str
        Where to write; made if it does not exist.

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
    for name, figure in make_figures(study).items():
        for kind in _METADATA:
            path = target / f'{name}.{kind}'
            path.write_bytes(figure_bytes(figure, kind))
            paths.append(path)
    return paths
