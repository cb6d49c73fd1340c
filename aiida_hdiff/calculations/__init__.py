"""Calculation jobs and calcfunctions: one unit of work in the terms of AiiDA."""
