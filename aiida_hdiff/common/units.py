"""The only place with unit conversion factors.

Internal units are ASE's: eV, Å, atomic mass units; velocities are in Å/fs, times in fs or ps as the name says.
Constants are CODATA 2018.
"""

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""Boltzmann constant in eV/K."""

ANGSTROM2_PER_PS_IN_M2_PER_S = 1e-8
"""One Å²/ps in m²/s."""

EV_PER_ANGSTROM3_IN_GPA = 160.2176634
"""One eV/Å³ in GPa."""

GPA_IN_BAR = 1e4
"""One GPa in bar."""

FS_PER_PS = 1000.0
"""Femtoseconds in a picosecond."""

KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2 = 103.642696562
"""One u Å²/fs² in eV."""
