"""Energy, forces and stress of one configuration by a static calculation of VASP."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.vasp_inputs import potcars_error, species_error
from aiida_hdiff.common.calcjob import HdiffProcessSpec, require_package, set_default_options
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats.incar import DYNAMICS, format_incar, normalised
from aiida_hdiff.formats.poscar import write_poscar

require_package('aiida_vasp', 'vasp')
from aiida_vasp.calcs.vasp import VaspCalculation  # noqa: E402
from aiida_vasp.parsers.content_parsers.potcar import MultiPotcarIo  # noqa: E402
from parsevasp.constants import incar_tags  # noqa: E402

STDOUT = 'vasp_output'
RETRIEVED_TEMPORARILY = ('vasprun.xml',)
STATIC = {'NSW': 0, 'IBRION': -1, 'ISIF': 2, 'ISTART': 0, 'LWAVE': False, 'LCHARG': False}
"""What makes a calculation static, with the stress, and lets it leave no large files."""
_DROPPED = ('ICHARG', 'INIWAV', 'LAECHG', 'LELF', 'LH5', 'LVTOT', 'LVHAR')
"""Tags of starting from files and of writing large ones."""
_UNUSED_INPUTS = ('dynamics', 'charge_density', 'wavefunctions', 'restart_folder', 'vdw_kernel')


class VaspLabelCalculation(VaspCalculation):
    """Label one configuration with the DFT settings of a training run.

    ``parameters`` may be the INCAR of the training: tags that move atoms or belong to the force field are left out. All
    POTCARs in ``potential`` count for the reference level, also those of elements that this configuration lacks.
    The files are generated from the inputs and pinned by regression tests: whoever changes them raises
    `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        for name in _UNUSED_INPUTS:
            del spec.inputs[name]
        for name in [
            name for name in spec.outputs if name not in ('misc', 'remote_folder', 'remote_stash', 'retrieved')
        ]:
            del spec.outputs[name]
        spec.inputs['structure'].valid_type = orm.StructureData
        spec.inputs['structure'].help = 'Configuration, sorted by species.'
        spec.inputs['parameters'].help = 'Flat INCAR: tags and values, as in the training.'
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='The configuration with its labels.')
        spec.outputs['misc'].help = 'How it went: version, electronic steps, convergence.'
        spec.outputs['misc'].required = False
        spec.exit_code(0, 'NO_ERROR', message='the run finished', invalidates_cache=False)
        for status, label, message in (
            (300, 'ERROR_OUTPUT_MISSING', 'The job left no output: {reason}'),
            (301, 'ERROR_OUTPUT_UNREADABLE', 'The output cannot be read: {reason}'),
            (402, 'ERROR_INTERRUPTED_EARLY', 'The job was interrupted before the calculation was done.'),
            (413, 'ERROR_SCF_FAILED', 'The electronic structure did not converge in {steps} steps.'),
            (420, 'ERROR_VASP_FAILED', 'VASP stopped with an error: {reason}'),
        ):
            spec.exit_code(status, label, message=message)
        set_default_options(spec, 'hdiff.vasp_label')
        spec.inputs['metadata']['options']['output_filename'].default = STDOUT
        spec.inputs.validator = cls.validate_inputs

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        structure, parameters = value.get('structure'), value.get('parameters')
        if structure is None or parameters is None:
            return None
        settings = value['settings'].get_dict() if value.get('settings') else {}
        return (
            species_error(structure)
            or static_incar_error(parameters.get_dict(), settings.get('unsupported_parameters', ()))
            or _potcars_error(structure, value.get('potential', {}))
            or validate_calc_job(value, port)
        )

    def incar(self) -> dict[str, Any]:
        """Return the tags of INCAR."""
        return static_incar(self.inputs.parameters.get_dict())

    @property
    def _parameters(self) -> dict[str, Any]:
        return {key.lower(): value for key, value in self.incar().items()}

    def verify_inputs(self) -> bool:
        """Leave the checks to the validators of the ports."""
        return True

    def write_incar(self, dst: str, validate_tags: bool = True) -> None:
        """Write INCAR, whose tags the validator has checked."""
        Path(dst).write_text(format_incar(self.incar()), encoding='utf-8')

    def write_poscar(self, dst: str) -> None:
        """Write POSCAR with 16 decimals."""
        structure = self.inputs.structure
        with Path(dst).open('w', encoding='utf-8') as stream:
            write_poscar(
                stream,
                symbols=structure.get_ase().get_chemical_symbols(),
                cell=np.array(structure.cell),
                positions=np.array([site.position for site in structure.sites]),
            )

    def write_potcar(self, dst: str) -> None:
        """Join the POTCARs in the order of POSCAR."""
        MultiPotcarIo.from_structure(self.inputs.structure, dict(self.inputs.potential)).write(dst)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the files; of the output only what VASP prints is kept, the labels are in the data set."""
        calcinfo = super().prepare_for_submission(folder)
        calcinfo.retrieve_list = [STDOUT]
        calcinfo.retrieve_temporary_list = list(RETRIEVED_TEMPORARILY)
        calcinfo.provenance_exclude_list = ['POTCAR']
        return calcinfo


def _potcars_error(structure: orm.StructureData, potcars: Mapping[str, Any]) -> str | None:
    """Return which POTCAR is missing or wrong; those of other elements belong to the settings."""
    return potcars_error(structure, {kind.name: potcars[kind.name] for kind in structure.kinds if kind.name in potcars})


def static_incar(incar: Mapping[str, Any]) -> dict[str, Any]:
    """Return the INCAR of a static calculation with the electronic settings of another INCAR.

    Raises
    ------
    ValueError
        If a tag is no word or is given twice.
    """
    kept = {
        tag: value
        for tag, value in normalised(incar).items()
        if tag not in DYNAMICS and tag not in _DROPPED and not tag.startswith('ML_')
    }
    return {**kept, **STATIC}


def static_incar_error(incar: Mapping[str, Any], extra_tags: Collection[str] = ()) -> str | None:
    """Return what is wrong with an INCAR as settings of labels, or ``None``."""
    try:
        tags = static_incar(incar)
    except ValueError as error:
        return str(error)
    known = {tag.upper() for tag in (*incar_tags, *extra_tags, *STATIC)}
    for tag in tags:
        if tag not in known:
            near = get_close_matches(tag, known, n=1)
            hint = f'did you mean `{near[0]}`? ' if near else ''
            return f'`{tag}` is no known INCAR tag: {hint}Name a new tag in `unsupported_parameters` of the settings.'
    if 'ENCUT' not in tags:
        return '`ENCUT` is missing: give the cutoff of the training, which must not depend on the elements of a frame.'
    if 'KSPACING' in tags or 'KGAMMA' in tags:
        return '`KSPACING` and `KGAMMA` are ignored where there are k-points: leave them out, and give `kpoints`.'
    return None
