"""Hydrogen diffusion from molecular dynamics with machine-learned potentials, in one AiiDA provenance graph."""

__version__ = '0.1.0'
