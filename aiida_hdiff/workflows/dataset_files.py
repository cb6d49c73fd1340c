"""Labelled configurations from files of ASE and VASP: read and checked first, then imported with their provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.datasets import import_extxyz, import_ml_ab, merge_datasets
from aiida_hdiff.calculations.imports import import_ase_db, import_vasprun
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats.labelled_files import (
    ASE_DB,
    DEFAULTS,
    EXTXYZ,
    VASP,
    Source,
    check_levels,
    database_options,
    find_sources,
    read_source,
    vasp_labels,
)
from aiida_hdiff.workflows.potentials import load_node


def dataset_from_spec(spec: Mapping[str, Any], folder: Path) -> LabelledDataset:
    """Return the data set that a study file describes.

    Parameters
    ----------
    spec
        ``node`` (PK, UUID or label); or ``file`` or ``files``, with ``format`` and keys of :data:`DEFAULTS`.
    folder
        Where relative paths start.

    Raises
    ------
    ValueError
        If a file is missing or unreadable, its labels are incomplete, or labels of different levels would be joined;
        nothing is stored then.
    """
    if 'node' in spec:
        node = load_node(spec['node'], 'node')
        if not isinstance(node, LabelledDataset):
            raise ValueError(f'node {spec["node"]} is a {type(node).__name__}, not a data set of labelled frames.')
        return node
    names = [spec['file']] if 'file' in spec else list(spec['files'])
    if not names:
        raise ValueError('`files` is empty: give at least one file.')
    options = {**DEFAULTS, **{key: spec[key] for key in DEFAULTS if key in spec}}
    sources = find_sources([folder / Path(name).expanduser() for name in names], spec.get('format'))
    check_levels([(source.name, read_source(source, options)) for source in sources], options['reference'])
    parts = {f'file_{number:03d}': import_source(source, options) for number, source in enumerate(sources)}
    if len(parts) == 1:
        return next(iter(parts.values()))
    merged: Any = merge_datasets(orm.Dict({}), **parts)
    return merged['dataset']


def import_source(source: Source, options: Mapping[str, Any]) -> Any:
    """Store a file, or what may be stored of it, and run the calcfunction that reads it."""
    from aiida_hdiff.formats.vasp_labels import is_outcar

    common = {key: options[key] for key in ('reference', 'config_type') if options[key] is not None}
    own: dict[str, Any] = {**common, 'origin': source.name}
    if source.kind == VASP and is_outcar(source.path):
        return _import_outcar(source, options, orm.Dict(own))
    if source.kind == VASP:
        own['allow_truncated'] = options['allow_truncated']
        return import_vasprun(_packed(source.path), orm.Dict(own))
    file = orm.SinglefileData(source.path.absolute(), filename=source.path.name)
    if source.kind == EXTXYZ:
        return import_extxyz(file, orm.Dict({**own, 'prefix': options['prefix']}))
    if source.kind == ASE_DB:
        return import_ase_db(file, orm.Dict({**own, **database_options(options)}))
    return import_ml_ab(file, orm.Dict({**own, 'allow_truncated': options['allow_truncated']}))


def _import_outcar(source: Source, options: Mapping[str, Any], settings: Any) -> Any:
    """Store the frames of an OUTCAR as extended xyz, and nothing else of it."""
    import io

    from aiida_hdiff.formats import write_extxyz

    labels, stream = vasp_labels(source, options), io.StringIO()
    write_extxyz(labels.frames, stream)
    name = source.path.name.removesuffix('.gz')
    file = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()), filename=f'{name}.extxyz')
    if labels.emulated:
        file.base.extras.set('emulated', True)
    return import_extxyz(file, settings)


def _packed(path: Path) -> Any:
    import gzip
    import io

    content, name = path.read_bytes(), path.name
    if not content.startswith(b'\x1f\x8b'):
        content, name = gzip.compress(content, mtime=0), f'{name}.gz'
    return orm.SinglefileData(io.BytesIO(content), filename=name)
