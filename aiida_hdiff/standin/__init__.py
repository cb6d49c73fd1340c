"""A labelled stand-in for VASP, for tests and demonstrations of workflows: it is not VASP and contains no DFT.

It reads and writes the files of a VASP run, with a reference potential in the place of DFT and a Bayesian linear model
in the place of VASP's force field. See docs/topics/vasp-standin.md for what that proves and what not.
"""

VERSION = 'EMULATOR.1.0.0'
"""What stands in the place of VASP's version in every file."""


class StandinError(Exception):
    """The run cannot go on; the message says what to change."""


def banner(reference: str) -> str:
    """Return the line that marks every file."""
    return f'EMULATED by hdiff-vasp-standin: NOT VASP, no DFT; reference potential: {reference}'
