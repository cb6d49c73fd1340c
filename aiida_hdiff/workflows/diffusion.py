"""From a crystal with hydrogen and its potentials to D(T) and the Arrhenius parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_hdiff.calculations.arrhenius import arrhenius_from_diffusivities, compare_arrhenius
from aiida_hdiff.calculations.literature import compare_with_literature
from aiida_hdiff.common.throttle import ThrottledWorkChain
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.literature import LiteratureData
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.literature import LiteratureValue, load_literature
from aiida_hdiff.workflows.diffusivity import DiffusivityWorkChain
from aiida_hdiff.workflows.md_stage import CODE_PLUGINS, define_vasp_inputs, engine_name, job_plugin
from aiida_hdiff.workflows.settings import DiffusionProtocols
from aiida_hdiff.workflows.validation import (
    code_error,
    options_error,
    settings_error,
    system_error,
    temperatures_error,
    vasp_error,
)

LABEL = re.compile('[A-Za-z](_?[A-Za-z0-9])*')
"""Labels of potentials: they become parts of link labels, in which two underscores separate namespaces."""

RESERVED_LABELS = ('settings', 'metadata')


class DiffusionWorkChain(DiffusionProtocols, ThrottledWorkChain):
    """Run every potential at every temperature in every replica, a limited number at a time, and fit Arrhenius."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='Host crystal with hydrogen in it.')
        spec.input_namespace('potentials', valid_type=PotentialData, dynamic=True, help='Potentials by label.')
        spec.input_namespace(
            'codes', valid_type=orm.AbstractCode, dynamic=True,
            help='Engines: `lammps` for LAMMPS pair styles, `engine` for the ASE calculators, `vasp`.',
        )  # fmt: skip
        spec.input(
            'temperatures', valid_type=orm.List, serializer=orm.to_aiida_type,
            validator=lambda value, _: temperatures_error(value.get_list()), help='Target temperatures (K).',
        )  # fmt: skip
        spec.input(
            'settings', valid_type=orm.Dict, serializer=orm.to_aiida_type,
            validator=lambda value, _: settings_error(value.get_dict()),
            help='Settings of the stages and the analysis, as a protocol gives them.',
        )  # fmt: skip
        spec.input_namespace(
            'literature', valid_type=LiteratureData, dynamic=True, required=False,
            help='Published values to compare with, by label.',
        )  # fmt: skip
        spec.input(
            'seed', valid_type=orm.Int, serializer=orm.to_aiida_type, validator=_validate_seed,
            help='Seed of all random numbers.',
        )  # fmt: skip
        spec.input(
            'replicas', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(1),
            validator=_validate_positive, help='Independent runs per potential and temperature.',
        )  # fmt: skip
        spec.input(
            'max_concurrent', valid_type=int, non_db=True, default=2, validator=_validate_positive,
            help='Diffusivities that run at a time.',
        )  # fmt: skip
        define_vasp_inputs(spec)
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs.validator = cls._validate
        spec.outline(cls.submit_throttled, cls.fit, cls.compare, cls.results)
        spec.output_namespace('diffusivities', valid_type=DiffusivityData, dynamic=True, help='D by potential and run.')
        spec.output_namespace('arrhenius', valid_type=ArrheniusData, dynamic=True, help='Ea and D0 by potential.')
        spec.output(
            'comparison', valid_type=orm.Dict, required=False, help='Each potential beside each published value.'
        )
        spec.output(
            'arrhenius_comparison', valid_type=orm.Dict, required=False, help='Whether the potentials share Ea and D0.'
        )
        spec.exit_code(
            510,
            'ERROR_NO_ARRHENIUS',
            message='Fewer than two temperatures gave a resolved diffusivity for {potentials}.',
        )
        spec.exit_code(
            710,
            'WARNING_RUNS_MISSING',
            message='Finished, but without {missing}: the Arrhenius fits leave them out.',
        )
        spec.exit_code(
            711,
            'WARNING_NOT_CONVERGED',
            message='Finished, but the error of D stayed above its target for {runs}; the fits use what there is.',
        )

    @classmethod
    def _validate(cls, value: dict[str, Any], _port: Any) -> str | None:
        potentials = value.get('potentials', {})
        if not potentials:
            return '`potentials` is empty: give at least one potential.'
        for label, potential in potentials.items():
            if not LABEL.fullmatch(label) or label in RESERVED_LABELS:
                return (
                    f'the label {label!r} of a potential cannot be used: give letters, digits and single underscores '
                    f'between them, beginning with a letter, and not {" or ".join(RESERVED_LABELS)}.'
                )
            name = engine_name(potential)
            code = value.get('codes', {}).get(name)
            if code is None:
                return f'`codes.{name}` is missing, which runs potential {label!r} ({potential.architecture}).'
            if CODE_PLUGINS.get(code.default_calc_job_plugin) != name:
                return (
                    f'`codes.{name}` is set up for {code.default_calc_job_plugin!r}: give one whose default plugin is '
                    f'{job_plugin(name)!r}.'
                )
            error = code_error(code) or options_error(value.get('options') or {}, code)
            error = error or trust_error(potential, value.get('options'))
            if error:
                return error
        both = sorted(set(potentials) & set(value.get('literature', {})))
        if both:
            return f'{both[0]!r} is the label of a potential and of a published value: rename the potential.'
        settings, temperatures = value['settings'].get_dict(), value['temperatures'].get_list()
        return system_error(value['structure'], potentials, settings) or next(
            filter(None, (vasp_error(value, node, settings, temperatures[0]) for node in potentials.values())), None
        )

    def _runs(self) -> dict[str, tuple[str, float, int]]:
        """Return potential, temperature and replica of every run by its call link label."""
        runs = {}
        for temperature in self.inputs.temperatures.get_list():
            for replica in range(self.inputs.replicas.value):
                for potential in self.inputs.potentials:
                    label = run_label(potential, temperature, replica)
                    runs[label] = (potential, float(temperature), replica)
        return runs

    def child_labels(self) -> list[str]:
        """Return the labels of all runs."""
        return list(self._runs())

    def throttle_limit(self) -> int:
        """Return how many diffusivities may run at a time."""
        return int(self.inputs.max_concurrent)

    def submit_child(self, label: str) -> orm.ProcessNode:
        """Submit one diffusivity."""
        name, temperature, replica = self._runs()[label]
        potential = self.inputs.potentials[name]
        inputs: dict[str, Any] = {
            'structure': self.inputs.structure,
            'potential': potential,
            'code': self.inputs.codes[engine_name(potential)],
            'temperature': orm.Float(temperature),
            'settings': self.inputs.settings,
            'seed': self.inputs.seed,
            'replica': orm.Int(replica),
            'metadata': {'call_link_label': label, 'label': f'{name} {temperature:g} K'},
        }
        if self.inputs.get('options', None):
            inputs['options'] = self.inputs.options
        if engine_name(potential) == 'vasp':
            inputs |= {name: self.inputs[name] for name in ('potcars', 'kpoints') if self.inputs.get(name, None)}
        return self.submit(DiffusivityWorkChain, **inputs)

    def fit(self) -> None:
        """Fit the Arrhenius parameters of each potential to its resolved diffusivities."""
        children, failed, unfitted, unconverged = self.children(), [], [], []
        self.ctx.diffusivities, self.ctx.arrhenius = {}, {}
        for potential in self.inputs.potentials:
            found: dict[str, DiffusivityData] = {}
            missing: dict[str, dict[str, Any]] = {}
            for label, (name, temperature, _) in self._runs().items():
                if name != potential:
                    continue
                child = children[label]
                if 'diffusivity' in child.outputs:
                    found[label] = self.ctx.diffusivities[label] = child.outputs.diffusivity
                    self.out(f'diffusivities.{label}', child.outputs.diffusivity)
                    if not child.is_finished_ok:
                        unconverged.append(label)
                else:
                    reason = child.exit_message or f'process {child.process_state.value}'
                    missing[label] = {'temperature_K': temperature, 'reason': reason}
                    failed.append(f'{label} ({reason})')
            resolved = {node['temperature_K'] for node in found.values() if node.is_resolved}
            if len(resolved) < 2:
                unfitted.append(potential)
                continue
            arrhenius = arrhenius_from_diffusivities(
                missing=orm.Dict(missing), **found, metadata={'call_link_label': f'arrhenius_{potential}'}
            )
            self.ctx.arrhenius[potential] = arrhenius
            self.out(f'arrhenius.{potential}', arrhenius)
            self.report(f'{potential}: {arrhenius}')
        self.ctx.failed, self.ctx.unfitted, self.ctx.unconverged = failed, unfitted, unconverged

    def compare(self) -> None:
        """Compare the potentials with published values and with each other."""
        computed = {**self.ctx.arrhenius, **self.ctx.diffusivities}
        literature = dict(self.inputs.get('literature', {}))
        if literature and computed:
            options = orm.Dict(self.inputs.settings['comparison'])
            self.out(
                'comparison',
                compare_with_literature(
                    options, **computed, **literature, metadata={'call_link_label': 'compare_with_literature'}
                ),
            )
        if len(self.ctx.arrhenius) > 1:
            self.out(
                'arrhenius_comparison',
                compare_arrhenius(**self.ctx.arrhenius, metadata={'call_link_label': 'compare_arrhenius'}),
            )

    def results(self) -> ExitCode | None:
        """Say how complete the study is."""
        failed, unfitted, unconverged = self.ctx.failed, self.ctx.unfitted, self.ctx.unconverged
        if unfitted:
            return self.exit_codes.ERROR_NO_ARRHENIUS.format(potentials=', '.join(unfitted))
        if failed:
            return self.exit_codes.WARNING_RUNS_MISSING.format(missing=', '.join(failed))
        if unconverged:
            return self.exit_codes.WARNING_NOT_CONVERGED.format(runs=', '.join(unconverged))
        return None

    @classmethod
    def get_builder_from_protocol(
        cls,
        structure: orm.StructureData,
        potentials: Mapping[str, PotentialData],
        codes: Mapping[str, orm.AbstractCode],
        temperatures_K: Sequence[float],
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        seed: int = 1,
        replicas: int = 1,
        max_concurrent: int = 2,
        options: dict[str, Any] | None = None,
        literature: Sequence[LiteratureValue] | None = None,
        potcars: Mapping[str, orm.Data] | None = None,
    ) -> Any:
        """Return a builder with the settings of a protocol.

        Parameters
        ----------
        structure
            Host crystal with hydrogen in it.
        potentials
            Potentials by label.
        codes
            Engines: ``lammps``, ``engine`` and ``vasp``, as far as the potentials need them.
        temperatures_K
            At least two target temperatures (K).
        protocol, overrides
            Name of a protocol, and settings that replace its own.
        seed, replicas
            Seed of all random numbers, and independent runs per potential and temperature.
        max_concurrent
            Diffusivities that run at a time.
        options
            ``metadata.options`` of the jobs.
        literature
            Published values to compare with; by default those of the package for H in the host.
        potcars
            POTCARs by kind of the structure, for force fields of VASP.

        Raises
        ------
        ValueError
            If the protocol or a key of the overrides is unknown.
        """
        builder = cls.get_builder()
        builder.structure = structure
        builder.potentials = dict(potentials)
        builder.codes = dict(codes)
        builder.temperatures = orm.List(list(temperatures_K))
        builder.settings = orm.Dict(cls.get_protocol_settings(protocol, overrides))
        builder.seed, builder.replicas, builder.max_concurrent = (
            orm.Int(seed),
            orm.Int(replicas),
            max_concurrent,
        )
        if options:
            builder.options = options
        values = published_values(structure) if literature is None else literature
        nodes = {value.key.replace('-', '_'): LiteratureData.get_or_create(value) for value in values}
        if nodes:
            builder.literature = nodes
        if potcars:
            builder.potcars = dict(potcars)
        return builder


def published_values(structure: orm.StructureData, extra: Path | None = None) -> tuple[LiteratureValue, ...]:
    """Return the published values for H in the most frequent element of a structure, those of a user's file too."""
    symbols = [symbol for symbol in structure.get_ase().get_chemical_symbols() if symbol != 'H']
    host = max(dict.fromkeys(symbols), key=symbols.count)
    return tuple(value for value in load_literature(host, extra=extra) if value.isotope == 'H')


def run_label(potential: str, temperature_K: float, replica: int) -> str:
    """Return the call link label of one run."""
    kelvin = f'{temperature_K:.12g}'.replace('.', 'p').replace('+', '')
    return f'{potential}_{kelvin}K_{replica}'


def _validate_positive(value: Any, _port: Any) -> str | None:
    number = getattr(value, 'value', value)
    return None if number is None or number >= 1 else f'{number} is given: give a whole number of at least 1.'


def _validate_seed(value: orm.Int | None, _port: Any) -> str | None:
    if value is not None and not 0 <= value.value < 2**31:
        return f'`seed` is {value.value}: give a whole number from 0 to 2147483647.'
    return None
