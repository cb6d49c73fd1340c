"""Parsers of the calculation jobs."""
