"""How a force field was trained on the fly, read from a training in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.report.details import FloatArray

TRAINING = 'aiida.workflows:hdiff.on_the_fly'
TRAINED_DIFFUSION = 'aiida.workflows:hdiff.trained_diffusion'
_BINS = 600


@dataclass(frozen=True)
class TrainingSpan:
    """One stage on the time axis.

    Attributes
    ----------
    name : str
        Name of the stage.
    start_ps, end_ps : float
        Where it lies.
    start_K, end_K : float
        Its temperatures.
    """

    name: str
    start_ps: float
    end_ps: float
    start_K: float
    end_K: float

    @property
    def label(self) -> str:
        """Its temperature, or the range of the ramp."""
        if self.start_K == self.end_K:
            return f'{self.start_K:g} K'
        return f'{self.start_K:g}–{self.end_K:g} K'


@dataclass(frozen=True)
class LearningHistory:
    """Errors, threshold and calls of a training against the time that was simulated, stage after stage.

    Attributes
    ----------
    times_ps, bayesian_error_eV_A, threshold_eV_A : ndarray
        Largest Bayesian error of the forces and the threshold, shape (n_steps,).
    call_times_ps : ndarray
        When the density functional calculation was called, shape (n_calls,).
    rmse_times_ps, rmse_force_eV_A : ndarray
        Error of the forces on the training set, shape (n_updates,).
    spans : tuple of TrainingSpan
        The stages.
    emulated : bool
        Whether a stand-in ran in the place of VASP.
    title : str
        Name of the training.
    node_uuid : str or None
        UUID of its workchain.
    """

    times_ps: FloatArray
    bayesian_error_eV_A: FloatArray
    threshold_eV_A: FloatArray
    call_times_ps: FloatArray
    rmse_times_ps: FloatArray
    rmse_force_eV_A: FloatArray
    spans: tuple[TrainingSpan, ...]
    emulated: bool
    title: str = 'training on the fly'
    node_uuid: str | None = None


def collect_learning(node: Any) -> LearningHistory:
    """Return the history of a training.

    Parameters
    ----------
    node : aiida.orm.WorkChainNode
        An OnTheFlyWorkChain, or a TrainedDiffusionWorkChain.

    Raises
    ------
    ValueError
        If the node is no training, or has found nothing yet.
    """
    if node.process_type == TRAINED_DIFFUSION:
        children = node.base.links.get_outgoing(link_label_filter='training').all_nodes()
        if not children:
            raise ValueError(f'process {node.pk} has not begun its training: wait for its first jobs.')
        node = children[0]
    if node.process_type != TRAINING:
        raise ValueError(f'node {node.pk} is no training on the fly: give an OnTheFlyWorkChain.')
    outputs = node.base.links.get_outgoing().nested()
    if 'learning' not in outputs or 'statistics' not in outputs:
        raise ValueError(f'training {node.pk} has no `learning` yet: wait until it ends.')
    to_ps = node.inputs.settings['timestep_fs'] / FS_PER_PS
    learning, statistics = outputs['learning'], outputs['statistics'].get_dict()
    stages = {stage['name']: stage for stage in statistics['stages']}

    def column(name: str) -> FloatArray:
        known = name in learning.get_arraynames()
        return np.asarray(learning.get_array(name) if known else [], dtype=np.float64)

    called = column('dft').astype(bool)
    spans = tuple(
        TrainingSpan(
            name=span['stage'],
            start_ps=span['first_step'] * to_ps,
            end_ps=(span['first_step'] + span['steps']) * to_ps,
            start_K=stages[span['stage']]['start_K'],
            end_K=stages[span['stage']]['end_K'],
        )
        for span in statistics['spans']
    )
    return LearningHistory(
        times_ps=column('step') * to_ps,
        bayesian_error_eV_A=column('bayesian_error_force_max'),
        threshold_eV_A=column('threshold'),
        call_times_ps=column('status_step')[called] * to_ps,
        rmse_times_ps=column('rmse_step') * to_ps,
        rmse_force_eV_A=column('rmse_force'),
        spans=spans,
        emulated=bool(statistics['emulated']),
        title=f'on the fly: {node.label}' if node.label else 'on the fly',
        node_uuid=node.uuid,
    )


def envelope(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return times with the lowest and highest value about each, so that no peak is lost by thinning.

    Parameters
    ----------
    times, values : ndarray
        Shape (n,), times in any order.

    Returns
    -------
    tuple of ndarray
        Times, lowest and highest values, at most 600 of each.
    """
    order = np.argsort(times, kind='stable')
    parts = [part for part in np.array_split(order, min(_BINS, max(1, len(order)))) if len(part)]
    middle = np.array([times[part].mean() for part in parts])
    return middle, np.array([values[part].min() for part in parts]), np.array([values[part].max() for part in parts])
