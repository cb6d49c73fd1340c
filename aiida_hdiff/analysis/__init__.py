"""Arrays to numbers: displacements, diffusion coefficients, Arrhenius parameters, structure and energy drift.

Pure numpy and scipy. Lengths in Å, energies in eV, times in fs or ps as the name says, diffusion
coefficients in m²/s.
"""

from aiida_hdiff.analysis.arrhenius import ArrheniusResult, fit_arrhenius
from aiida_hdiff.analysis.blocking import mean_with_error
from aiida_hdiff.analysis.diffusion import DiffusionResult, diffusion_coefficient
from aiida_hdiff.analysis.energy import DriftResult, energy_drift, mean_energy_frame
from aiida_hdiff.analysis.msd import MSDResult, mean_squared_displacement
from aiida_hdiff.analysis.rdf import RDFResult, radial_distribution
from aiida_hdiff.analysis.unwrap import remove_host_drift, unwrap_positions

__all__ = [
    'ArrheniusResult',
    'DiffusionResult',
    'DriftResult',
    'MSDResult',
    'RDFResult',
    'diffusion_coefficient',
    'energy_drift',
    'fit_arrhenius',
    'mean_energy_frame',
    'mean_squared_displacement',
    'mean_with_error',
    'radial_distribution',
    'remove_host_drift',
    'unwrap_positions',
]
