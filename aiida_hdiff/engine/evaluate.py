"""Prediction of energies, forces and stresses of configurations by a potential: ``hdiff-engine evaluate``.

It is labelling with the potential of a study instead of a reference method, so it writes the same files and goes on as
that does when it is started again (see :mod:`aiida_hdiff.engine.label`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_hdiff.engine.calculators import ARCHITECTURES, build_calculator, package_versions
from aiida_hdiff.engine.evaluate_lammps import lammps_calculator
from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError
from aiida_hdiff.engine.label import Labelling
from aiida_hdiff.engine.label_input import LabelInput
from aiida_hdiff.engine.label_settings import LabelSettings
from aiida_hdiff.engine.md_input import Potential

_KEYS = ('potential', 'reference', 'frames', 'stress', 'max_failures', 'threads', 'max_seconds')
_POTENTIAL_KEYS = ('architecture', 'file', 'options', 'trusted')


@dataclass(frozen=True)
class EvaluateInput:
    """What ``hdiff-engine evaluate`` is told.

    Attributes
    ----------
    potential
        The model; of the architecture ``lammps`` the options are ``commands``, those of its pair style, and
        ``elements``, in the order of the atom types.
    reference
        Digest of the model, repeated in the file of predictions.
    frames
        File with the arrays of :class:`aiida_hdiff.formats.configurations.Configurations`.
    stress
        Predict the stress, if the potential gives one.
    max_failures
        More frames than this without a prediction end the job.
    threads
        Threads of the linear algebra and the neural networks.
    max_seconds
        Wall time (s) after which the job stops; or ``None``.
    """

    potential: Potential
    reference: str
    frames: str
    stress: bool
    max_failures: int
    threads: int
    max_seconds: float | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EvaluateInput:
        """Build from the mapping in the input file.

        Raises
        ------
        EngineError
            If something is missing, unknown or out of range.
        """
        for key in values:
            if key not in _KEYS:
                raise _bad(f'unknown key `{key}`; known: {", ".join(_KEYS)}.')
        potential = values.get('potential')
        if not isinstance(potential, Mapping) or not isinstance(potential.get('architecture'), str):
            raise _bad('`potential` must be a mapping with `architecture`, `file` and `options`.')
        unknown = [key for key in potential if key not in _POTENTIAL_KEYS]
        if unknown:
            raise _bad(f'unknown key `potential.{unknown[0]}`; known: {", ".join(_POTENTIAL_KEYS)}.')
        if not isinstance(values.get('frames'), str):
            raise _bad('`frames` is missing: give the name of the file with the configurations.')
        threads, max_seconds = values.get('threads', 1), values.get('max_seconds')
        max_failures = values.get('max_failures', 0)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise _bad(f'`threads` is {threads!r}: give a whole number of at least 1.')
        if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 0:
            raise _bad(f'`max_failures` is {max_failures!r}: give a whole number of at least 0.')
        if max_seconds is not None and (not isinstance(max_seconds, (int, float)) or not max_seconds > 0):
            raise _bad(f'`max_seconds` is {max_seconds!r}: give a positive number of seconds.')
        return cls(
            potential=Potential(
                architecture=potential['architecture'],
                file=potential.get('file'),
                options=dict(potential.get('options') or {}),
                trusted=potential.get('trusted') is True,
            ),
            reference=str(values.get('reference') or potential['architecture']),
            frames=values['frames'],
            stress=values.get('stress', True) is True,
            max_failures=max_failures,
            threads=threads,
            max_seconds=max_seconds,
        )


def _bad(message: str) -> EngineError:
    return EngineError(BAD_INPUT, message)


class Evaluation(Labelling):
    """A job of predictions that is ready to run.

    Parameters
    ----------
    job
        The input.

    Raises
    ------
    EngineError
        If the input or the potential cannot be used.
    """

    def __init__(self, job: EvaluateInput) -> None:
        self._evaluation = job
        self._loaded: Any = _build(job, job.stress and job.potential.architecture in ARCHITECTURES_WITH_STRESS)
        settings = LabelSettings(
            job.potential.architecture,
            stress=job.stress and 'stress' in self._loaded.implemented_properties,
            force_consistent_energy=False,
            max_failures=job.max_failures,
        )
        super().__init__(
            LabelInput(
                settings=settings,
                reference=job.reference,
                frames=job.frames,
                skip=frozenset(),
                model=job.potential.file,
                threads=job.threads,
                max_seconds=job.max_seconds,
                trusted=job.potential.trusted,
            )
        )

    def _new_calculator(self) -> Any:
        loaded, self._loaded = self._loaded, None
        return loaded if loaded is not None else _build(self._evaluation, self._settings.stress)


ARCHITECTURES_WITH_STRESS = ('chgnet', 'emt', 'lammps', 'lennard_jones', 'mace')
"""What gives a stress; EAM of ASE does not."""


def _build(job: EvaluateInput, with_stress: bool) -> Any:
    if job.potential.architecture == 'lammps':
        return lammps_calculator(job.potential.options)
    if job.potential.architecture not in ARCHITECTURES:
        raise _bad(f'no architecture `{job.potential.architecture}`: choose one of {", ".join(ARCHITECTURES)}, lammps.')
    return build_calculator(job.potential, with_stress=with_stress, threads=job.threads)


def evaluation_versions(architecture: str) -> dict[str, str]:
    """Return the versions of Python, this package and what it computes with, as installed."""
    from importlib.metadata import PackageNotFoundError, version

    versions = package_versions(architecture)
    if architecture == 'lammps':
        try:
            versions['lammps'] = version('lammps')
        except PackageNotFoundError:
            pass
    return versions
