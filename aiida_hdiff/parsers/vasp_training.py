"""The files of a training run of VASP: what can be read of each, as nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.calculations import vasp_mlff as files
from aiida_hdiff.calculations.vasp_inputs import settings_hash
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats import MLAB, LabelledFrames, read_ml_ab
from aiida_hdiff.formats.incar import label_reference
from aiida_hdiff.formats.ml_ff import read_ml_ff_header
from aiida_hdiff.formats.ml_logfile import read_ml_logfile
from aiida_hdiff.formats.ml_reg import read_ml_reg
from aiida_hdiff.formats.vasp_run import VaspRun
from aiida_hdiff.formats.vasp_trajectory import DftSteps, RecordedRun
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.parsers.vasp_learning import (
    frame_origin,
    learning_node,
    log_offset,
    new_frames,
    regression_node,
    with_missing,
)

REFIT_MODES = ('refit', 'refitbayesian')


@dataclass
class Training:
    """What a run has learned.

    Attributes
    ----------
    nodes
        Outputs by name: dataset, learning, regression, force_field, ml_ab, as far as there are any.
    n_configurations
        Configurations in a complete ML_ABN.
    n_local_configurations
        Local reference configurations by element, of ML_ABN.
    emulated
        Whether a file says that a stand-in has written it.
    warnings
        What was wrong with files.
    """

    nodes: dict[str, orm.Data] = field(default_factory=dict)
    n_configurations: int | None = None
    n_local_configurations: dict[str, int] | None = None
    emulated: bool = False
    warnings: list[str] = field(default_factory=list)

    def full(self, limit: int | None) -> str:
        """Return ML_MCONF if as many configurations were found as that allows, or an empty text."""
        count = self.n_configurations
        return 'ML_MCONF' if limit and count is not None and count >= limit else ''


def read_training(
    inputs: Mapping[str, Any], folder: Path, run: VaspRun, recorded: RecordedRun | None, mode: str
) -> Training:
    """Read ML_LOGFILE, ML_REG, ML_ABN and ML_FFN as far as they are there."""
    training = Training()
    first_step = int(inputs['first_step'].value) if 'first_step' in inputs else 0
    dft_steps = DftSteps() if recorded is None else recorded.dft_steps
    log = _read(training, folder / 'ML_LOGFILE', lambda path: read_ml_logfile(path, allow_truncated=True))
    if log is not None:
        training.emulated = training.emulated or log.emulated
        offset = log_offset(log, [step - first_step + 1 for step in dft_steps.steps], run.n_steps)
        learning = learning_node(log, offset, first_step)
        if learning is not None:
            training.nodes['learning'] = learning
    if mode == 'run':
        return training
    reg = _read(training, folder / 'ML_REG', lambda path: read_ml_reg(path, allow_truncated=True))
    if reg is not None:
        training.nodes['regression'] = regression_node(reg)
    ml_ab = _read_training_set(training, folder / files.ML_ABN)
    emulated = training.emulated or (run.header is not None and run.header.emulated)
    reference = label_reference(_reference(inputs), emulated=emulated)
    frames = None
    if ml_ab is not None:
        n_before = int(inputs['n_configurations'].value) if 'n_configurations' in inputs else _n_read(inputs)
        frames = new_frames(ml_ab, n_before, dft_steps, reference)
        if 'store_ml_ab' in inputs and inputs['store_ml_ab'].value and training.n_configurations is not None:
            training.nodes['ml_ab'] = orm.SinglefileData(folder / files.ML_ABN, filename=files.ML_ABN)
    if dft_steps.steps and (frames is None or len(frames) < len(dft_steps.steps)):
        known = [] if ml_ab is None else [frame.energy for frame in ml_ab]
        frames = with_missing(frames, _frames_of_run(training, folder / 'vasprun.xml', dft_steps, reference), known)
    if frames is not None:
        training.nodes['dataset'] = LabelledDataset(frames)
    if mode in REFIT_MODES:
        potential = _read(training, folder / files.ML_FFN, _force_field)
        if potential is not None:
            training.nodes['force_field'] = potential
            training.emulated = training.emulated or bool(potential.options.get('emulated'))
    return training


def _read(training: Training, path: Path, reader: Callable[[Path], Any]) -> Any:
    """Return what a reader finds, or ``None`` for a file that is missing, empty or cannot be read."""
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        return reader(path)
    except ValueError as error:
        training.warnings.append(str(error))
        return None


def _read_training_set(training: Training, path: Path) -> MLAB | None:
    def read(path: Path) -> MLAB:
        try:
            ml_ab = read_ml_ab(path)
        except ValueError as error:
            training.warnings.append(str(error))
            return read_ml_ab(path, allow_truncated=True)
        training.n_configurations = len(ml_ab)
        pairs = zip(ml_ab.elements, ml_ab.basis_sets, strict=True)
        training.n_local_configurations = {element: len(basis) for element, basis in pairs}
        return ml_ab

    ml_ab: MLAB | None = _read(training, path, read)
    return ml_ab


def _n_read(inputs: Mapping[str, Any]) -> int:
    """Return how many configurations there were in the ML_AB that was given as a file."""
    if 'ml_ab' not in inputs:
        return 0
    with inputs['ml_ab'].open(mode='rb') as stream:
        words = stream.read(1000).split(b'\n')
    return int(words[4]) if len(words) > 4 and words[4].strip().isdigit() else 0


def _reference(inputs: Mapping[str, Any]) -> str:
    potcars = dict(inputs['potential']) if 'potential' in inputs else {}
    if not potcars or 'kpoints' not in inputs:
        return ''
    return settings_hash(inputs['parameters'].get_dict(), potcars, inputs['kpoints'])


def _frames_of_run(training: Training, path: Path, dft_steps: DftSteps, reference: str) -> LabelledFrames | None:
    """Return the steps of DFT of vasprun.xml as frames; ML_ABN has more digits, but not the last steps after a kill."""
    found = []
    origins = iter(zip(dft_steps.steps, dft_steps.temperatures_K, strict=True))
    try:
        stream = iter_vasprun(path, allow_truncated=True)
        for step, (number, temperature_K) in zip(
            (step for step in stream if step.source == 'dft'), origins, strict=False
        ):
            if step.positions is not None and step.forces is not None:
                origin = frame_origin(number, temperature_K)
                found.append(step.to_labelled(stream.header.symbols, origin=origin, reference=reference))
    except (ValueError, OSError) as error:
        training.warnings.append(str(error))
    return LabelledFrames.from_frames(found) if found else None


def _force_field(path: Path) -> PotentialData:
    content = path.read_bytes()
    header = read_ml_ff_header(content[:4096])
    if header is None:
        raise ValueError(f'{path.name} has no header: it is of a VASP before 6.4, which cannot refit.')
    return PotentialData.from_vasp_mlff(content)
