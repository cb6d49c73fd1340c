"""Figures, tables and the HTML page made from the nodes of a study."""
