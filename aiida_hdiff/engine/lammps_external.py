"""A LAMMPS script whose forces are those of a model of `hdiff-engine`, by a callback of ``fix external``.

LAMMPS runs as a library in this process, on one rank, and writes its own files. The interface is
https://docs.lammps.org/fix_external.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, ERROR, EXPLODED, INTERRUPTED, MODEL_NOT_LOADED, EngineError
from aiida_hdiff.engine.job_input import bad_input, check_keys, job_limits
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.parameters import MDParameters

BY_CALLBACK = ('chgnet', 'mace')
"""What `hdiff.lammps_md` runs in this way."""
FIX = 'model'
CALLBACK_COMMANDS = (
    # The model has a neighbour list of its own; this style is there for the sake of LAMMPS's, and gives no forces.
    'pair_style zero 1.0',
    'pair_coeff * *',
    f'fix {FIX} all external pf/callback 1 1',
    f'fix_modify {FIX} energy yes virial yes',
)
"""What a script has in place of a pair style, before any other fix."""

_KEYS = ('parameters', 'potential', 'script', 'elements', 'threads', 'max_seconds')
_PS_PER_FS = 1e-3


@dataclass(frozen=True)
class LammpsInput:
    """What ``hdiff-engine lammps`` is told.

    Attributes
    ----------
    parameters
        Settings of the stage that the script does.
    potential
        The model.
    script
        Name of the script, with :data:`CALLBACK_COMMANDS` in it.
    elements
        Symbols of the atom types, in their order.
    threads
        Threads of the linear algebra and the neural networks.
    max_seconds
        Wall time (s) of the program after which the run is ended; or ``None``.
    """

    parameters: MDParameters
    potential: Potential
    script: str
    elements: tuple[str, ...]
    threads: int
    max_seconds: float | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LammpsInput:
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
        if parameters.committee is not None:
            raise bad_input('`parameters.committee` is for `hdiff-engine md`: leave it out.')
        elements, script = values.get('elements'), values.get('script')
        if not isinstance(elements, list) or not elements or not isinstance(script, str):
            raise bad_input('`script`, a file name, and `elements`, the symbols of the atom types, must be given.')
        potential = replace(Potential.from_dict(values.get('potential')), implementation=parameters.calculator)
        return cls(parameters, potential, script, tuple(elements), *job_limits(values))


class LammpsRun:
    """A run of a script.

    Parameters
    ----------
    job
        The input.
    stop
        Returns the name of a signal that asks the run to stop, or ``None``.
    started
        Time of :func:`time.monotonic` at which the program started, from which ``max_seconds`` counts.

    Attributes
    ----------
    step
        The last step whose forces were computed.

    Raises
    ------
    EngineError
        If the script or the model cannot be used, or LAMMPS is missing.
    """

    def __init__(self, job: LammpsInput, stop: Callable[[], str | None], started: float) -> None:
        from aiida_hdiff.engine.evaluate_lammps import lammps_library
        from aiida_hdiff.engine.lammps_forces import Forces

        self._job, self._stop, self._started = job, stop, started
        try:
            self._commands = Path(job.script).read_text(encoding='utf-8').splitlines()
        except OSError as error:
            raise EngineError(BAD_INPUT, f'{job.script} cannot be read: {error.strerror}.') from error
        self._library = lammps_library(f'the LAMMPS run of a {job.potential.architecture} model')
        self._forces = Forces(job.potential, job.parameters, job.elements, job.threads)
        self._lammps: Any = None
        self._failure: EngineError | None = None
        self._has_forces = False
        self.step: int | None = None

    @property
    def calculator(self) -> dict[str, Any]:
        """Which implementation of the potential runs, and what is to be said about it."""
        return self._forces.record

    def run(self) -> None:
        """Do the commands of the script.

        A run that has to end before its last step ends softly, so that the script writes the state it has come to.

        Raises
        ------
        EngineError
            If the run is interrupted or explodes, the model fails, or LAMMPS ends with an error.
        """
        self._lammps = lammps = self._library(cmdargs=['-log', 'none'])
        try:
            if lammps.extract_setting('world_size') > 1:
                raise bad_input('the model gives the forces of all atoms: run hdiff-engine as one process.')
            for command in self._commands:
                try:
                    lammps.command(command)
                except Exception as error:
                    raise self._failure or EngineError(ERROR, f'LAMMPS: {error}') from error
                if command == CALLBACK_COMMANDS[-1]:
                    lammps.set_fix_external_callback(FIX, self._callback, None)
                if self._failure is not None and self._failure.exit_code not in (INTERRUPTED, EXPLODED):
                    raise self._failure
        finally:
            lammps.close()
        if self._failure is not None:
            raise self._failure

    def _callback(self, _caller: Any, step: int, _n_atoms: int, tags: Any, positions: Any, forces: Any) -> None:
        """Give LAMMPS the forces; an exception must not leave this function, as C would ignore it."""
        self.step = int(step)
        forces[:] = 0.0
        try:
            if self._failure is None:
                self._failure = self._evaluate(int(step), tags.ravel() - 1, positions, forces)
        except EngineError as error:
            self._failure = error
        except Exception as error:
            name = self._job.potential.architecture
            self._failure = EngineError(
                ERROR if self._has_forces else MODEL_NOT_LOADED,
                f'{name} cannot describe the atoms of step {step}: {type(error).__name__}: {error}',
            )
        if self._failure is not None:
            self._lammps.force_timeout()

    def _evaluate(self, step: int, places: Any, positions: Any, forces: Any) -> EngineError | None:
        """Fill in the forces; return why the run has to end, or ``None``."""
        lammps = self._lammps
        corner, opposite, xy, yz, xz, _, _ = lammps.extract_box()
        (x, y, z) = (high - low for low, high in zip(corner, opposite, strict=True))
        result = self._forces.evaluate(
            places,
            lammps.numpy.extract_atom('type')[: len(places)],
            positions - corner,
            lammps.numpy.extract_atom('v')[: len(places)] * _PS_PER_FS,
            [[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]],
            with_stress=lammps.extract_global('vflag_global') == step,
            with_distances=step % self._job.parameters.output_interval == 0,
        )
        if result.outside_bounds is not None:
            return EngineError(EXPLODED, f'step {step}: {result.outside_bounds}')
        self._has_forces = True
        forces[:] = result.forces
        lammps.fix_external_set_energy_global(FIX, result.energy)
        lammps.fix_external_set_virial_global(FIX, result.virial)
        return self._stop_request()

    def _stop_request(self) -> EngineError | None:
        limit, reason = self._job.max_seconds, self._stop()
        if reason is None and limit is not None and monotonic() - self._started >= limit:
            reason = f'the time limit of {limit:g} s'
        if reason is None or self.step == self._job.parameters.steps:
            return None
        return EngineError(INTERRUPTED, f'stopped by {reason} after {self.step} of {self._job.parameters.steps} steps.')
