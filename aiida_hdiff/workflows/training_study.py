"""A training on the fly as a short mapping (the YAML file of `launch-training`), and the builder made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.structures import insert_hydrogen
from aiida_hdiff.common.calcjob import require_package
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.literature import LiteratureData
from aiida_hdiff.workflows.diffusion import DiffusionWorkChain, published_values
from aiida_hdiff.workflows.on_the_fly import OnTheFlyWorkChain
from aiida_hdiff.workflows.potentials import load_node
from aiida_hdiff.workflows.study import DEFAULT_CODES, structure_from_spec, study_error, study_schema
from aiida_hdiff.workflows.trained_diffusion import TrainedDiffusionWorkChain
from aiida_hdiff.workflows.validation import settings_error, temperatures_error

_SHARED = ('title', 'structure', 'hydrogen', 'potcars', 'protocol', 'settings', 'seed', 'options')
_OF_DIFFUSION = ('temperatures_K', 'protocol', 'settings', 'seed', 'replicas', 'max_concurrent', 'options')


def training_schema() -> dict[str, Any]:
    """Return the JSON schema of a training file: the parts that a study file has too, and its own."""
    known = study_schema()['properties']
    return {
        'type': 'object',
        'additionalProperties': False,
        'required': ['structure', 'potcars'],
        'properties': {
            **{key: known[key] for key in _SHARED if key != 'protocol'},
            'protocol': {'type': 'string', 'description': 'demo, fast, moderate or paper.'},
            'code': {'type': 'string', 'description': 'Label of the code of VASP.'},
            'kpoints': {
                'type': 'array', 'minItems': 3, 'maxItems': 3, 'items': {'type': 'integer', 'minimum': 1},
                'description': 'Mesh of k-points; by default that of `settings.kpoints_distance_per_A`.',
            },
            'dataset': {'type': ['string', 'integer'], 'description': 'PK or UUID of labelled frames to go on from.'},
            'diffusion': {
                'type': 'object',
                'additionalProperties': False,
                'required': ['temperatures_K'],
                'description': 'The diffusion study that follows with the force field.',
                'properties': {key: known[key] for key in _OF_DIFFUSION},
            },
        },
    }  # fmt: skip


def training_builder(content: Any, folder: Path) -> Any:
    """Return the builder of a training, or of a training and the diffusion study that follows it.

    Parameters
    ----------
    content
        The content of a training file, see `training_schema`.
    folder
        Where relative paths in it start.

    Raises
    ------
    ValueError
        If anything is missing, unknown or out of range; the message names it and the remedy.
    """
    error = study_error(content, training_schema())
    if error:
        raise ValueError(error)
    try:
        require_package('aiida_vasp', 'vasp')
    except ImportError as missing:
        raise ValueError(str(missing)) from missing
    diffusion = content.get('diffusion')
    if diffusion is not None:
        settings = DiffusionWorkChain.get_protocol_settings(diffusion.get('protocol'), diffusion.get('settings'))
        error = temperatures_error(diffusion['temperatures_K']) or settings_error(settings)
        if error:
            raise ValueError(f'diffusion: {error}')
    structure = structure_from_spec(content['structure'], folder)
    if 'hydrogen' in content:
        structure = insert_hydrogen(structure, orm.Dict(dict(content['hydrogen'])))
    builder = OnTheFlyWorkChain.get_builder_from_protocol(
        _code(content),
        structure,
        content['potcars']['family'],
        potcar_mapping=content['potcars'].get('mapping'),
        protocol=content.get('protocol'),
        overrides=content.get('settings'),
        kpoints=_mesh(content.get('kpoints')),
        dataset=_dataset(content.get('dataset')),
        seed=content.get('seed', 1),
        options=dict(content.get('options', {})),
    )
    title = content.get('title', structure.get_formula())
    if diffusion is None:
        builder.metadata.label = title
        return builder
    return _with_diffusion(builder, diffusion, settings, title, content.get('seed', 1), content.get('options', {}))


def _with_diffusion(
    training: Any, spec: Mapping[str, Any], settings: dict[str, Any], title: str, seed: int, options: Mapping[str, Any]
) -> Any:
    builder: Any = TrainedDiffusionWorkChain.get_builder()
    builder.training = training._inputs(prune=True)
    values: dict[str, Any] = {
        'temperatures': orm.List(list(spec['temperatures_K'])),
        'settings': orm.Dict(settings),
        'seed': orm.Int(spec.get('seed', seed)),
        'replicas': orm.Int(spec.get('replicas', 1)),
        'max_concurrent': spec.get('max_concurrent', 2),
    }
    published = published_values(training.structure)
    nodes = {value.key.replace('-', '_'): LiteratureData.get_or_create(value) for value in published}
    if nodes:
        values['literature'] = nodes
    own = dict(spec.get('options', options))
    if own:
        values['options'] = own
    builder.diffusion = values
    builder.metadata.label = title
    return builder


def _code(content: Mapping[str, Any]) -> orm.AbstractCode:
    from aiida.common.exceptions import NotExistent

    label = content.get('code', DEFAULT_CODES['vasp'])
    try:
        return orm.load_code(label)
    except NotExistent as error:
        raise ValueError(
            f'code {label!r} is not set up: set it up with `verdi code create core.code.installed` and default plugin '
            'hdiff.vasp_mlff, or name another in `code`.'
        ) from error


def _mesh(mesh: list[int] | None) -> orm.KpointsData | None:
    if mesh is None:
        return None
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh(mesh)
    return kpoints


def _dataset(identifier: str | int | None) -> LabelledDataset | None:
    if identifier is None:
        return None
    node = load_node(identifier, 'dataset')
    if not isinstance(node, LabelledDataset):
        raise ValueError(f'`dataset` {identifier} is a {type(node).__name__}, not labelled frames.')
    return node
