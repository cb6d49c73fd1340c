"""Molecular dynamics with ASE integrators, by `hdiff-engine md`."""

from __future__ import annotations

from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.engine_job import (
    define_engine_options,
    engine_calcinfo,
    engine_limits,
    write_arrays,
    write_json,
)
from aiida_hdiff.calculations.md_committee import define_committee
from aiida_hdiff.calculations.md_job import define_md, md_parameters, start_arrays, validate_md_inputs
from aiida_hdiff.calculations.model_safety import engine_potential
from aiida_hdiff.common.calcjob import HdiffProcessSpec

INPUT_FILE = 'md.json'
START_FILE = 'start.npz'
START_CHECKPOINT_FILE = 'start_checkpoint.npz'
FRAMES_FILE = 'frames.bin'
CHECKPOINT_FILE = 'checkpoint.npz'
FINAL_FILE = 'final.npz'
EXPLODED_FILE = 'exploded.npz'


class MDCalculation(CalcJob):
    """One stage of molecular dynamics with an ASE calculator: CHGNet, MACE, EMT, Lennard-Jones.

    The input file is generated from the inputs and pinned by regression tests: whoever changes it raises
    `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 2

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        define_md(spec)
        define_committee(spec)
        define_engine_options(spec, 'hdiff.md')
        spec.inputs.validator = cls.validate_inputs

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        potential = value.get('potential')
        if potential is not None and potential.architecture == 'lammps':
            return '`potential` is a LAMMPS pair style, which the ASE engine cannot run: use the `hdiff.lammps_md` job.'
        return validate_md_inputs(value) or validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the starting point."""
        options, potential = self.inputs.metadata.options, self.inputs.potential
        checkpoint = self.inputs.get('checkpoint', None)
        members = self.inputs.get('committee', None) or {}
        committee = {f'committee_{number}': members[label] for number, label in enumerate(sorted(members))}
        settings: dict[str, Any] = {
            'parameters': md_parameters(self.inputs).as_dict(),
            'potential': engine_potential(potential, options),
            'start': START_FILE,
            'checkpoint': None if checkpoint is None else START_CHECKPOINT_FILE,
            **engine_limits(options),
        }
        if committee:
            settings['committee'] = [engine_potential(member, options, name) for name, member in committee.items()]
        write_json(folder, INPUT_FILE, settings)
        arrays = {key: value for key, value in start_arrays(self.inputs).items() if value is not None}
        write_arrays(folder, START_FILE, {'pbc': [True] * 3, **arrays})
        if checkpoint is not None:
            with folder.open(START_CHECKPOINT_FILE, 'wb') as handle:
                handle.write(checkpoint.checkpoint)
        return engine_calcinfo(
            self.inputs,
            ['md', INPUT_FILE],
            copies=[
                (node.uuid, file, f'{name}.{index}')
                for name, node in {'potential': potential, **committee}.items()
                for index, file in enumerate(node.file_names)
            ],
            exclude=[START_FILE, START_CHECKPOINT_FILE],
            temporary=[FRAMES_FILE, CHECKPOINT_FILE, FINAL_FILE, EXPLODED_FILE],
        )
