"""Command line interface: thin click commands, no science."""
