"""Published diffusion coefficients of hydrogen in metals."""

from aiida_hdiff.literature.load import load_literature
from aiida_hdiff.literature.value import LiteratureValue

__all__ = ['LiteratureValue', 'load_literature']
