"""Readers and writers of files; no AiiDA."""

from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_checks import FrameDecision, check_labels
from aiida_hdiff.formats.labelled_frame import LabelledFrame
from aiida_hdiff.formats.labelled_ml_ab import labelled_from_ml_ab, ml_ab_from_labelled
from aiida_hdiff.formats.labelled_xyz import iter_extxyz, read_extxyz, write_extxyz
from aiida_hdiff.formats.ml_ab import MLAB, MLABFrame
from aiida_hdiff.formats.ml_ab_merge import MergedMLAB, merge_ml_ab
from aiida_hdiff.formats.ml_ab_read import read_ml_ab
from aiida_hdiff.formats.ml_ab_write import write_ml_ab
from aiida_hdiff.formats.positions import Positions
from aiida_hdiff.formats.reader import read_positions

__all__ = [
    'MLAB',
    'FrameDecision',
    'LabelledFrame',
    'LabelledFrames',
    'MLABFrame',
    'MergedMLAB',
    'Positions',
    'check_labels',
    'iter_extxyz',
    'labelled_from_ml_ab',
    'merge_ml_ab',
    'ml_ab_from_labelled',
    'read_extxyz',
    'read_ml_ab',
    'read_positions',
    'write_extxyz',
    'write_ml_ab',
]
