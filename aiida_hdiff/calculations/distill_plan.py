"""Calcfunctions of the `distill` workchain that plan: runs of teacher and student, paths, and settings of jobs."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from ase import Atoms

from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.label_settings import CALCULATORS, WITH_POTENTIAL
from aiida_hdiff.formats.configurations import Configurations
from aiida_hdiff.sampling import insert_interstitials
from aiida_hdiff.sampling.distill_settings import DistillSettings
from aiida_hdiff.sampling.site_paths import site_paths
from aiida_hdiff.sampling.sites import HYDROGEN

PATH = 'path_'
"""Beginning of the groups of the frames along the paths."""
PARAMETERS = 'parameters_'
_KINDS = ('teacher', 'test', 'hot', 'nve', 'contacts', 'trial')
_LARGEST_SEED = 2**31 - 1


def distill_settings(node: orm.Dict) -> DistillSettings:
    """Return the settings of a distillation."""
    return DistillSettings.from_dict(node.get_dict())


def _seed(seed: orm.Int, kind: str, *numbers: int) -> int:
    """Return a seed of its own for each random number of a distillation."""
    entropy = [seed.value, _KINDS.index(kind), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0]) % _LARGEST_SEED + 1


def _host(structure: orm.StructureData) -> tuple[Atoms, int]:
    """Return the host, and the number of hydrogen atoms in it."""
    atoms = structure.get_ase()
    return atoms[atoms.numbers != HYDROGEN], int((atoms.numbers == HYDROGEN).sum())


def _with_hydrogen(host: Atoms, n_hydrogen: int, strain: float, seed: int) -> orm.StructureData:
    strained = host.copy()
    strained.set_cell(host.cell.array * (1.0 + strain), scale_atoms=True)
    node = orm.StructureData(ase=insert_interstitials(strained, n_hydrogen=n_hydrogen, sites='mixed', seed=seed))
    node.label = f'{node.get_formula()}, strain {strain:g}'
    return node


def _md(settings: DistillSettings, *, time_fs: float, interval_fs: float, **values: Any) -> orm.Dict:
    interval = max(1, round(interval_fs / settings.timestep_fs))
    steps = max(2, round(time_fs / settings.timestep_fs / interval)) * interval
    node = orm.Dict({'steps': steps, 'timestep_fs': settings.timestep_fs, 'output_interval': interval, **values})
    node.label = f'{values["ensemble"]} at {values["temperature_K"]:.0f} K'
    return node


@calcfunction
def plan_teacher_runs(structure: orm.StructureData, settings: orm.Dict, seed: orm.Int) -> dict[str, orm.Data]:
    """Return what the teacher runs: for each content of hydrogen and each temperature a structure and its parameters.

    Parameters
    ----------
    structure
        Host with as much hydrogen as the student will meet; the host is taken as it is, the hydrogen put anew.
    settings
        See `aiida_hdiff.sampling.distill_settings.DistillSettings`.
    seed
        Of all random numbers.

    Returns
    -------
    dict
        Structures ``h4_600K``, and of the runs that are held out ``test_h2_900K``; their parameters with the prefix
        ``parameters_``; and ``contact_settings`` of `close_contact_frames`.
    """
    chosen = distill_settings(settings)
    host, n_hydrogen = _host(structure)
    contents = chosen.contents(n_hydrogen, len(host))
    usual = min(contents, key=lambda count: (abs(count - n_hydrogen), count))
    # The strains shift by one from content to content, so that no temperature always has the same one.
    runs = [
        ('teacher', '', count, one, chosen.strains[(row + column) % len(chosen.strains)])
        for row, count in enumerate(contents)
        for column, one in enumerate(chosen.temperatures_K)
    ]
    runs += [('test', 'test_', usual, one, 0.0) for one in chosen.held_out_temperatures_K]
    outputs: dict[str, orm.Data] = {}
    for number, (kind, prefix, count, temperature_K, strain) in enumerate(runs):
        name = f'{prefix}h{count}_{temperature_K:.0f}K'
        own_seed = _seed(seed, kind, number)
        outputs[name] = _with_hydrogen(host, count, strain, own_seed)
        outputs[PARAMETERS + name] = _md(
            chosen,
            time_fs=chosen.teacher_time_fs,
            interval_fs=chosen.teacher_interval_fs,
            ensemble='nvt',
            temperature_K=float(temperature_K),
            seed=own_seed,
        )
    outputs['contact_settings'] = orm.Dict(
        {**chosen.contacts, 'n_frames': chosen.n_contacts, 'seed': _seed(seed, 'contacts')}
    )
    return outputs


@calcfunction
def plan_hot_runs(
    structure: orm.StructureData, settings: orm.Dict, seed: orm.Int, round_number: orm.Int
) -> dict[str, orm.Data]:
    """Return what the student runs in a round: structures ``hot_0`` … and their parameters.

    Contents of hydrogen are taken in turn from the highest, each at constant volume, strained, and at zero pressure:
    the energy of a student may fall where the cell is larger than any it knows.
    """
    chosen = distill_settings(settings)
    host, n_hydrogen = _host(structure)
    contents = sorted(chosen.contents(n_hydrogen, len(host)), reverse=True)
    outputs: dict[str, orm.Data] = {}
    for number in range(chosen.hot_runs):
        own_seed = _seed(seed, 'hot', round_number.value, number)
        turn, at_zero_pressure = divmod(number, 2)
        content = contents[turn % len(contents)]
        strain = 0.0 if at_zero_pressure else chosen.strains[(turn + round_number.value) % len(chosen.strains)]
        outputs[f'hot_{number}'] = _with_hydrogen(host, content, strain, own_seed)
        parameters = _md(
            chosen,
            time_fs=FS_PER_PS * chosen.hot_time_ps,
            interval_fs=chosen.hot_interval_fs,
            ensemble='npt' if at_zero_pressure else 'nvt',
            temperature_K=chosen.hot_temperature_K,
            seed=own_seed,
        )
        # A run that fails leaves what it has up to the last checkpoint: the frames that matter most.
        parameters['checkpoint_interval'] = parameters['output_interval']
        outputs[f'{PARAMETERS}hot_{number}'] = parameters
    return outputs


@calcfunction
def trial_parameters(settings: orm.Dict, seed: orm.Int) -> dict[str, orm.Dict]:
    """Return the parameters of the hot run of the structure at zero pressure, and of the one in NVE after it."""
    chosen = distill_settings(settings)
    times_ps = {'trial': ('npt', chosen.trial_time_ps), 'nve': ('nve', chosen.nve_time_ps)}
    return {
        PARAMETERS + name: _md(
            chosen,
            time_fs=FS_PER_PS * time_ps,
            interval_fs=FS_PER_PS * time_ps / 200.0,
            ensemble=ensemble,
            temperature_K=chosen.hot_temperature_K,
            seed=_seed(seed, name),
        )
        for name, (ensemble, time_ps) in times_ps.items()
    }


def teacher_calculator(teacher: PotentialData) -> dict[str, Any]:
    """Return the calculator of `hdiff.label` that a potential is, with its parameters.

    Raises
    ------
    ValueError
        If frames cannot be labelled with it.
    """
    name = teacher.architecture
    if name not in (*WITH_POTENTIAL, 'emt'):
        raise ValueError(
            f'`teacher` is of the architecture {name!r}, with which frames cannot be labelled: give its training set '
            'as `dataset` without a teacher, or a teacher of MACE, CHGNet, EAM or a pair style of LAMMPS.'
        )
    known = () if name == 'lammps' else CALCULATORS[name]
    own = {key: value for key, value in teacher.options.items() if key in known and key != 'model_name'}
    return {'calculator': name, 'parameters': own, 'stress': name != 'eam'}


@calcfunction
def teacher_label_settings(teacher: PotentialData, settings: orm.Dict) -> orm.Dict:
    """Return the settings of `hdiff.label` by which a teacher labels frames."""
    chosen = distill_settings(settings)
    return orm.Dict({**teacher_calculator(teacher), 'max_failures': chosen.max_label_failures})


@calcfunction
def pod_settings(settings: orm.Dict) -> orm.Dict:
    """Return the settings of the fits."""
    return orm.Dict(distill_settings(settings).pod)


@calcfunction
def path_frames(structure: orm.StructureData, settings: orm.Dict) -> dict[str, ConfigurationsData]:
    """Return ``frames``, one hydrogen atom along the paths between sites of the rigid host, unless it has no sites."""
    paths = site_paths(structure.get_ase(), distill_settings(settings).path_points)
    images = [atoms for one in paths.values() for atoms in one]
    if not images:
        return {}
    names = [(name, index) for name, one in paths.items() for index in range(len(one))]
    node = ConfigurationsData(
        Configurations.from_ase(
            images, [f'{name}:{index}' for name, index in names], [PATH + name for name, _ in names]
        )
    )
    node.label = f'{len(images)} points along {" and ".join(paths)}'
    return {'frames': node}
