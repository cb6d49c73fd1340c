"""Settings of a distillation: which configurations teach a student, and when it is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from aiida_hdiff.formats.pod import PodSettings

LARGEST_TIMESTEP_FS = 2.0
_POSITIVE = (
    'timestep_fs', 'teacher_time_fs', 'teacher_interval_fs', 'max_force_eV_A', 'max_volume_change', 'hot_factor',
    'hot_time_ps', 'hot_interval_fs', 'rmse_tolerance', 'trial_time_ps', 'nve_time_ps', 'max_force_rmse_H_meV_A',
    'max_drift_meV_per_atom_per_ps', 'max_path_error_meV',
)  # fmt: skip
_WHOLE = {
    'n_contacts': 0, 'hot_runs': 1, 'hot_frames': 1, 'max_rounds': 1, 'max_label_failures': 0, 'path_points': 3,
}  # fmt: skip


@dataclass(frozen=True)
class DistillSettings:
    """What a student is taught with, and how well it must do.

    Attributes
    ----------
    pod
        Of the fits, see `aiida_hdiff.formats.pod.PodSettings`.
    n_hydrogen
        Numbers of hydrogen atoms in the cell; by default half, once and up to twice as many as the structure has, so
        that the energies of the elements can be told apart.
    temperatures_K
        Of the runs of the teacher, each with each content of hydrogen.
    test_temperatures_K
        Of the runs whose frames are held out; by default the highest of ``temperatures_K``.
    strains
        Relative changes of the lengths of the cell, taken in turn by the runs.
    timestep_fs
        Of all runs.
    teacher_time_fs, teacher_interval_fs
        Length of a run of the teacher, and the time between the frames that are labelled.
    n_contacts
        Frames with close contacts, see `aiida_hdiff.sampling.close_contacts`.
    contacts
        Settings of these: ``h_h_A``, ``h_host_A``, ``rattle_A``, ``max_strain``.
    max_force_eV_A
        Frames with a larger force are not fitted to: they would dominate the fit.
    min_distance_A
        Frames of runs of the student with atoms nearer than this are not labelled.
    max_volume_change
        A run of the student fails, and its frames are labelled no further, where the volume has changed by this share
        of the first. Small cells near their melting point breathe by a quarter.
    hot_runs, hot_factor, hot_time_ps, hot_interval_fs
        Runs of the student in each round, with the contents of hydrogen in turn from the highest, each at constant
        volume and at zero pressure; temperature in units of the highest of ``temperatures_K``; length and time between
        stored frames.
    hot_frames
        Frames to label of each run, besides the one in which hydrogen atoms are nearest to each other; of a run that
        failed, the last before it did as well.
    max_rounds
        Fits at most.
    rmse_tolerance
        The force error of hydrogen is stable if the last round has changed it by no more than this share.
    max_label_failures
        Frames that the teacher may fail for.
    trial_time_ps, nve_time_ps
        Length of the run of the structure itself, at the temperature of the hot runs and zero pressure, which ends
        the rounds if it does not fail, and of the one at constant energy that follows.
    path_points
        Positions of hydrogen along each path between sites of the rigid host, the ends included.
    max_force_rmse_H_meV_A, max_drift_meV_per_atom_per_ps, max_path_error_meV
        Limits: RMSE of the forces on hydrogen on the frames that were held out; drift of the energy; error of the
        energies of sites and of the barriers along the paths.
    """

    pod: dict[str, Any] = field(default_factory=lambda: {'preset': 'default'})
    n_hydrogen: tuple[int, ...] | None = None
    temperatures_K: tuple[float, ...] = (300.0, 600.0, 900.0)
    test_temperatures_K: tuple[float, ...] | None = None
    strains: tuple[float, ...] = (0.0, -0.03, 0.03)
    timestep_fs: float = 1.0
    teacher_time_fs: float = 200.0
    teacher_interval_fs: float = 20.0
    n_contacts: int = 60
    contacts: dict[str, Any] = field(default_factory=dict)
    max_force_eV_A: float = 10.0
    min_distance_A: float = 0.6
    max_volume_change: float = 0.5
    hot_runs: int = 6
    hot_factor: float = 1.2
    hot_time_ps: float = 2.0
    hot_interval_fs: float = 10.0
    hot_frames: int = 8
    max_rounds: int = 5
    rmse_tolerance: float = 0.1
    max_label_failures: int = 5
    trial_time_ps: float = 5.0
    nve_time_ps: float = 5.0
    path_points: int = 9
    max_force_rmse_H_meV_A: float = 100.0
    max_drift_meV_per_atom_per_ps: float = 0.05
    max_path_error_meV: float = 60.0

    @property
    def held_out_temperatures_K(self) -> tuple[float, ...]:
        """Temperatures of the runs whose frames are held out."""
        return self.test_temperatures_K or (max(self.temperatures_K),)

    @property
    def hot_temperature_K(self) -> float:
        """Temperature of the runs of the student."""
        return self.hot_factor * max(self.temperatures_K)

    def contents(self, n_hydrogen: int, n_host: int) -> tuple[int, ...]:
        """Return the numbers of hydrogen atoms for a cell that is to have ``n_hydrogen`` of them."""
        if self.n_hydrogen:
            return self.n_hydrogen
        more = min(2 * n_hydrogen, max(n_hydrogen, n_host // 4))
        found = {max(1, n_hydrogen // 2), n_hydrogen, more}
        return tuple(sorted(found if len(found) > 1 else {n_hydrogen, n_hydrogen + 1}))

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DistillSettings:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a key is unknown or a value is out of range; the message says what to give instead.
        """
        known = {one.name: one for one in fields(cls)}
        for key in values:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f'did you mean `{near[0]}`?' if near else f'known are {", ".join(known)}.'
                raise ValueError(f'unknown setting `{key}`: {hint}')
        given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
        settings = cls(**given)
        _check_numbers(settings)
        _check_lists(settings)
        _check_nested(settings)
        return settings


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_numbers(settings: DistillSettings) -> None:
    for key in _POSITIVE:
        value = getattr(settings, key)
        if not _is_number(value) or not value > 0:
            raise ValueError(f'`{key}` is {value!r}: give a positive number.')
    for key, least in _WHOLE.items():
        value = getattr(settings, key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f'`{key}` is {value!r}: give a whole number of at least {least}.')
    if not _is_number(settings.min_distance_A) or settings.min_distance_A < 0:
        raise ValueError(f'`min_distance_A` is {settings.min_distance_A!r}: give a distance in Å.')
    if settings.timestep_fs > LARGEST_TIMESTEP_FS:
        raise ValueError(f'`timestep_fs` is {settings.timestep_fs}: with hydrogen give at most {LARGEST_TIMESTEP_FS}.')
    for interval, length in (
        ('teacher_interval_fs', settings.teacher_time_fs),
        ('hot_interval_fs', 1000.0 * settings.hot_time_ps),
    ):
        if 2 * getattr(settings, interval) > length:
            raise ValueError(f'`{interval}` is {getattr(settings, interval)}: the run has {length:g} fs; reduce it.')


def _check_lists(settings: DistillSettings) -> None:
    for key in ('temperatures_K', 'test_temperatures_K'):
        values = getattr(settings, key)
        if values is None and key == 'test_temperatures_K':
            continue
        if not isinstance(values, tuple) or not values or not all(_is_number(one) and one > 0 for one in values):
            raise ValueError(f'`{key}` is {values!r}: give a list of positive temperatures in K.')
    strains = settings.strains
    if not isinstance(strains, tuple) or not strains or not all(_is_number(one) and abs(one) < 0.2 for one in strains):
        raise ValueError(f'`strains` is {strains!r}: give a list of relative changes of length, such as [0.0, 0.02].')
    counts = settings.n_hydrogen
    if counts is None:
        return
    whole = isinstance(counts, tuple) and all(isinstance(one, int) and not isinstance(one, bool) for one in counts)
    if not whole or not counts or min(counts) < 1 or len(set(counts)) < 2:
        raise ValueError(
            f'`n_hydrogen` is {counts!r}: give at least two numbers of hydrogen atoms, as one content does not tell '
            'the energies of the elements apart.'
        )


def _check_nested(settings: DistillSettings) -> None:
    from aiida_hdiff.sampling.close_contacts import ContactSettings

    try:
        PodSettings.from_dict(settings.pod)
    except ValueError as error:
        raise ValueError(f'`pod`: {error}') from error
    owned = [key for key in ('n_frames', 'seed') if key in settings.contacts]
    if owned:
        other = {'n_frames': '`n_contacts`', 'seed': 'the input `seed`'}[owned[0]]
        raise ValueError(f'`contacts.{owned[0]}` is given, which is {other}: leave it out.')
    try:
        ContactSettings.from_dict({'n_frames': 1, 'seed': 0, **settings.contacts})
    except ValueError as error:
        raise ValueError(f'`contacts`: {error}') from error
