"""Tables of the reference, generated from the code when the documentation is built.

The directive ``hdiff-table`` takes the name of one of the functions in ``TABLES`` and parses the Markdown it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def _row(*cells: Any) -> str:
    return '| ' + ' | '.join(str(cell).replace('|', '\\|').replace('\n', ' ') for cell in cells) + ' |'


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    return [_row(*header), _row(*['---'] * len(header)), *(_row(*row) for row in rows), '']


def _schema_type(schema: Mapping[str, Any]) -> str:
    if '$ref' in schema:
        return f'see `{schema["$ref"].rsplit("/", 1)[-1]}` below'
    if 'oneOf' in schema:
        return ' or '.join(map(_schema_type, schema['oneOf']))
    if 'const' in schema:
        return f'`{schema["const"]}`'
    if 'enum' in schema:
        return ' or '.join(f'`{value}`' for value in schema['enum'])
    kind = schema.get('type', 'any')
    text = ' or '.join(kind) if isinstance(kind, list) else str(kind)
    if 'items' in schema and 'array' in text:
        text += f' of {_schema_type(schema["items"])}'
    limits = [f'{sign} {schema[key]}' for key, sign in (('minimum', '≥'), ('exclusiveMinimum', '>')) if key in schema]
    if limits:
        text += f' ({", ".join(limits)})'
    return text


def _schema_rows(schema: Mapping[str, Any], prefix: str = '') -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    required = schema.get('required', ())
    for name, inner in schema.get('properties', {}).items():
        rows.append(
            (f'`{prefix}{name}`', _schema_type(inner), 'yes' if name in required else '', inner.get('description', ''))
        )
        rows += _schema_rows(inner, f'{prefix}{name}.')
        for pattern in inner.get('patternProperties', {}).values():
            rows += _schema_rows(pattern, f'{prefix}{name}.LABEL.')
    return rows


def study_file() -> list[str]:
    """Return the keys of a study file."""
    from aiida_hdiff.workflows.study import study_schema

    schema = study_schema()
    lines = _table(('Key', 'Type', 'Required', 'Meaning'), _schema_rows(schema))
    for name, inner in schema['definitions'].items():
        lines += [f'**`{name}`**', '', *_table(('Key', 'Type', 'Required', 'Meaning'), _schema_rows(inner))]
    return lines


def results_file() -> list[str]:
    """Return the keys of results.json."""
    from aiida_hdiff.report.results import results_schema

    schema = results_schema()
    lines = _table(('Key', 'Type', 'Always there', 'Meaning'), _schema_rows(schema))
    for name, inner in schema['definitions'].items():
        lines += [f'**`{name}`**', '', *_table(('Key', 'Type', 'Always there', 'Meaning'), _schema_rows(inner))]
    return lines


def _flat(settings: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f'{prefix}{key}.') if isinstance(value, Mapping) else {f'{prefix}{key}': value}
    return flat


def _descriptions(protocols: Any) -> list[str]:
    default = protocols.get_default_protocol()
    return _table(
        ('Protocol', 'Purpose'),
        [
            (f'`{name}`{" (default)" if name == default else ""}', text)
            for name, text in protocols.get_available_protocols().items()
        ],
    )


def _settings(protocols: Any) -> list[str]:
    names = list(protocols.get_available_protocols())
    columns = {name: _flat(protocols.get_protocol_settings(name)) for name in names}
    defaults = _flat(protocols._load_protocols()['defaults'])
    rows = []
    for key, default in defaults.items():
        cells = [
            f'{columns[name][key]}' if columns[name][key] == default else f'**{columns[name][key]}**' for name in names
        ]
        rows.append((f'`{key}`', *cells))
    return _table(('Setting', *names), rows)


def protocol_descriptions() -> list[str]:
    """Return the names and descriptions of the protocols."""
    from aiida_hdiff.workflows.settings import DiffusionProtocols

    return _descriptions(DiffusionProtocols)


def protocol_settings() -> list[str]:
    """Return every setting in every protocol; those that differ from the defaults in bold."""
    from aiida_hdiff.workflows.settings import DiffusionProtocols

    return _settings(DiffusionProtocols)


def gate_settings() -> list[str]:
    """Return the limits of the gate of trained potentials in every protocol."""
    from aiida_hdiff.workflows.settings import TrainProtocols

    return _settings(TrainProtocols)


def training_file() -> list[str]:
    """Return the keys of a training file."""
    from aiida_hdiff.workflows.training_study import training_schema

    return _table(('Key', 'Type', 'Required', 'Meaning'), _schema_rows(training_schema()))


def training_descriptions() -> list[str]:
    """Return the names and descriptions of the protocols of the training on the fly."""
    from aiida_hdiff.workflows.training import OnTheFlyProtocols

    return _descriptions(OnTheFlyProtocols)


def training_settings() -> list[str]:
    """Return every setting of the training on the fly in every protocol; what differs from the defaults in bold."""
    from aiida_hdiff.workflows.training import OnTheFlyProtocols

    return _settings(OnTheFlyProtocols)


def stage_parameters() -> list[str]:
    """Return the parameters of one stage with their defaults."""
    from aiida_hdiff.engine.parameters import MDParameters

    return _table(
        ('Parameter', 'Type', 'Default'),
        [
            (f'`{one.name}`', f'`{one.type}`', 'required' if one.default is MISSING else f'`{one.default}`')
            for one in fields(MDParameters)
        ],
    )


def exit_codes() -> list[str]:
    """Return the exit codes of every process, without those of aiida-core itself."""
    from aiida.engine import CalcJob, WorkChain
    from aiida.plugins import CalculationFactory, WorkflowFactory

    own = {code.status for base in (CalcJob, WorkChain) for code in base.spec().exit_codes.values()}
    lines: list[str] = []
    for factory, name in (
        (WorkflowFactory, 'hdiff.diffusion'),
        (WorkflowFactory, 'hdiff.diffusivity'),
        (WorkflowFactory, 'hdiff.md_stage'),
        (WorkflowFactory, 'hdiff.on_the_fly'),
        (WorkflowFactory, 'hdiff.vasp_mlff_base'),
        (WorkflowFactory, 'hdiff.trained_diffusion'),
        (WorkflowFactory, 'hdiff.train'),
        (WorkflowFactory, 'hdiff.label'),
        (WorkflowFactory, 'hdiff.committee'),
        (CalculationFactory, 'hdiff.lammps_md'),
        (CalculationFactory, 'hdiff.md'),
        (CalculationFactory, 'hdiff.label'),
    ):
        codes = sorted(factory(name).spec().exit_codes.items(), key=lambda item: item[1].status)
        rows = [
            (code.status, f'`{label}`', code.message, 'no' if code.invalidates_cache else 'yes')
            for label, code in codes
            if code.status not in own
        ]
        kind = 'workchain' if factory is WorkflowFactory else 'job'
        lines += [
            f'**{kind} `{name}`**',
            '',
            *_table(('Status', 'Label', 'Message', 'May be served from the cache'), rows),
        ]
    return lines


def node_types() -> list[str]:
    """Return the node types by entry point."""
    from aiida.plugins import DataFactory

    kinds = (
        'potential',
        'configurations',
        'dataset',
        'trajectory',
        'md_state',
        'diffusivity',
        'arrhenius',
        'literature',
    )
    classes = [(f'hdiff.{kind}', DataFactory(f'hdiff.{kind}')) for kind in kinds]
    return _table(
        ('Entry point', 'Class', 'Content'),
        [(f'`{name}`', f'`{cls.__name__}`', (cls.__doc__ or '').strip().splitlines()[0]) for name, cls in classes],
    )


TABLES: dict[str, Callable[[], list[str]]] = {
    'study-file': study_file,
    'results-file': results_file,
    'protocol-descriptions': protocol_descriptions,
    'protocol-settings': protocol_settings,
    'gate-settings': gate_settings,
    'training-file': training_file,
    'training-descriptions': training_descriptions,
    'training-settings': training_settings,
    'stage-parameters': stage_parameters,
    'exit-codes': exit_codes,
    'node-types': node_types,
}


class TableDirective(SphinxDirective):
    """Insert a table of the reference."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the generated Markdown in place."""
        name = self.arguments[0]
        if name not in TABLES:
            raise self.error(f'no table {name!r}: choose one of {", ".join(TABLES)}')
        container = nodes.container(classes=['hdiff-table'])
        self.state.nested_parse(StringList(TABLES[name](), source=f'<hdiff-table {name}>'), 0, container)
        return list(container.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive('hdiff-table', TableDirective)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
