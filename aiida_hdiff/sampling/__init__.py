"""Structures with interstitial hydrogen; splits, selections and statistics of configurations; no AiiDA."""

from aiida_hdiff.sampling.dataset_split import FrameSplit, SplitSettings, overlap, split_frames
from aiida_hdiff.sampling.dataset_statistics import dataset_statistics
from aiida_hdiff.sampling.hosts import host_structure
from aiida_hdiff.sampling.interstitials import insert_interstitials
from aiida_hdiff.sampling.sites import InterstitialSite, find_interstitial_sites
from aiida_hdiff.sampling.strata import Strata, strata
from aiida_hdiff.sampling.subsample import Choice, subsample

__all__ = [
    'Choice',
    'FrameSplit',
    'InterstitialSite',
    'SplitSettings',
    'Strata',
    'dataset_statistics',
    'find_interstitial_sites',
    'host_structure',
    'insert_interstitials',
    'overlap',
    'split_frames',
    'strata',
    'subsample',
]
