"""The executable ``hdiff-engine``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from aiida_hdiff import __version__
from aiida_hdiff.engine.exit_codes import BAD_INPUT, ERROR, FINISHED, STATES, EngineError
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
    return parser


def _read_input(path: Path) -> MDInput:
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EngineError(BAD_INPUT, f'{path.name} cannot be read: {reason}.') from error
    if not isinstance(values, dict):
        raise EngineError(BAD_INPUT, f'{path.name}: must hold a mapping.')
    return MDInput.from_dict(values)


def _write_status(code: int, message: str, step: int | None, architecture: str, wall_s: float) -> None:
    from aiida_hdiff.engine.calculators import package_versions
    from aiida_hdiff.engine.checkpoint import write_atomically

    status: dict[str, Any] = {
        'state': STATES.get(code, 'error'),
        'exit_code': code,
        'step': step,
        'message': message.replace(f'{Path.cwd()}{os.sep}', ''),
        'engine': 'ase',
        'versions': package_versions(architecture),
        'wall_s': round(wall_s, 3),
    }
    write_atomically(STATUS, json.dumps(status, indent=1).encode())


def _run_md(path: Path) -> int:
    started = monotonic()
    stage, architecture, code, message = None, '', FINISHED, 'all steps are done.'
    try:
        job = _read_input(path)
        architecture = job.potential.architecture
        for name in _THREAD_VARIABLES:
            os.environ[name] = str(job.threads)
        # numpy reads the number of threads when it is imported, so only now.
        from aiida_hdiff.engine.md import Stage, stop_requests

        stage = Stage(job, stop_requests(), started)
        stage.run()
    except EngineError as error:
        code, message = error.exit_code, str(error)
    except Exception as error:
        traceback.print_exc()
        code, message = ERROR, f'{type(error).__name__}: {error}'
    _write_status(code, message, None if stage is None else stage.step, architecture, monotonic() - started)
    print(f'hdiff-engine: {message}', file=sys.stdout if code == FINISHED else sys.stderr)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code, one of :mod:`aiida_hdiff.engine.exit_codes`."""
    return _run_md(_parser().parse_args(arguments).input)


if __name__ == '__main__':
    sys.exit(main())
