"""Parser of static VASP calculations that label one configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_hdiff.calculations import vasp_label as files
from aiida_hdiff.calculations.vasp_inputs import settings_hash
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.incar import label_reference
from aiida_hdiff.formats.ionic_step import IonicStep, VaspHeader
from aiida_hdiff.formats.vasp_messages import RunMessages, scan_messages
from aiida_hdiff.formats.vasprun import iter_vasprun

POSITION_TOLERANCE_A = 1e-5
"""vasprun.xml has eight decimals of positions in units of the lattice vectors."""


class VaspLabelParser(Parser):
    """Turn vasprun.xml into a data set of one frame; every branch ends in an exit code."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse what was retrieved."""
        folder = kwargs.get('retrieved_temporary_folder')
        if folder is None:
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason='nothing was retrieved.')
        path = Path(folder) / 'vasprun.xml'
        if not path.is_file() or not path.stat().st_size:
            return self._failed() or self.exit_codes.ERROR_OUTPUT_MISSING.format(reason='there is no vasprun.xml.')
        try:
            stream = iter_vasprun(path, allow_truncated=True)
            steps = [step for step in stream if step.source == 'dft']
        except OSError as error:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=str(error.strerror or error))
        except ValueError as error:
            return self._failed() or self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=str(error))
        if not steps:
            return self._failed() or self.exit_codes.ERROR_INTERRUPTED_EARLY
        return self._store(stream.header, steps[0])

    def _failed(self) -> ExitCode | None:
        """Return the exit code of a run that has printed an error, or ``None``."""
        messages = self._messages()
        if messages.errors and not messages.killed:
            return self.exit_codes.ERROR_VASP_FAILED.format(reason=messages.reason)
        return self.exit_codes.ERROR_INTERRUPTED_EARLY if messages.started or messages.killed else None

    def _messages(self) -> RunMessages:
        if files.STDOUT not in self.retrieved.list_object_names():
            return RunMessages()
        with self.retrieved.open(files.STDOUT, 'rb') as stream:
            return scan_messages(stream)

    def _store(self, header: VaspHeader, step: IonicStep) -> ExitCode | None:
        inputs, problem = self.node.inputs, self._structure_problem(header, step)
        if problem:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=problem)
        misc = orm.Dict(
            {
                'version': header.version,
                'emulated': header.emulated,
                'scf_steps': step.scf_steps,
                'scf_converged': step.scf_converged,
                'free_energy_eV': step.free_energy,
                'energy_sigma0_eV': step.energy_sigma0,
            }
        )
        self.out('misc', misc)
        dataset = None
        if step.scf_converged is not False:
            level = settings_hash(inputs.parameters.get_dict(), dict(inputs.potential), inputs.kpoints)
            reference = label_reference(level, emulated=header.emulated)
            frame = replace(
                step.to_labelled(header.symbols, origin=inputs.structure.label, reference=reference),
                positions=np.array([site.position for site in inputs.structure.sites]),
                cell=np.array(inputs.structure.cell),
            )
            dataset = LabelledDataset(LabelledFrames.from_frames([frame]))
            self.out('dataset', dataset)
        if header.emulated:
            for node in (self.node, misc, dataset):
                if node is not None:
                    node.base.extras.set('emulated', True)
        return None if dataset is not None else self.exit_codes.ERROR_SCF_FAILED.format(steps=step.scf_steps)

    def _structure_problem(self, header: VaspHeader, step: IonicStep) -> str | None:
        atoms = self.node.inputs.structure.get_ase()
        if list(header.symbols) != atoms.get_chemical_symbols():
            return 'vasprun.xml has other atoms than `structure`.'
        if step.positions is None or step.cell is None or step.forces is None or step.stress is None:
            return 'vasprun.xml has no structure, forces or stress.'
        shift = np.linalg.solve(atoms.cell.array.T, (step.positions - atoms.positions).T).T
        shift = (shift - np.round(shift)) @ atoms.cell.array
        if np.abs(shift).max() > POSITION_TOLERANCE_A or not np.allclose(step.cell, atoms.cell, atol=1e-6):
            return 'vasprun.xml has another structure than `structure`.'
        return None
