"""What all jobs with `hdiff-engine` share: their input file, arrays, limits and files."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder

from aiida_hdiff.calculations.md_job import seconds_before_walltime
from aiida_hdiff.common.calcjob import set_default_options

STATUS_FILE = 'status.json'
PROGRESS_FILE = 'progress.json'
OUTPUT_FILE = 'engine.out'


def define_engine_options(spec: Any, plugin: str) -> None:
    """Set the defaults of `metadata.options`; `plugin` names the parser."""
    set_default_options(spec, plugin)
    spec.inputs['metadata']['options']['output_filename'].default = OUTPUT_FILE


def engine_limits(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the threads of a job, and the seconds after which it stops by itself, before its wall time ends."""
    return {
        'threads': int(options['environment_variables'].get('OMP_NUM_THREADS', 1)),
        'max_seconds': seconds_before_walltime(options['max_wallclock_seconds']),
    }


def write_json(folder: Folder, name: str, values: Mapping[str, Any]) -> None:
    """Write the input file of a job."""
    with folder.open(name, 'w') as handle:
        json.dump(values, handle, indent=1, sort_keys=True)


def write_arrays(folder: Folder, name: str, arrays: Mapping[str, Any]) -> None:
    """Write arrays as a `.npz` file."""
    with folder.open(name, 'wb') as handle:
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        handle.write(stream.getvalue())


def engine_calcinfo(
    inputs: Any,
    arguments: Sequence[str],
    *,
    copies: Sequence[tuple[str, str, str]] = (),
    exclude: Sequence[str] = (),
    retrieve: Sequence[str] = (),
    temporary: Sequence[str | tuple[str, str, int]] = (),
) -> CalcInfo:
    """Return what AiiDA is to run, copy and retrieve.

    Parameters
    ----------
    inputs
        Inputs of the job.
    arguments
        Command line of `hdiff-engine`.
    copies
        Files of nodes to copy: UUID, name there and name in the working directory.
    exclude
        Files that the provenance keeps elsewhere.
    retrieve, temporary
        Files to keep beside standard output, status and progress, and files that only the parser needs.
    """
    output = inputs.metadata.options.output_filename
    codeinfo = CodeInfo()
    codeinfo.code_uuid = inputs.code.uuid
    codeinfo.cmdline_params = list(arguments)
    codeinfo.stdout_name = output
    codeinfo.join_files = True
    calcinfo = CalcInfo()
    calcinfo.codes_info = [codeinfo]
    calcinfo.local_copy_list = list(copies)
    calcinfo.provenance_exclude_list = list(exclude)
    calcinfo.retrieve_list = [output, STATUS_FILE, PROGRESS_FILE, *retrieve]
    calcinfo.retrieve_temporary_list = list(temporary)
    return calcinfo
