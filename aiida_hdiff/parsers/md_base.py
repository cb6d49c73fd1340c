"""What the parsers of molecular dynamics jobs share."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_hdiff.calculations.md_job import md_parameters


class MDParserBase(Parser):
    """Parse the temporary folder of a job; every branch ends in an exit code."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse what was retrieved."""
        folder = kwargs.get('retrieved_temporary_folder')
        if folder is None:
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason='nothing was retrieved.')
        try:
            return self.parse_folder(Path(folder))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return self.exit_codes.ERROR_NO_SPACE.format(reason=str(error.strerror))
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=str(error.strerror or error))
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=str(error))

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        raise NotImplementedError

    def first_step(self, *, default: int) -> int:
        """Return the step of the checkpoint that the job continued from, or ``default``."""
        return int(self.node.inputs.checkpoint.step) if 'checkpoint' in self.node.inputs else default

    def out_results(
        self,
        engine: str,
        version: str | None,
        last_step: int,
        n_frames: int,
        steps_per_s: float | None,
        **more: Any,
    ) -> None:
        """Attach the summary of the run, with what an engine adds to it."""
        steps = md_parameters(self.node.inputs).steps
        self.out(
            'results',
            orm.Dict(
                {
                    'engine': engine,
                    'engine_version': version,
                    'steps': steps,
                    'last_step': max(last_step, 0),
                    'n_frames': n_frames,
                    'finished': last_step == steps,
                    'steps_per_s': steps_per_s,
                    **more,
                }
            ),
        )
