"""What is known of a VASP run when its exit code is chosen, and the summary of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida_hdiff.formats.incar import number, truth
from aiida_hdiff.formats.incar_checks import MOVING_MODES, ml_mode
from aiida_hdiff.formats.vasp_messages import OutcarEnd, RunMessages
from aiida_hdiff.formats.vasp_run import VaspRun
from aiida_hdiff.formats.vasp_trajectory import RecordedRun
from aiida_hdiff.parsers.vasp_training import Training

NO_FORCE_FIELD = 'none'
OLD_MODES = {2: 'run', 3: 'select', 4: 'refit'}
"""ML_ISTART of VASP 6.3, which otherwise trains."""
STATE_WARNINGS = {
    'vasprun.xml': 'CONTCAR cannot be used: the final state is that of vasprun.xml.',
    'differences': 'CONTCAR cannot be used: the final state is the last frame before, with velocities from two frames.',
    'frame': 'CONTCAR cannot be used: the final state is the last frame and has no velocities.',
}
"""By the source of the final state."""


@dataclass
class RunReport:
    """What is known of a run when its exit code is chosen."""

    mode: str
    run: VaspRun
    messages: RunMessages
    end: OutcarEnd
    n_requested: int
    recorded: RecordedRun | None = None
    training: Training = field(default_factory=Training)
    warnings: list[str] = field(default_factory=list)

    @property
    def moves(self) -> bool:
        """Whether the run is molecular dynamics, and not the selection or the fit of a force field."""
        return self.mode in (*MOVING_MODES, NO_FORCE_FIELD)

    @property
    def ended(self) -> bool:
        """Whether VASP has ended by itself."""
        return self.end.finished or self.run.complete

    @property
    def finished(self) -> bool:
        """Whether it has done what it was asked for."""
        if not self.moves:
            return self.ended
        return self.ended and self.run.n_steps > self.n_requested - self.run.interval

    @property
    def n_steps(self) -> int:
        """Steps calculated, with those behind the last that was written."""
        return max(self.run.n_steps, self.n_requested) if self.finished else self.run.n_steps

    @property
    def emulated(self) -> bool:
        """Whether a stand-in has made the output and not VASP."""
        header = self.run.header
        return (header is not None and header.emulated) or self.messages.emulated or self.training.emulated


def misc(report: RunReport, first_step: int) -> dict[str, Any]:
    """Return the summary of a run, under the names of aiida-vasp where it has them."""
    run, training, recorded = report.run, report.training, report.recorded
    header, state = run.header, None if recorded is None else recorded.state
    elapsed_s = report.end.elapsed_s
    return {
        'run_status': {
            'finished': report.ended,
            'nsw': report.n_requested,
            'nelm': None if header is None else header.max_scf_steps,
            'last_iteration_index': [run.n_steps, run.last_scf_steps],
            'electronic_converged': run.first_failed_step is None,
            'contains_nelm_breach': run.first_failed_step is not None,
        },
        'version': '' if header is None else header.version,
        'emulated': report.emulated,
        'mode': report.mode,
        'first_step': first_step,
        'n_steps': report.n_steps,
        'n_dft_steps': run.n_dft_steps,
        'n_ml_steps': run.n_ml_steps,
        'last_step': first_step if state is None else state.step,
        'finished': report.finished and run.first_failed_step is None,
        'steps_per_s': report.n_steps / elapsed_s if elapsed_s else None,
        'n_configurations': training.n_configurations,
        'n_local_configurations': training.n_local_configurations,
        'warnings': report.warnings,
    }


def run_mode(incar: Mapping[str, Any]) -> str:
    """Return ML_MODE, that which belongs to ML_ISTART of VASP 6.3, or ``none`` for a run without force field."""
    mode = ml_mode(incar)
    if mode is None and truth(incar.get('ML_LMLFF')):
        return OLD_MODES.get(whole_number(incar.get('ML_ISTART')) or 0, 'train')
    return mode or NO_FORCE_FIELD


def whole_number(value: Any) -> int | None:
    """Return the value of a tag as a whole number, or ``None`` if it is not one number."""
    found = number(value)
    return None if found is None else int(found)
