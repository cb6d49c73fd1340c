"""Readers and writers of files; no AiiDA."""

from aiida_hdiff.formats.ionic_step import IonicStep
from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_checks import FrameDecision, check_labels
from aiida_hdiff.formats.labelled_frame import LabelledFrame
from aiida_hdiff.formats.labelled_ml_ab import labelled_from_ml_ab, ml_ab_from_labelled
from aiida_hdiff.formats.labelled_xyz import iter_extxyz, read_extxyz, write_extxyz
from aiida_hdiff.formats.ml_ab import MLAB, MLABFrame
from aiida_hdiff.formats.ml_ab_merge import MergedMLAB, merge_ml_ab
from aiida_hdiff.formats.ml_ab_read import read_ml_ab
from aiida_hdiff.formats.ml_ab_write import write_ml_ab
from aiida_hdiff.formats.ml_ff import read_ml_ff_header
from aiida_hdiff.formats.ml_logfile import MLLogfile, read_ml_logfile
from aiida_hdiff.formats.ml_reg import read_ml_reg
from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.poscar import read_contcar, write_poscar
from aiida_hdiff.formats.positions import Positions
from aiida_hdiff.formats.reader import read_positions
from aiida_hdiff.formats.vasprun import iter_vasprun

__all__ = [
    'MLAB',
    'FrameDecision',
    'IonicStep',
    'LabelledFrame',
    'LabelledFrames',
    'MLABFrame',
    'MLLogfile',
    'MergedMLAB',
    'Positions',
    'check_labels',
    'iter_extxyz',
    'iter_outcar',
    'iter_vasprun',
    'labelled_from_ml_ab',
    'merge_ml_ab',
    'ml_ab_from_labelled',
    'read_contcar',
    'read_extxyz',
    'read_ml_ab',
    'read_ml_ff_header',
    'read_ml_logfile',
    'read_ml_reg',
    'read_oszicar',
    'read_positions',
    'write_extxyz',
    'write_ml_ab',
    'write_poscar',
]
