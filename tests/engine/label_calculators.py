"""Calculators with the troubles of electronic structure codes: slow, or not always converged."""

import time

import numpy as np
from ase.calculators.emt import EMT


class KohnShamConvergenceError(Exception):
    """Named as GPAW's."""


class Slow(EMT):
    """EMT that takes a while."""

    def __init__(self, seconds=0.2, **kwargs):
        super().__init__(**kwargs)
        self.seconds = seconds

    def calculate(self, *arguments, **kwargs):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        super().calculate(*arguments, **kwargs)


class Moody(EMT):
    """EMT that does not converge for some numbers of atoms, and is useless afterwards."""

    def __init__(self, fails_for=(3,), how='scf', **kwargs):
        super().__init__(**kwargs)
        self.fails_for, self.how, self.broken = fails_for, how, False

    def calculate(self, atoms=None, *arguments, **kwargs):
        if self.broken or len(atoms) in self.fails_for:
            self.broken = True
            if self.how == 'scf':
                raise KohnShamConvergenceError('Did not converge!\n See the docs.')
        super().calculate(atoms, *arguments, **kwargs)
        if self.broken:
            self.results['forces'] = self.results['forces'] * np.nan


class Symmetric(EMT):
    """EMT that, as GPAW, keeps the symmetry of the first frame, and refuses frames without it."""

    first = None

    def calculate(self, atoms=None, *arguments, **kwargs):
        if self.first is not None and len(atoms) > len(self.first):
            raise RuntimeError('Symmetry broken')
        self.first = self.first or atoms.copy()
        super().calculate(atoms, *arguments, **kwargs)


class NoStress(EMT):
    """EMT without stress."""

    implemented_properties = ('energy', 'free_energy', 'forces')


class Smeared(EMT):
    """EMT whose free energy is 1 eV below the energy."""

    def calculate(self, *arguments, **kwargs):
        super().calculate(*arguments, **kwargs)
        self.results['free_energy'] = self.results['energy'] - 1.0


def refuses(**kwargs):
    """Refuse all parameters."""
    raise TypeError(f'unexpected {sorted(kwargs)}')
