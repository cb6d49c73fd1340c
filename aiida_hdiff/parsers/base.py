"""What the parsers of all jobs with `hdiff-engine` and LAMMPS share."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_hdiff.calculations.engine_job import STATUS_FILE

_OUT_OF_MEMORY = ('oom-kill', 'oom_kill', 'out of memory', 'out-of-memory')


class JobParser(Parser):
    """Parse the temporary folder of a job; every branch ends in an exit code."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse what was retrieved."""
        folder = kwargs.get('retrieved_temporary_folder')
        if folder is None:
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason='nothing was retrieved.')
        try:
            return self.parse_folder(Path(folder))
        except OSError as error:
            if error.errno == errno.ENOSPC and 'ERROR_NO_SPACE' in self.exit_codes:
                return self.exit_codes.ERROR_NO_SPACE.format(reason=str(error.strerror))
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=str(error.strerror or error))
        except (ValueError, KeyError, TypeError, IndexError, EOFError, BadZipFile) as error:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=str(error))

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        raise NotImplementedError

    def retrieved_json(self, name: str) -> dict[str, Any]:
        """Return the content of a retrieved JSON file, empty if it is missing or empty.

        Raises
        ------
        ValueError
            If it is not JSON of an object.
        """
        if name not in self.retrieved.list_object_names():
            return {}
        text = self.retrieved.get_object_content(name)
        return dict(json.loads(text)) if text.strip() else {}

    def status(self) -> dict[str, Any]:
        """Return what `hdiff-engine` says about its end, empty if it was killed."""
        return self.retrieved_json(STATUS_FILE)

    def was_out_of_memory(self) -> bool:
        """Return whether the scheduler says that the job was killed for its memory."""
        name = self.node.get_option('scheduler_stderr')
        if not name or name not in self.retrieved.list_object_names():
            return False
        text = str(self.retrieved.get_object_content(name)).lower()
        return any(word in text for word in _OUT_OF_MEMORY)
