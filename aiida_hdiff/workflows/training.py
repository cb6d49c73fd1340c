"""The stages of VASP's on-the-fly training: which there are, and their INCAR tags. No AiiDA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_hdiff.common.protocols import ProtocolMixin, merge
from aiida_hdiff.common.units import FS_PER_PS

KBAR_PER_GPA = 10.0
OPEN_SETTINGS = ('incar', 'ml')
"""Parts of the settings that take any tag."""

START, RAMP, SELECT, REFIT = 'start', 'ramp', 'select', 'refit'


class OnTheFlyProtocols(ProtocolMixin):
    """Protocols of the on-the-fly training."""

    _protocol_file = 'on_the_fly.yaml'

    @classmethod
    def get_protocol_settings(
        cls, protocol: str | None = None, overrides: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the settings of a protocol; `incar` and `ml` of the overrides may hold further tags.

        Raises
        ------
        ValueError
            If the protocol or a key of the overrides is unknown, or `incar` or `ml` is no mapping.
        """
        tags = {key: value for key, value in (overrides or {}).items() if key in OPEN_SETTINGS}
        closed = {key: value for key, value in (overrides or {}).items() if key not in OPEN_SETTINGS}
        for key, value in tags.items():
            if not isinstance(value, Mapping):
                raise ValueError(f'`{key}` is {value!r}: give a mapping of INCAR tags.')
        upper = {key: {str(tag).upper(): value for tag, value in given.items()} for key, given in tags.items()}
        return merge(super().get_protocol_settings(protocol, closed), upper)


def plateau_name(temperature_K: float) -> str:
    """Return the name of the stage at a temperature, such as ``train_300K``."""
    return f'train_{temperature_K:.12g}K'.replace('.', 'p').replace('+', '')


def stage_groups(settings: Mapping[str, Any], *, from_dataset: bool = False) -> list[list[str]]:
    """Return the names of the stages in their order; those in one list run at the same time.

    Parameters
    ----------
    settings
        As a protocol gives them.
    from_dataset
        Whether the training goes on from labelled frames: their local configurations are selected first.
    """
    plateaus = [plateau_name(temperature) for temperature in settings['plateaus']['temperatures_K']]
    groups = [[START]] if from_dataset else []
    if settings['ramp']['time_ps'] > 0:
        groups.append([RAMP])
    if settings['plateaus']['order'] == 'parallel' and len(plateaus) > 1:
        groups += [plateaus, [SELECT]]
    else:
        groups += [[name] for name in plateaus]
    return [*groups, [REFIT]]


def stage_settings(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how one stage runs: ``mode`` of the force field, ``steps``, temperatures, and what the handlers may do."""
    temperatures = {plateau_name(kelvin): float(kelvin) for kelvin in settings['plateaus']['temperatures_K']}
    values: dict[str, Any] = {
        'name': name,
        'mode': {START: 'select', SELECT: 'select', REFIT: 'refit'}.get(name, 'train'),
        'steps': 1,
        'chunk_steps': settings['chunk_steps'],
        'start_K': settings['ramp']['end_K'],
        'end_K': settings['ramp']['end_K'],
        **{key: settings['learning'][key] for key in ('max_configurations', 'max_local_configurations')},
        **{key: settings['learning'][key] for key in ('spare_configurations', 'growth', 'threshold_eV_A')},
        'adaptive': settings['learning']['criterion'] != 0,
        'scf_retries': settings['retries']['scf'],
        'early_retries': settings['retries']['early'],
    }
    if name == RAMP:
        ramp = settings['ramp']
        values |= {'start_K': ramp['start_K'], 'end_K': ramp['end_K'], 'steps': n_steps(settings, ramp['time_ps'])}
    elif name in temperatures:
        values |= dict.fromkeys(('start_K', 'end_K'), temperatures[name])
        values['steps'] = n_steps(settings, settings['plateaus']['time_ps'])
    return values


def n_steps(settings: Mapping[str, Any], time_ps: float) -> int:
    """Return the number of steps of a time, at least one."""
    return max(1, round(time_ps * FS_PER_PS / settings['timestep_fs']))


def stage_incar(settings: Mapping[str, Any], name: str, *, n_species: int) -> dict[str, Any]:
    """Return the INCAR tags of a stage, without those of a single job.

    The tags of the density functional calculation are the same in all stages: VASP asks for that.

    Parameters
    ----------
    settings
        As a protocol gives them.
    name
        Name of the stage.
    n_species
        Number of elements, each of which has its friction.
    """
    learning, moving = settings['learning'], stage_settings(settings, name)['mode'] == 'train'
    constant_volume = settings['cell'] == 'fixed' or not moving
    tags: dict[str, Any] = {
        **{key: value for key, value in settings['incar'].items() if value is not None},
        **{key: value for key, value in settings['ml'].items() if value is not None},
        'IBRION': 0,
        'POTIM': settings['timestep_fs'],
        'MDALGO': 3,
        'LANGEVIN_GAMMA': [settings['friction_per_ps']] * n_species,
        'ISIF': 2 if constant_volume else 3,
        'ML_LMLFF': True,
        'ML_MODE': stage_settings(settings, name)['mode'],
    }
    if not constant_volume:
        tags |= {
            'LANGEVIN_GAMMA_L': settings['lattice_friction_per_ps'],
            'PMASS': settings['lattice_mass_u'],
            'PSTRESS': KBAR_PER_GPA * settings['pressure_GPa'],
        }
    if moving:
        tags |= {
            'ML_ICRITERIA': learning['criterion'],
            'ML_CX': learning['ramp_cx' if name == RAMP else 'plateau_cx'],
        }
    return tags


def stage_constraint(settings: Mapping[str, Any], name: str) -> str | None:
    """Return what holds the shape of the cell, as `aiida_hdiff.formats.iconst` names it; None at constant volume."""
    if settings['cell'] == 'fixed' or stage_settings(settings, name)['mode'] != 'train':
        return None
    return 'none' if settings['cell'] == 'free' else str(settings['cell'])


def planned_jobs(settings: Mapping[str, Any], *, from_dataset: bool = False) -> dict[str, int]:
    """Return the number of jobs of each stage if none is interrupted."""
    names = [name for group in stage_groups(settings, from_dataset=from_dataset) for name in group]
    stages: Sequence[dict[str, Any]] = [stage_settings(settings, name) for name in names]
    return {stage['name']: -(-stage['steps'] // stage['chunk_steps']) for stage in stages}
