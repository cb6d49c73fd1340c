"""Versions of VASP in which machine-learned force fields are known not to work, or to need care.

Source: https://www.vasp.at/wiki/index.php/Known_issues.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

EXTREME_ANGLE_DEGREES = 30.0
"""Deviation of a cell angle from 90° above which the fast mode of 6.4.0 and 6.4.1 is not trusted."""

RECOMMENDED = '6.4.3, or 6.5.1 and later'


@dataclass(frozen=True)
class VersionProblem:
    """What is known about a version.

    Attributes
    ----------
    message
        What goes wrong, and the remedy.
    refused
        Whether results of this version cannot be used.
    """

    message: str
    refused: bool


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Return the three numbers of a version such as ``vasp.6.4.3 (build ...)``, or ``None`` if there are none."""
    match = re.search(r'(\d+)\.(\d+)\.(\d+)', text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def version_problems(
    version: str, mode: str, *, angles_degrees: tuple[float, float, float] = (90.0, 90.0, 90.0), n_machines: int = 1
) -> list[VersionProblem]:
    """Return what is known about a version of VASP in a mode.

    Parameters
    ----------
    version
        As VASP prints it; nothing is said about one without numbers.
    mode
        ML_MODE.
    angles_degrees
        Angles of the cell.
    n_machines
        Number of machines that the job runs on.
    """
    number = parse_version(version)
    if number is None:
        return []
    name = '.'.join(map(str, number))
    problems = []
    if number < (6, 4, 0):
        problems.append(
            VersionProblem(f'VASP {name} does not know ML_MODE and would ignore it: use VASP {RECOMMENDED}.', True)
        )
    if (6, 4, 0) <= number <= (6, 4, 1) and mode == 'run':
        extreme = any(abs(angle - 90.0) > EXTREME_ANGLE_DEGREES + 1e-6 for angle in angles_degrees)
        problems.append(
            VersionProblem(
                f'the fast force fields of VASP {name} are wrong in cells with extreme angles and stop for structures '
                f'without some of the elements: use VASP {RECOMMENDED}.',
                extreme,
            )
        )
    if number == (6, 5, 0) and mode in ('train', 'select'):
        problems.append(
            VersionProblem(
                f'VASP 6.5.0 compiled with -Duse_shmem trains wrong force fields on several machines: run on one, or '
                f'use VASP {RECOMMENDED}.',
                n_machines > 1,
            )
        )
    if (6, 4, 0) <= number < (6, 4, 3):
        problems.append(
            VersionProblem(f'ML_OUTBLOCK is incomplete before VASP 6.4.3, this is {name}: output may be large.', False)
        )
    if (6, 4, 0) <= number <= (6, 4, 3) and mode == 'train':
        problems.append(
            VersionProblem(f'VASP {name} estimates too little memory for training: leave some spare.', False)
        )
    return problems
