"""Published diffusion coefficients of hydrogen in metals, and the comparison with computed ones."""

from aiida_hdiff.literature.compare import (
    CoefficientComparison,
    EnergyComparison,
    compare_coefficient,
    compare_energy,
    comparison_temperature,
)
from aiida_hdiff.literature.load import load_literature, parse_values, read_values
from aiida_hdiff.literature.value import LiteratureValue

__all__ = [
    'CoefficientComparison',
    'EnergyComparison',
    'LiteratureValue',
    'compare_coefficient',
    'compare_energy',
    'comparison_temperature',
    'load_literature',
    'parse_values',
    'read_values',
]
