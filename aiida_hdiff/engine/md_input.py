"""The input of ``hdiff-engine md`` and the structure a run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_hdiff.engine.job_input import bad_input, check_keys, job_limits
from aiida_hdiff.engine.parameters import MDParameters

if TYPE_CHECKING:
    from ase import Atoms

_KEYS = ('parameters', 'potential', 'committee', 'start', 'checkpoint', 'threads', 'max_seconds')


@dataclass(frozen=True)
class Potential:
    """Which model gives the forces.

    Attributes
    ----------
    architecture
        One of :data:`aiida_hdiff.engine.calculators.ARCHITECTURES`.
    file
        Name of the model file in the working directory, or ``None`` if the architecture needs none.
    options
        Settings of the architecture.
    trusted
        Load the file whatever is in it, because the user vouches for it.
    converted
        Name of the file with the same model for faster kernels, or ``None``.
    implementation
        One of :data:`aiida_hdiff.engine.parameters.CALCULATORS`.
    """

    architecture: str
    file: str | None
    options: dict[str, Any]
    trusted: bool = False
    converted: str | None = None
    implementation: str = 'auto'

    @classmethod
    def from_dict(cls, values: Any) -> Potential:
        """Build from a mapping in the input file.

        Raises
        ------
        EngineError
            If it is none, or does not name an architecture.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get('architecture'), str):
            raise bad_input('`potential` must be a mapping with `architecture`, `file` and `options`.')
        return cls(
            values['architecture'],
            values.get('file'),
            dict(values.get('options') or {}),
            values.get('trusted') is True,
            values.get('converted'),
        )


@dataclass(frozen=True)
class MDInput:
    """What ``hdiff-engine md`` is told.

    Attributes
    ----------
    parameters
        Settings of the stage.
    potential
        The model.
    committee
        Further models that watch over the run; the settings of the stage say how.
    start
        File with the arrays ``numbers``, ``positions`` (Å), ``cell`` ``(3, 3)`` (Å), ``pbc`` and, optionally,
        ``velocities`` (Å/fs).
    checkpoint
        File written by an earlier run of the same stage, to continue it; or ``None``.
    threads
        Threads of the linear algebra and the neural networks.
    max_seconds
        Wall time (s) after which the run writes a checkpoint and stops; or ``None``.
    """

    parameters: MDParameters
    potential: Potential
    committee: tuple[Potential, ...]
    start: str
    checkpoint: str | None
    threads: int
    max_seconds: float | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MDInput:
        """Build from the mapping in the input file.

        Raises
        ------
        EngineError
            If something is missing, unknown or out of range.
        """
        check_keys(values, _KEYS)
        try:
            parameters = MDParameters.from_dict(values.get('parameters') or {})
        except ValueError as error:
            raise bad_input(f'`parameters`: {error}') from error
        potential = Potential.from_dict(values.get('potential'))
        committee = tuple(map(Potential.from_dict, values.get('committee') or ()))
        if bool(committee) != (parameters.committee is not None):
            raise bad_input('a committee needs both its models and `parameters.committee`.')
        threads, max_seconds = job_limits(values)
        if not isinstance(values.get('start'), str):
            raise bad_input('`start` is missing: give the name of the file with the structure.')
        return cls(
            parameters=parameters,
            potential=potential,
            committee=committee,
            start=values['start'],
            checkpoint=values.get('checkpoint'),
            threads=threads,
            max_seconds=max_seconds,
        )


def read_arrays(name: str) -> dict[str, Any]:
    """Return the arrays of a file in the working directory.

    Raises
    ------
    EngineError
        If the file is missing, is not an ``.npz`` archive or holds pickled objects.
    """
    import zipfile

    import numpy as np

    try:
        with np.load(Path(name), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise bad_input(f'{name}: no such file in the working directory.') from error
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise bad_input(f'{name}: not a readable .npz archive of plain arrays ({type(error).__name__}).') from error


def read_start(name: str) -> tuple[Atoms, Any]:
    """Return the structure and the velocities ``(n_atoms, 3)`` in Å/fs, or ``None``, of a start file.

    Raises
    ------
    EngineError
        If an array is missing, has a wrong shape or holds NaN, or if there are fewer than two atoms.
    """
    import numpy as np
    from ase import Atoms

    arrays = read_arrays(name)
    missing = [key for key in ('numbers', 'positions', 'cell', 'pbc') if key not in arrays]
    if missing:
        raise bad_input(f'{name}: lacks {", ".join(missing)}.')
    n_atoms = arrays['numbers'].size
    shapes = {'positions': (n_atoms, 3), 'velocities': (n_atoms, 3), 'cell': (3, 3), 'pbc': (3,)}
    for key, shape in shapes.items():
        if key in arrays and (arrays[key].shape != shape or not np.all(np.isfinite(arrays[key]))):
            raise bad_input(f'{name}: `{key}` must be finite numbers of shape {shape}.')
    if n_atoms < 2:
        raise bad_input(f'{name}: {n_atoms} atom(s); with the total momentum kept zero at least 2 are needed.')
    if np.any(arrays['numbers'] < 1) or np.any(arrays['numbers'] > 118):
        raise bad_input(f'{name}: `numbers` must be atomic numbers.')
    atoms = Atoms(numbers=arrays['numbers'], positions=arrays['positions'], cell=arrays['cell'], pbc=arrays['pbc'])
    return atoms, arrays.get('velocities')
