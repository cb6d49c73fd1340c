"""Arrays to numbers: displacements, diffusion coefficients, Arrhenius parameters, structure and energy drift.

Pure numpy and scipy. Lengths in Å, energies in eV, times in fs or ps as the name says, diffusion
coefficients in m²/s.
"""

from aiida_hdiff.analysis.anisotropy import AxialDiffusion, axial_diffusion, hexagonal_axis
from aiida_hdiff.analysis.arrhenius import ArrheniusResult, fit_arrhenius
from aiida_hdiff.analysis.arrhenius_compare import ArrheniusComparison, compare_arrhenius
from aiida_hdiff.analysis.arrhenius_law import ArrheniusLaw
from aiida_hdiff.analysis.assignment import nearest_sites
from aiida_hdiff.analysis.blocking import mean_with_error
from aiida_hdiff.analysis.censored import resolution_limit
from aiida_hdiff.analysis.collective import CollectiveResult, collective_diffusion, haven_ratio
from aiida_hdiff.analysis.diffusion import DiffusionResult, diffusion_coefficient
from aiida_hdiff.analysis.energy import DriftResult, energy_drift, mean_energy_frame
from aiida_hdiff.analysis.host_lattice import AverageHost, average_host, lattice_type
from aiida_hdiff.analysis.host_state import HostState, host_state
from aiida_hdiff.analysis.images import in_sphere_radius_A
from aiida_hdiff.analysis.input_checks import check_cells, check_times, check_unwrapped
from aiida_hdiff.analysis.jump_diffusion import JumpDiffusion, correlation_factor, jump_diffusion
from aiida_hdiff.analysis.jumps import Jumps, find_jumps
from aiida_hdiff.analysis.msd import MSDResult, mean_squared_displacement
from aiida_hdiff.analysis.pairs import PairResult, hydrogen_pairs
from aiida_hdiff.analysis.rdf import RDFResult, radial_distribution, radial_distribution_of_blocks
from aiida_hdiff.analysis.regimes import CurvatureResult, arrhenius_curvature
from aiida_hdiff.analysis.site_statistics import JumpRate, SiteStatistics, site_statistics
from aiida_hdiff.analysis.sites import InterstitialSites, find_sites
from aiida_hdiff.analysis.stays import Stays, find_stays
from aiida_hdiff.analysis.structure_warnings import StructureWarning, host_warnings, hydrogen_warnings
from aiida_hdiff.analysis.unwrap import remove_host_drift, unwrap_positions
from aiida_hdiff.analysis.van_hove import VanHoveResult, van_hove_self
from aiida_hdiff.analysis.window import DiffusionByWindow, diffusion_by_window

__all__ = [
    'ArrheniusComparison',
    'ArrheniusLaw',
    'ArrheniusResult',
    'AverageHost',
    'AxialDiffusion',
    'CollectiveResult',
    'CurvatureResult',
    'DiffusionByWindow',
    'DiffusionResult',
    'DriftResult',
    'HostState',
    'InterstitialSites',
    'JumpDiffusion',
    'JumpRate',
    'Jumps',
    'MSDResult',
    'PairResult',
    'RDFResult',
    'SiteStatistics',
    'Stays',
    'StructureWarning',
    'VanHoveResult',
    'arrhenius_curvature',
    'average_host',
    'axial_diffusion',
    'check_cells',
    'check_times',
    'check_unwrapped',
    'collective_diffusion',
    'compare_arrhenius',
    'correlation_factor',
    'diffusion_by_window',
    'diffusion_coefficient',
    'energy_drift',
    'find_jumps',
    'find_sites',
    'find_stays',
    'fit_arrhenius',
    'haven_ratio',
    'hexagonal_axis',
    'host_state',
    'host_warnings',
    'hydrogen_pairs',
    'hydrogen_warnings',
    'in_sphere_radius_A',
    'jump_diffusion',
    'lattice_type',
    'mean_energy_frame',
    'mean_squared_displacement',
    'mean_with_error',
    'nearest_sites',
    'radial_distribution',
    'radial_distribution_of_blocks',
    'remove_host_drift',
    'resolution_limit',
    'site_statistics',
    'unwrap_positions',
    'van_hove_self',
]
