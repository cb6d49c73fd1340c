"""Finished VASP runs, taken into the graph by the importer, and the diffusivity of hydrogen in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.arrhenius import arrhenius_from_diffusivities
from aiida_hdiff.calculations.diffusion import diffusivity_from_trajectory
from aiida_hdiff.calculations.stages import check_nve
from aiida_hdiff.common.calcjob import require_package
from aiida_hdiff.formats.incar import normalised, number
from aiida_hdiff.workflows.settings import settings_template

PREFIX = 'aiida-hdiff-import-'
NEUTRAL_FOLDER = '/tmp'
"""Where links to the files are put: its path is stored with the job, that of the user's folder is not."""
IMPORTED_FILES = (
    'INCAR', 'POSCAR', 'KPOINTS', 'POTCAR', 'ICONST', 'ML_AB', 'ML_FF', 'CONTCAR', 'OUTCAR', 'vasprun.xml', 'XDATCAR',
    'OSZICAR', 'REPORT', 'ML_LOGFILE', 'ML_ABN', 'ML_REG', 'ML_FFN', 'OUTCAR.gz', 'vasprun.xml.gz',
)  # fmt: skip
"""Standard output is not among them: what a user's script prints may name folders and people."""
EXTRA_CLEANED = 'cleaned'


@contextmanager
def neutral_links(folder: Path) -> Iterator[Path]:
    """Link the files of a run into a new folder whose name tells nothing, and remove it afterwards."""
    base = NEUTRAL_FOLDER if os.access(NEUTRAL_FOLDER, os.W_OK) else None
    with TemporaryDirectory(prefix=PREFIX, dir=base) as name:
        for file in IMPORTED_FILES:
            if (folder / file).is_file():
                (Path(name) / file).symlink_to((folder / file).resolve())
        yield Path(name)


def importer() -> Any:
    """Return the importer of VASP runs.

    Raises
    ------
    ImportError
        If aiida-vasp is not installed.
    """
    require_package('aiida_vasp', 'vasp')
    from aiida.plugins import CalculationFactory

    return CalculationFactory('hdiff.vasp_mlff').get_importer()


def check_run(folder: Path, computer: orm.Computer, family: str | None = None) -> None:
    """Check that a folder can be imported; nothing is stored.

    Raises
    ------
    ValueError
        With what is wrong, and the remedy.
    """
    _in_folder(folder, lambda path: _parsed(path, computer, family))


def import_run(folder: Path, computer: orm.Computer, family: str | None = None) -> orm.CalcJobNode:
    """Take a finished run into the graph as a job of `hdiff.vasp_mlff`; its parser makes the outputs.

    Parameters
    ----------
    folder
        Folder of the run, on this machine.
    computer
        Which the job is said to have run on; it must be stored.
    family
        POTCAR family to search; all that are uploaded by default.

    Returns
    -------
    CalcJobNode
        The job, with an exit code of the parser.

    Raises
    ------
    ValueError
        If the folder is not that of a finished run; then nothing is stored.
    """

    def run(path: Path) -> Any:
        from aiida.manage import get_manager
        from aiida.plugins import CalculationFactory

        inputs = _parsed(path, computer, family)
        runner = get_manager().create_runner(communicator=None)
        try:
            result = runner.run_get_node(CalculationFactory('hdiff.vasp_mlff'), **inputs)
        finally:
            runner.close()
        inputs['remote_folder'].base.extras.set(EXTRA_CLEANED, True)
        return result.node

    node: orm.CalcJobNode = _in_folder(folder, run)
    return node


def _in_folder(folder: Path, use: Any) -> Any:
    try:
        if not folder.is_dir():
            raise ValueError('there is no such folder: give the folder in which VASP ran.')
        with neutral_links(folder) as path:
            return use(path)
    except (ValueError, OSError) as error:
        raise ValueError(f'{folder}: {error}') from error


def _parsed(path: Path, computer: orm.Computer, family: str | None) -> dict[str, Any]:
    remote = orm.RemoteData(remote_path=str(path), computer=computer)
    return {'remote_folder': remote, **importer().parse_remote_data(remote, family=family)}


def temperature_of_run(node: orm.CalcJobNode) -> float:
    """Return TEBEG of a run.

    Raises
    ------
    ValueError
        If the run has no trajectory, or its temperature changes.
    """
    if 'trajectory' not in node.outputs:
        raise ValueError(f'job {node.pk} has no trajectory: only molecular dynamics gives a diffusivity.')
    tags = normalised(node.inputs.parameters.get_dict())
    start, end = number(tags.get('TEBEG')), number(tags.get('TEEND'))
    if start is None or (end is not None and end != start):
        raise ValueError(
            f'job {node.pk} has no single temperature (TEBEG {start}, TEEND {end}): D needs a run at one temperature.'
        )
    return start


def diffusivity_of_run(node: orm.CalcJobNode, window_ps: Sequence[float] | None = None) -> dict[str, Any]:
    """Return `diffusivity`, `msd` and `check` of an imported run, made by the calcfunctions of a study.

    Parameters
    ----------
    node
        The job.
    window_ps
        Start and end of the fit window; by default those of the protocols.

    Raises
    ------
    ValueError
        If the run is not at one temperature, too short, or without hydrogen.
    """
    temperature = orm.Float(temperature_of_run(node))
    template = settings_template()
    analysis = {**template['analysis'], **({} if window_ps is None else {'window_ps': [float(x) for x in window_ps]})}
    settings = orm.Dict({'analysis': analysis, 'gate': template['gate']})
    check = check_nve(node.outputs.trajectory, temperature, settings)
    return {**diffusivity_from_trajectory(node.outputs.trajectory, temperature, check, settings), 'check': check}


def arrhenius_of_runs(results: Sequence[orm.Dict]) -> Any:
    """Return the Arrhenius fit of the diffusivities of several runs."""
    return arrhenius_from_diffusivities(orm.Dict({}), **{f'run_{n:03d}': node for n, node in enumerate(results)})
