"""The executable ``hdiff-engine``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from aiida_hdiff import __version__
from aiida_hdiff.engine.exit_codes import BAD_INPUT, ERROR, FINISHED, STATES, EngineError
from aiida_hdiff.engine.label_input import LabelInput
from aiida_hdiff.engine.md_input import MDInput

STATUS = 'status.json'
_THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='hdiff-engine',
        description='What aiida-hdiff runs on the compute machine; it does not need AiiDA.',
    )
    parser.add_argument('--version', action='version', version=f'hdiff-engine {__version__}')
    commands = parser.add_subparsers(dest='command', required=True)
    md = commands.add_parser('md', help='Run one stage of molecular dynamics in the working directory.')
    md.add_argument('input', type=Path, help='JSON file with the settings of the stage.')
    lammps = commands.add_parser('lammps', help='Run a LAMMPS script with the forces of a model.')
    lammps.add_argument('input', type=Path, help='JSON file with the model and the name of the script.')
    label = commands.add_parser('label', help='Label configurations with energies and forces in the working directory.')
    label.add_argument('input', type=Path, help='JSON file with the calculator and the name of the configurations.')
    evaluate = commands.add_parser('evaluate', help='Predict energies and forces of configurations by a potential.')
    evaluate.add_argument('input', type=Path, help='JSON file with the potential and the name of the configurations.')
    chgnet = commands.add_parser('train-chgnet', help='Fine-tune CHGNet in the working directory.')
    chgnet.add_argument('input', type=Path, help='JSON file with the settings and the names of the data sets.')
    mace = commands.add_parser('train-mace', help='Train or fine-tune a MACE model in the working directory.')
    mace.add_argument('input', type=Path, help='JSON file with the options of mace_run_train.')
    convert = commands.add_parser('convert-mace', help='Convert a MACE model for the kernels of Symmetrix-XL.')
    convert.add_argument('input', type=Path, help='JSON file with the model and the name of a structure.')
    return parser


def _read_input(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EngineError(BAD_INPUT, f'{path.name} cannot be read: {reason}.') from error
    if not isinstance(values, dict):
        raise EngineError(BAD_INPUT, f'{path.name}: must hold a mapping.')
    return values


class _Run:
    """What ends up in the status file."""

    def __init__(self) -> None:
        self.started = monotonic()
        self.step: int | None = None
        self.engine = 'ase'
        self.calculator: dict[str, Any] | None = None
        self.versions: Callable[[], dict[str, str]] = self._no_versions

    @staticmethod
    def _no_versions() -> dict[str, str]:
        from aiida_hdiff.engine.calculators import package_versions

        return package_versions('')

    def write_status(self, code: int, message: str) -> None:
        from aiida_hdiff.engine.checkpoint import write_atomically

        status = {
            'state': STATES.get(code, 'error'),
            'exit_code': code,
            'step': self.step,
            'message': message.replace(f'{Path.cwd()}{os.sep}', ''),
            'engine': self.engine,
            **({} if self.calculator is None else {'calculator': self.calculator}),
            'versions': self.versions(),
            'wall_s': round(monotonic() - self.started, 3),
        }
        write_atomically(STATUS, json.dumps(status, indent=1).encode())


def _set_threads(threads: int) -> None:
    """Set the threads of the linear algebra; numpy reads them when it is imported, so before that."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)


def _run_md(path: Path, run: _Run) -> str:
    job = MDInput.from_dict(_read_input(path))
    _set_threads(job.threads)
    from aiida_hdiff.engine.calculators import package_versions
    from aiida_hdiff.engine.md import Stage, stop_requests

    run.versions = lambda: package_versions(job.potential.architecture)
    stage = Stage(job, stop_requests(), run.started)
    return _run_stage(stage, run)


def _run_stage(stage: Any, run: _Run) -> str:
    try:
        stage.run()
    finally:
        run.step, run.calculator = stage.step, stage.calculator
    return 'all steps are done.'


def _run_lammps(path: Path, run: _Run) -> str:
    from aiida_hdiff.engine.lammps_external import LammpsInput, LammpsRun

    job = LammpsInput.from_dict(_read_input(path))
    _set_threads(job.threads)
    from aiida_hdiff.engine.calculators import package_versions
    from aiida_hdiff.engine.md import stop_requests

    run.engine, run.versions = 'lammps', lambda: package_versions(job.potential.architecture)
    stage = LammpsRun(job, stop_requests(), run.started)
    return _run_stage(stage, run)


def _run_label(path: Path, run: _Run) -> str:
    job = LabelInput.from_dict(_read_input(path))
    _set_threads(job.threads)
    from aiida_hdiff.engine.label import Labelling
    from aiida_hdiff.engine.label_calculators import labeller_versions

    run.versions = lambda: labeller_versions(job.settings.calculator)
    labelling = Labelling(job)
    try:
        labelling.run(run.started)
    finally:
        run.step = labelling.done
    return f'{labelling.done} configurations have labels, {labelling.failed} failed.'


def _run_evaluate(path: Path, run: _Run) -> str:
    values = _read_input(path)
    _set_threads(_threads(values))
    from aiida_hdiff.engine.evaluate import EvaluateInput, Evaluation, evaluation_versions

    job = EvaluateInput.from_dict(values)
    run.versions = lambda: evaluation_versions(job.potential.architecture)
    evaluation = Evaluation(job)
    try:
        evaluation.run(run.started)
    finally:
        run.step = evaluation.done
    return f'{evaluation.done} configurations have predictions, {evaluation.failed} failed.'


def _run_train_chgnet(path: Path, run: _Run) -> str:
    values = _read_input(path)
    _set_threads(_threads(values))
    from aiida_hdiff.engine.calculators import package_versions
    from aiida_hdiff.engine.train_chgnet import ChgnetTraining
    from aiida_hdiff.engine.train_chgnet_input import ChgnetTrainingInput

    run.versions = lambda: package_versions('chgnet')
    training = ChgnetTraining(ChgnetTrainingInput.from_dict(values))
    try:
        training.run(run.started)
    finally:
        run.step = training.epoch
    return f'{training.epoch} epochs are done; the best model is of epoch {training.best_epoch}.'


def _run_train_mace(path: Path, run: _Run) -> str:
    values = _read_input(path)
    _set_threads(_threads(values))
    from aiida_hdiff.engine.calculators import package_versions
    from aiida_hdiff.engine.mace_input import MaceInput
    from aiida_hdiff.engine.mace_train import MaceTraining

    run.engine, run.versions = 'mace', lambda: package_versions('mace')
    training = MaceTraining(MaceInput.from_dict(values))
    try:
        training.run(run.started)
    finally:
        run.step = training.epoch
    return f'{training.epoch} epochs are done.'


def _run_convert_mace(path: Path, run: _Run) -> str:
    values = _read_input(path)
    _set_threads(_threads(values))
    from aiida_hdiff.engine.calculators import package_versions
    from aiida_hdiff.engine.convert_mace import ConvertInput, convert_mace

    run.engine, run.versions = 'symmetrix', lambda: package_versions('mace')
    return convert_mace(ConvertInput.from_dict(values))


def _threads(values: dict[str, Any]) -> int:
    """Return the threads, before all of the input is checked with what numpy is imported for."""
    threads = values.get('threads', 1)
    return threads if isinstance(threads, int) and threads > 0 else 1


def _run(command: Callable[[Path, _Run], str], path: Path) -> int:
    run, code = _Run(), FINISHED
    try:
        message = command(path, run)
    except EngineError as error:
        code, message = error.exit_code, str(error)
    except Exception as error:
        traceback.print_exc()
        code, message = ERROR, f'{type(error).__name__}: {error}'
    run.write_status(code, message)
    print(f'hdiff-engine: {message}', file=sys.stdout if code == FINISHED else sys.stderr)
    return code


_COMMANDS = {
    'md': _run_md,
    'lammps': _run_lammps,
    'label': _run_label,
    'evaluate': _run_evaluate,
    'train-chgnet': _run_train_chgnet,
    'train-mace': _run_train_mace,
    'convert-mace': _run_convert_mace,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code, one of :mod:`aiida_hdiff.engine.exit_codes`."""
    options = _parser().parse_args(arguments)
    return _run(_COMMANDS[options.command], options.input)


if __name__ == '__main__':
    sys.exit(main())
