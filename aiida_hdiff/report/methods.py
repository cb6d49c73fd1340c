"""How the numbers of a report were obtained, in words."""

from __future__ import annotations

METHODS = (
    (
        'Simulation',
        'At every temperature an NpT run gives the mean volume, an NVT run at that volume the mean energy, '
        'and the production run starts from the NVT frame of that energy, with its velocities, at constant '
        'energy (NVE): no thermostat touches the motion of hydrogen. D belongs to the measured mean '
        'temperature of the NVE run, not to the requested one.',
    ),
    (
        'Diffusion coefficient',
        'The mean motion of the host atoms is subtracted from the unwrapped positions of hydrogen. D is a '
        'sixth of the slope of the mean squared displacement over all time origins, a straight line with '
        'free intercept in the fit window, so that vibrations do not enter. It is the tracer diffusion '
        'coefficient [1, 2].',
    ),
    (
        'Its error',
        'The slope is the mean of one slope per time origin, all hydrogen atoms pooled. The standard error '
        'comes from blocking this time series [3], which also holds where hops are rare or correlated; the '
        'residuals of the straight line would give an error that is far too small [1]. With few hops in all'
        ' [4], an interval that includes zero, or a slope that changes with the window, D is not resolved '
        'and only an upper bound (95 %) is given.',
    ),
    (
        'Arrhenius law',
        'ln D is fitted against 1/kT with the standard errors of D and of the mean temperature as weights. '
        'If χ² exceeds the degrees of freedom (at least two) the errors are multiplied by √(χ²/degrees of '
        'freedom). Temperatures that are not resolved are left out of the fit.',
    ),
    (
        'Limits',
        'The nuclei are classical: below about 400 K, in bcc metals also above, quantum effects are '
        'missing. Errors are statistical; the error of the potential is not in them. Permeation and '
        'absorption measure the chemical diffusion coefficient, which equals the tracer one only at low '
        'hydrogen concentration.',
    ),
)
"""Headings and paragraphs; the numbers in brackets are places in `REFERENCES`, from 1."""

REFERENCES: tuple[tuple[str, str | None], ...] = (
    ('McCluskey, Coles and Morgan, J. Chem. Theory Comput. 21, 79 (2025)', '10.1021/acs.jctc.4c01249'),
    ('Maginn et al., Living J. Comput. Mol. Sci. 1, 6324 (2019)', '10.33011/livecoms.1.1.6324'),
    ('Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)', None),
    ('He, Zhu, Epstein and Mo, npj Comput. Mater. 4, 18 (2018)', '10.1038/s41524-018-0074-y'),
)
"""Reference texts and DOIs."""
