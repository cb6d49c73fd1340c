"""The interactive figures of the page: plain dictionaries in the language of plotly.js, made without plotly."""

from __future__ import annotations

from aiida_hdiff.report.interactive.arrhenius import arrhenius_panels
from aiida_hdiff.report.interactive.deviation import deviation_panels
from aiida_hdiff.report.interactive.errors import error_panels
from aiida_hdiff.report.interactive.learning import learning_panels
from aiida_hdiff.report.interactive.motion import pair_panels, van_hove_panels
from aiida_hdiff.report.interactive.msd import msd_panels
from aiida_hdiff.report.interactive.nve import nve_panels
from aiida_hdiff.report.interactive.panel import Panel, mark_emulated
from aiida_hdiff.report.interactive.parity import parity_panels
from aiida_hdiff.report.interactive.path import path_panels
from aiida_hdiff.report.interactive.rdf import rdf_panels
from aiida_hdiff.report.interactive.rdf_compare import rdf_compare_panels
from aiida_hdiff.report.interactive.sites import site_panels
from aiida_hdiff.report.study import Study

__all__ = ['Panel', 'make_panels']


def make_panels(study: Study) -> dict[str, Panel]:
    """Return every interactive figure that the study has data for, by name.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    dict
        Panels by name, in the order of the page.
    """
    makers = (
        arrhenius_panels,
        error_panels,
        parity_panels,
        deviation_panels,
        msd_panels,
        path_panels,
        site_panels,
        rdf_panels,
        rdf_compare_panels,
        pair_panels,
        van_hove_panels,
        nve_panels,
        learning_panels,
    )
    found = {panel.name: panel for maker in makers for panel in maker(study)}
    if study.emulated:
        for panel in found.values():
            mark_emulated(panel)
    return found
