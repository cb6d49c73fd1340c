"""Structures with interstitial hydrogen and the selection of configurations; no AiiDA."""

from aiida_hdiff.sampling.hosts import host_structure
from aiida_hdiff.sampling.interstitials import insert_interstitials
from aiida_hdiff.sampling.sites import InterstitialSite, find_interstitial_sites

__all__ = ['InterstitialSite', 'find_interstitial_sites', 'host_structure', 'insert_interstitials']
