"""Parser of fits by `fitpod`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_hdiff.analysis.error_summary import error_summary
from aiida_hdiff.analysis.errors import Predictions, compositions
from aiida_hdiff.calculations import pod_train as files
from aiida_hdiff.calculations.training_sets import training_sets
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats import LabelledFrames, pod
from aiida_hdiff.formats import pod_evaluation as script
from aiida_hdiff.formats.lammps import ScreenOutput, read_screen_output
from aiida_hdiff.parsers.base import JobParser
from aiida_hdiff.parsers.evaluate import parity_arrays
from aiida_hdiff.sampling.close_contacts import contact_warnings, shortest_distances


class PodTrainParser(JobParser):
    """Turn the coefficients of a fit into a potential, and its evaluation into errors."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        if files.LOG_FILE not in self.retrieved.list_object_names():
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason=f'{files.LOG_FILE} is not there.')
        fit = read_screen_output(self.retrieved.get_object_content(files.LOG_FILE))
        log = folder / script.EVALUATION_LOG
        evaluation = read_screen_output(log.read_text(errors='replace') if log.is_file() else '')
        failure = self._failure(folder, fit, evaluation)
        if failure is not None:
            return failure
        content = (folder / pod.COEFFICIENTS_FILE).read_bytes()
        coefficients = pod.read_coefficients(content.decode())
        if not np.isfinite(coefficients).all():
            count = int((~np.isfinite(coefficients)).sum())
            return self.exit_codes.ERROR_NOT_A_NUMBER.format(
                reason=f'{count} of {len(coefficients)} coefficients are not numbers; look for frames that repeat one '
                'another or have impossible labels.'
            )
        predicted = self._predictions(folder)
        self._store_potential(folder, content, len(coefficients))
        self._store_results(fit, predicted, len(coefficients))
        for name, one in predicted.items():
            self.out(f'parity.{name}', parity_arrays(one, range(len(one.frames))))
        return None

    def _failure(self, folder: Path, fit: ScreenOutput, evaluation: ScreenOutput) -> ExitCode | None:
        codes = self.exit_codes
        for screen in (fit, evaluation):
            if screen.error and 'unknown command' in screen.error.lower():
                return codes.ERROR_NO_FITPOD.format(reason=screen.error)
            if screen.error:
                return codes.ERROR_FIT_FAILED.format(reason=screen.error)
        if any(mark.startswith(script.FINISHED_MARK) for mark in evaluation.marks):
            missing = [name for name in (pod.COEFFICIENTS_FILE, script.PARAM_FILE) if not (folder / name).is_file()]
            return codes.ERROR_OUTPUT_MISSING.format(reason=f'{missing[0]} is not there.') if missing else None
        return codes.ERROR_OUT_OF_MEMORY if self.was_out_of_memory() else codes.ERROR_INTERRUPTED_EARLY

    def _predictions(self, folder: Path) -> dict[str, Predictions]:
        """Return what LAMMPS says of each set."""
        cells = [frame.cell for frame in files.evaluated_frames(self.node.inputs)]
        energies, forces = ((folder / name).read_text() for name in (script.ENERGIES_FILE, script.FORCES_FILE))
        found = script.read_evaluation(energies, forces, cells)
        sets, start = {}, 0
        for name, dataset in training_sets(self.node.inputs).items():
            frames = dataset.frames()
            part = found[start : start + len(frames)]
            start += len(frames)
            sets[name] = Predictions(
                frames=frames,
                energies=np.array([one.energy for one in part]),
                forces=np.concatenate([one.forces for one in part]),
                stresses=np.array([one.stress for one in part]),
            )
        return sets

    def _store_potential(self, folder: Path, coefficients: bytes, n_coefficients: int) -> None:
        settings = pod.PodSettings.from_dict(self.node.inputs.settings.get_dict())
        potential = PotentialData(
            architecture='lammps',
            elements=files.pod_elements(self.node.inputs),
            files=[(folder / script.PARAM_FILE).read_bytes(), coefficients],
            cutoff_A=settings.rcut_A,
            pair_style='pod',
        )
        potential.label = f'POD {settings.preset}, {n_coefficients} coefficients'
        self.out('potential', potential)

    def _store_results(self, fit: ScreenOutput, predicted: dict[str, Predictions], n_coefficients: int) -> None:
        inputs = self.node.inputs
        settings = pod.PodSettings.from_dict(inputs.settings.get_dict())
        frames = inputs.train.frames()
        nearest = shortest_distances(frames)
        warnings = [*contact_warnings(nearest), *_composition_warnings(frames)]
        for text in warnings:
            self.logger.warning(text)
        seconds = re.search(rf'{script.FITTED_MARK} (\S+) s', '\n'.join(fit.marks))
        has_errors = pod.ERRORS_FILE in self.retrieved.list_object_names()
        self.out(
            'results',
            orm.Dict(
                {
                    'settings': settings.as_dict(),
                    'elements': files.pod_elements(inputs),
                    'n_coefficients': n_coefficients,
                    'n_frames': {name: dataset.n_frames for name, dataset in training_sets(inputs).items()},
                    'reference': inputs.train.references[0],
                    'fit_seconds': float(seconds[1]) if seconds else None,
                    'splits': {name: _errors(one) for name, one in predicted.items()},
                    'fitpod': pod.read_fit_errors(self.retrieved.get_object_content(pod.ERRORS_FILE))
                    if has_errors
                    else None,
                    'shortest_distances_A': nearest,
                    'warnings': warnings,
                    'versions': {'lammps': fit.version},
                }
            ),
        )


def _errors(predictions: Predictions) -> dict[str, Any]:
    """Return the errors on a set in the units of the other trainings."""
    summary = error_summary(predictions, n_worst=3)
    stress = summary['stress_meV_A3']
    return {
        'energy_rmse_meV_per_atom': summary['energy_meV_per_atom']['rmse'],
        'force_rmse_meV_A': summary['force_meV_A']['rmse'],
        'stress_rmse_meV_A3': None if stress is None else stress['rmse'],
        'force_rmse_meV_A_by_element': {
            symbol: one['force_meV_A']['rmse'] for symbol, one in summary['by_element'].items()
        },
        'worst_by_force': summary['worst_by_force'],
    }


def _composition_warnings(frames: LabelledFrames) -> list[str]:
    numbers, shares = compositions(frames)
    if np.linalg.matrix_rank(shares) == len(numbers):
        return []
    return [
        'the frames to fit to have too few compositions to tell the energies of the elements apart: energies of other '
        'contents of hydrogen will be shifted; add frames with another number of hydrogen atoms.'
    ]
