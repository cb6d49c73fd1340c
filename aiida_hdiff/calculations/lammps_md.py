"""Molecular dynamics with LAMMPS."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.calculations.engine_job import STATUS_FILE, engine_limits, write_json
from aiida_hdiff.calculations.md_job import (
    define_md,
    lammps_code_error,
    md_parameters,
    seconds_before_walltime,
    start_arrays,
    validate_md_inputs,
)
from aiida_hdiff.calculations.model_safety import engine_potential
from aiida_hdiff.common.calcjob import HdiffProcessSpec, require_package, set_default_options
from aiida_hdiff.engine.lammps_external import BY_CALLBACK, CALLBACK_COMMANDS
from aiida_hdiff.formats.lammps import data_file, restricted_triclinic

require_package('aiida_lammps', 'lammps')
from aiida_lammps.calculations.raw import LammpsRawCalculation  # noqa: E402

ENGINE_INPUT_FILE = 'lammps.json'


class LammpsMDCalculation(LammpsRawCalculation):
    """One stage of molecular dynamics in LAMMPS, with any pair style it was built with, or with CHGNet or MACE.

    For CHGNet and MACE the code is a `hdiff-engine`, which runs the same script in the LAMMPS of its own environment.

    The script and the data file are generated from the inputs and pinned by regression tests: whoever changes them
    raises `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        for name in ('script', 'files', 'filenames', 'settings'):
            del spec.inputs[name]
        del spec.outputs['results']
        define_md(spec)
        set_default_options(spec, 'hdiff.lammps_md')
        spec.inputs.validator = cls.validate_inputs

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        error = validate_md_inputs(value) or validate_calc_job(value, port)
        if error is None and value.get('potential') is not None:
            potential = value['potential']
            if potential.architecture not in ('lammps', *BY_CALLBACK):
                return (
                    f'`potential` is a {potential.architecture} model, which this LAMMPS job cannot run: use '
                    'the `hdiff.md` job, or give a LAMMPS pair style.'
                )
            if 'code' in value:
                options = (value.get('metadata') or {}).get('options')
                error = lammps_code_error(value['code'], potential.architecture, options)
        return error

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the script and the starting point."""
        parameters = md_parameters(self.inputs)
        arrays = start_arrays(self.inputs)
        symbols = [chemical_symbols[number] for number in dict.fromkeys(arrays['numbers'].tolist())]
        types = self.inputs.potential.lammps_types(symbols)
        species = [atomic_numbers[symbol] for symbol in types]
        checkpoint = self.inputs.get('checkpoint', None)
        if checkpoint is None:
            free_angles = parameters.ensemble == 'npt' and parameters.barostat == 'full'
            self._write_data_file(folder, arrays, species, triclinic=free_angles)
        else:
            with folder.open(script.RESTART_FILE, 'wb') as handle:
                handle.write(checkpoint.checkpoint)
        lengths = np.linalg.norm(arrays['cell'], axis=1)
        max_seconds = seconds_before_walltime(self.inputs.metadata.options.max_wallclock_seconds)
        text = script.lammps_script(
            parameters,
            CALLBACK_COMMANDS if self._by_engine else self.inputs.potential.pair_commands(types),
            [atomic_masses[number] for number in species],
            has_velocities=arrays['velocities'] is not None,
            couple_ab=bool(np.isclose(lengths[0], lengths[1])),
            checkpoint_step=None if checkpoint is None else checkpoint.step,
            # The engine counts from its own start, before the model is loaded.
            max_seconds=None if self._by_engine else max_seconds,
        )
        with folder.open(self.inputs.metadata.options.input_filename, 'w') as handle:
            handle.write(text)
        if self._by_engine:
            self._write_engine_input(folder, parameters.as_dict(), types)
        return self._calc_info()

    @property
    def _by_engine(self) -> bool:
        return self.inputs.potential.architecture in BY_CALLBACK

    def _write_engine_input(self, folder: Folder, parameters: dict[str, Any], types: list[str]) -> None:
        options = self.inputs.metadata.options
        settings = {
            'parameters': parameters,
            'potential': engine_potential(self.inputs.potential, options),
            'script': options.input_filename,
            'elements': types,
            **engine_limits(options),
        }
        write_json(folder, ENGINE_INPUT_FILE, settings)

    @staticmethod
    def _write_data_file(folder: Folder, arrays: dict[str, Any], species: list[int], *, triclinic: bool) -> None:
        cell, rotation = restricted_triclinic(arrays['cell'])
        velocities = arrays['velocities']
        text = data_file(
            [species.index(number) + 1 for number in arrays['numbers']],
            [atomic_masses[number] for number in species],
            cell,
            arrays['positions'] @ rotation,
            None if velocities is None else velocities @ rotation,
            triclinic=triclinic,
        )
        with folder.open(script.DATA_FILE, 'w') as handle:
            handle.write(text)

    def _calc_info(self) -> CalcInfo:
        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        arguments = ['-in', self.inputs.metadata.options.input_filename, '-log', 'none']
        codeinfo.cmdline_params = ['lammps', ENGINE_INPUT_FILE] if self._by_engine else arguments
        codeinfo.join_files = self._by_engine
        codeinfo.stdout_name = self.inputs.metadata.options.output_filename
        potential = self.inputs.potential
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.local_copy_list = [(potential.uuid, name, name) for name in potential.file_names]
        calcinfo.provenance_exclude_list = [script.DATA_FILE, script.RESTART_FILE]
        calcinfo.retrieve_list = [self.inputs.metadata.options.output_filename]
        if self._by_engine:
            calcinfo.retrieve_list.append(STATUS_FILE)
        calcinfo.retrieve_temporary_list = [
            script.TRAJECTORY_FILE,
            script.SERIES_FILE,
            script.CHECKPOINT_DUMP,
            script.CHECKPOINT_RESTARTS,
            script.FINAL_DUMP,
            script.FINAL_RESTART,
        ]
        return calcinfo
