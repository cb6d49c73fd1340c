"""What a report shows, as plain data: no AiiDA, no plotting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.details import FloatArray, ProvenanceGraph, RunDetails, store_arrays
from aiida_hdiff.report.learning import LearningHistory
from aiida_hdiff.report.learning_curves import LearningCurves
from aiida_hdiff.report.models import ModelRecord

Status = Literal['resolved', 'not_resolved', 'failed']
Covariance = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class MSDCurve:
    """Mean squared displacement of hydrogen.

    Attributes
    ----------
    lag_times_ps : ndarray
        Lag times in ps.
    msd_A2 : ndarray
        Mean squared displacement in Å².
    msd_per_axis_A2 : ndarray or None
        The same per Cartesian axis, shape (n, 3).
    """

    lag_times_ps: FloatArray
    msd_A2: FloatArray
    msd_per_axis_A2: FloatArray | None = None

    def __post_init__(self) -> None:
        store_arrays(self, 'lag_times_ps', 'msd_A2', 'msd_per_axis_A2')


@dataclass(frozen=True, eq=False)
class RDFCurve:
    """Radial distribution function of one pair of elements.

    Attributes
    ----------
    pair : str
        Label such as ``Ni-H``.
    r_A, g : ndarray
        Distance in Å and the radial distribution function.
    temperature_K : float
        Requested temperature in K.
    coordination : ndarray or None
        Running coordination number: neighbours of the first kind's atom within each distance.
    """

    pair: str
    r_A: FloatArray
    g: FloatArray
    temperature_K: float
    coordination: FloatArray | None = None

    def __post_init__(self) -> None:
        store_arrays(self, 'r_A', 'g', 'coordination')


@dataclass(frozen=True, eq=False)
class StageSeries:
    """A short time series of one stage of the simulation.

    Attributes
    ----------
    stage : str
        ``npt``, ``nvt`` or ``nve``.
    times_ps, temperature_K : ndarray
        Time in ps and instantaneous temperature in K.
    energy_eV_per_atom : ndarray or None
        Total energy per atom in eV.
    """

    stage: str
    times_ps: FloatArray
    temperature_K: FloatArray
    energy_eV_per_atom: FloatArray | None = None

    def __post_init__(self) -> None:
        store_arrays(self, 'times_ps', 'temperature_K', 'energy_eV_per_atom')


@dataclass(frozen=True)
class TemperatureResult:
    """Diffusion coefficient of one potential at one temperature (one replica).

    Attributes
    ----------
    temperature_K : float
        Requested temperature in K.
    status : str
        ``resolved``, ``not_resolved`` (only an upper bound is known) or ``failed``.
    reason : str
        Why the coefficient is not resolved or the simulation failed.
    measured_temperature_K, temperature_error_K : float or None
        Mean temperature of the NVE run and its standard error in K.
    value_m2_s, std_error_m2_s : float or None
        Diffusion coefficient and its standard error in m²/s.
    interval_m2_s : tuple of float or None
        95 % interval in m²/s.
    upper_bound_m2_s : float or None
        Upper bound in m²/s where the coefficient is not resolved.
    n_hops : float or None
        Hops seen, all hydrogen atoms together.
    window_ps : tuple of float or None
        Fit window of the mean squared displacement in ps.
    drift_meV_per_atom_per_ns : float or None
        Drift of the total energy in the NVE run.
    production_ps : float or None
        Length of the NVE run in ps.
    mean_volume_A3 : float or None
        Mean volume of the NpT run in Å³.
    lattice : dict
        Lattice parameters at this temperature in Å, by name.
    replica : int
        Number of the replica, from 0.
    node_uuid : str or None
        UUID of the diffusivity node.
    process_uuid : str or None
        UUID of the process that made it (also known where it failed).
    msd : MSDCurve or None
        Mean squared displacement.
    series : tuple of StageSeries
        Temperature and energy against time.
    details : RunDetails
        Sites, pairs, windows and the rest of the analysis.
    """

    temperature_K: float
    status: Status
    reason: str = ''
    measured_temperature_K: float | None = None
    temperature_error_K: float | None = None
    value_m2_s: float | None = None
    std_error_m2_s: float | None = None
    interval_m2_s: tuple[float, float] | None = None
    upper_bound_m2_s: float | None = None
    n_hops: float | None = None
    window_ps: tuple[float, float] | None = None
    drift_meV_per_atom_per_ns: float | None = None
    production_ps: float | None = None
    mean_volume_A3: float | None = None
    lattice: Mapping[str, float] = field(default_factory=dict)
    replica: int = 0
    node_uuid: str | None = None
    process_uuid: str | None = None
    msd: MSDCurve | None = None
    series: tuple[StageSeries, ...] = ()
    details: RunDetails = field(default_factory=RunDetails)

    def __post_init__(self) -> None:
        if self.status == 'resolved' and not (self.value_m2_s or 0.0) > 0.0:
            msg = f'a resolved diffusion coefficient must be positive, not {self.value_m2_s}'
            raise ValueError(msg)

    @property
    def plot_temperature_K(self) -> float:
        """The temperature the coefficient belongs to: measured, else requested, in K."""
        return self.measured_temperature_K or self.temperature_K


@dataclass(frozen=True)
class PotentialResult:
    """Everything one interatomic potential gave.

    Attributes
    ----------
    label, architecture : str
        Name of the potential and its kind (``eam``, ``mace``, ``chgnet``, ...).
    sha256, node_uuid : str or None
        Hash of the model file and UUID of the potential's node.
    arrhenius_uuid : str or None
        UUID of the Arrhenius node.
    activation_energy_eV, activation_energy_error_eV : float or None
        Ea and its standard error in eV; ``None`` without a fit.
    prefactor_m2_s, log_prefactor_error : float or None
        D0 in m²/s and the standard error of ln D0.
    covariance : 2x2 tuple or None
        Covariance of (ln D0, Ea in eV).
    chi2 : float or None
        χ² of the fit.
    dof : int or None
        Degrees of freedom of the fit.
    inflated : bool
        Whether the errors were multiplied by √(χ²/dof).
    missing : tuple
        Temperatures left out of the fit, each (temperature in K, reason).
    temperatures : tuple of TemperatureResult
        Results, one per temperature and replica.
    rdf : tuple of RDFCurve
        Radial distribution functions.
    remarks : tuple of str
        What the tests of the fit say, for example of its curvature; sentences without a full stop.
    emulated : bool
        Whether anything that the potential or its results descend from was made with the VASP stand-in.
    trainings : tuple
        How it learned, in the order in which that was done: on the fly (`LearningHistory`) or from a set
        (`LearningCurves`).
    model : ModelRecord or None
        How the potential was made and how good it is; ``None`` where nothing is known.
    """

    label: str
    architecture: str
    sha256: str | None = None
    node_uuid: str | None = None
    arrhenius_uuid: str | None = None
    activation_energy_eV: float | None = None
    activation_energy_error_eV: float | None = None
    prefactor_m2_s: float | None = None
    log_prefactor_error: float | None = None
    covariance: Covariance | None = None
    chi2: float | None = None
    dof: int | None = None
    inflated: bool = False
    missing: tuple[tuple[float, str], ...] = ()
    temperatures: tuple[TemperatureResult, ...] = ()
    rdf: tuple[RDFCurve, ...] = ()
    remarks: tuple[str, ...] = ()
    emulated: bool = False
    trainings: tuple[LearningHistory | LearningCurves, ...] = ()
    model: ModelRecord | None = None

    @property
    def has_fit(self) -> bool:
        """Whether an Arrhenius fit exists."""
        return self.activation_energy_eV is not None and self.prefactor_m2_s is not None

    @property
    def n_replicas(self) -> int:
        """Number of different replicas."""
        return len({result.replica for result in self.temperatures})

    def predict(self, temperature_K: float) -> tuple[float, float]:
        """Return D of the fit and the standard error of ln D.

        Parameters
        ----------
        temperature_K : float
            Temperature in K.

        Returns
        -------
        tuple of float
            D in m²/s and the standard error of ln D (0 where no covariance is known).

        Raises
        ------
        ValueError
            If there is no Arrhenius fit.
        """
        if self.activation_energy_eV is None or self.prefactor_m2_s is None:
            msg = f'{self.label}: no Arrhenius fit'
            raise ValueError(msg)
        x = 1.0 / (BOLTZMANN_EV_PER_K * temperature_K)
        value = self.prefactor_m2_s * math.exp(-self.activation_energy_eV * x)
        if self.covariance is None:
            return value, 0.0
        (aa, ab), (_, bb) = self.covariance
        return value, math.sqrt(max(aa - 2.0 * x * ab + x * x * bb, 0.0))


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from.

    Attributes
    ----------
    workchain_uuid : str or None
        UUID of the work chain of the study.
    workchain_pk : int or None
        Its PK in the database the report was made from.
    node_counts : dict
        Number of nodes in the graph by type.
    software_versions : dict
        Versions by name of the program.
    graphs : tuple of ProvenanceGraph
        How single numbers came to be.
    tools : tuple of str
        Programs and methods that took part in making the potentials: ``chgnet``, ``gpaw``, ``vasp``, ``direct``, ...
    """

    workchain_uuid: str | None = None
    workchain_pk: int | None = None
    node_counts: Mapping[str, int] = field(default_factory=dict)
    software_versions: Mapping[str, str] = field(default_factory=dict)
    graphs: tuple[ProvenanceGraph, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything a report shows.

    Attributes
    ----------
    title, label : str
        Heading of the page and short name of the study.
    system : str
        Description such as ``H in fcc Ni``.
    host : str
        Chemical symbol or formula of the host.
    composition : dict
        Atoms in the simulation cell by element.
    protocol : str
        Name of the protocol.
    created : str
        When the study was made, as text.
    settings : dict
        Settings worth showing (time step, lengths of the stages, ...), name to text.
    is_demonstration : bool
        Whether the numbers are only a demonstration.
    demonstration_text : str
        Why they are.
    warnings : tuple of str
        Things the reader must know.
    potentials : tuple of PotentialResult
        Results by potential.
    literature : tuple of LiteratureValue
        Published values to compare with.
    provenance : Provenance
        Where the numbers come from.
    """

    title: str
    label: str
    system: str
    host: str
    composition: Mapping[str, int] = field(default_factory=dict)
    protocol: str = ''
    created: str = ''
    settings: Mapping[str, str] = field(default_factory=dict)
    is_demonstration: bool = False
    demonstration_text: str = ''
    warnings: tuple[str, ...] = ()
    potentials: tuple[PotentialResult, ...] = ()
    literature: tuple[LiteratureValue, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def emulated(self) -> bool:
        """Whether anything in the study was made with the VASP stand-in."""
        return any(potential.emulated for potential in self.potentials)

    @property
    def trainings(self) -> tuple[tuple[str, LearningHistory | LearningCurves], ...]:
        """Every training once, with the label of the first potential that descends from it."""
        found = {
            training.node_uuid or str(id(training)): (potential.label, training)
            for potential in reversed(self.potentials)
            for training in reversed(potential.trainings)
        }
        return tuple(reversed(found.values()))

    @property
    def n_atoms(self) -> int:
        """Number of atoms in the simulation cell."""
        return sum(self.composition.values())


def shared_curves(study: Study) -> dict[tuple[str, float], list[tuple[PotentialResult, RDFCurve]]]:
    """Return the radial distribution functions that at least two potentials have, by pair and temperature."""
    found: dict[tuple[str, float], list[tuple[PotentialResult, RDFCurve]]] = {}
    for potential in study.potentials:
        for curve in potential.rdf:
            found.setdefault((curve.pair, curve.temperature_K), []).append((potential, curve))
    return {key: curves for key, curves in found.items() if len({id(one) for one, _ in curves}) > 1}


def pair_order(pair: str) -> tuple[bool, bool, str]:
    """Sort pairs of elements: host and hydrogen first, then hydrogen with itself, then the host."""
    first, _, second = pair.partition('-')
    return first == second, 'H' not in (first, second), pair


def run_name(potential: PotentialResult, result: TemperatureResult) -> str:
    """Return temperature and, where there are several, replica of a run."""
    replica = f', replica {result.replica + 1}' if potential.n_replicas > 1 else ''
    return f'{result.temperature_K:g} K{replica}'
