"""From a crystal with hydrogen and its potentials to D(T) and the Arrhenius parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_

from aiida_hdiff.calculations.arrhenius import arrhenius_from_diffusivities, compare_arrhenius
from aiida_hdiff.calculations.literature import compare_with_literature
from aiida_hdiff.calculations.md_committee import committee_error
from aiida_hdiff.calculations.stages import stage_settings
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.literature import LiteratureData
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.literature import LiteratureValue, load_literature
from aiida_hdiff.workflows.codes import code_key, codes_error
from aiida_hdiff.workflows.conversion_phase import ConversionPhase
from aiida_hdiff.workflows.diffusivity import DiffusivityWorkChain
from aiida_hdiff.workflows.md_stage import define_vasp_inputs, engine_name, stage_finished
from aiida_hdiff.workflows.settings import DiffusionProtocols
from aiida_hdiff.workflows.train_validation import plan_error
from aiida_hdiff.workflows.training_phase import plan_of
from aiida_hdiff.workflows.validation import (
    settings_error,
    system_error,
    temperatures_error,
    vasp_error,
)

LABEL = re.compile('[A-Za-z](_?[A-Za-z0-9])*')
"""Labels of potentials: they become parts of link labels, in which two underscores separate namespaces."""

RESERVED_LABELS = ('settings', 'metadata')


class DiffusionWorkChain(DiffusionProtocols, ConversionPhase):
    """Run every potential at every temperature in every replica, a limited number at a time, and fit Arrhenius.

    With a plan, potentials are trained and judged first; those that do not pass are left out. MACE models are converted
    for faster kernels where the settings do not ask for the stock calculator.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='Host crystal with hydrogen in it.')
        spec.input_namespace(
            'potentials', valid_type=PotentialData, dynamic=True, required=False, help='Potentials by label.'
        )
        spec.input_namespace(
            'committees', dynamic=True, required=False,
            help='Further potentials that watch over the runs of one, by its label: see `committee` of the settings.',
        )  # fmt: skip
        spec.input_namespace(
            'codes', valid_type=orm.AbstractCode, dynamic=True,
            help='Engines: `lammps` for LAMMPS pair styles, `engine` for the ASE calculators, `vasp`; `mace` and '
            '`chgnet` where these have an environment of their own.',
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
        spec.outline(
            cls.prepare_training,
            while_(cls.has_trainings)(cls.submit_throttled, cls.inspect_trainings),
            cls.prepare_conversions,
            cls.submit_throttled,
            cls.inspect_conversions,
            cls.submit_throttled,
            cls.fit,
            cls.compare,
            cls.tabulate,
            cls.results,
        )
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
        spec.exit_code(511, 'ERROR_NO_POTENTIAL', message='No potential can be used: {reasons}')
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
        spec.exit_code(730, 'WARNING_UNCERTAIN', message='Finished, but committees were uncertain in {runs}.')
        spec.exit_code(713, 'WARNING_POTENTIALS_LEFT_OUT', message='Finished, but without the potentials {potentials}')

    @classmethod
    def _validate(cls, value: dict[str, Any], _port: Any) -> str | None:
        potentials, plan = value.get('potentials') or {}, plan_of(value)
        if not (potentials or plan):
            return '`potentials` is empty: give at least one potential, or a plan to train one.'
        for label in (*potentials, *plan):
            if not LABEL.fullmatch(label) or label in RESERVED_LABELS:
                return (
                    f'the label {label!r} of a potential cannot be used: give letters, digits and single underscores '
                    f'between them, beginning with a letter, and not {" or ".join(RESERVED_LABELS)}.'
                )
        for label, potential in potentials.items():
            codes = value.get('codes') or {}
            wanted = {code_key(potential.architecture, codes): f'runs potential {label!r} ({potential.architecture})'}
            error = codes_error(wanted, codes, value.get('options')) or trust_error(potential, value.get('options'))
            if error:
                return error
        for label, members in (value.get('committees') or {}).items():
            error = _committee_error(value, label, members)
            if error:
                return error
        both = sorted({*potentials, *plan} & set(value.get('literature', {})))
        if both:
            return f'{both[0]!r} is the label of a potential and of a published value: rename the potential.'
        settings, temperatures = value['settings'].get_dict(), value['temperatures'].get_list()
        vasp_errors = (vasp_error(value, node, settings, temperatures[0]) for node in potentials.values())
        return (
            system_error(value['structure'], potentials, settings)
            or next(filter(None, vasp_errors), None)
            or (plan_error(value) if 'training' in value else None)
        )

    def _runs(self) -> dict[str, tuple[str, float, int]]:
        """Return potential, temperature and replica of every run by its call link label."""
        runs = {}
        for temperature in self.inputs.temperatures.get_list():
            for replica in range(self.inputs.replicas.value):
                for potential in self.run_potentials():
                    label = run_label(potential, temperature, replica)
                    runs[label] = (potential, float(temperature), replica)
        return runs

    def child_labels(self) -> list[str]:
        """Return the labels of what runs now: trainings, conversions, later the molecular dynamics."""
        return self.training_labels() or self.conversion_labels() or list(self._runs())

    def throttle_limit(self) -> int:
        """Return how many diffusivities may run at a time."""
        return int(self.inputs.max_concurrent)

    def submit_child(self, label: str) -> orm.ProcessNode:
        """Submit one training, one conversion, or one diffusivity."""
        if label in self.training_labels():
            return self.submit_training(label)
        if label in self.conversion_labels():
            return self.submit_conversion(label)
        name, temperature, replica = self._runs()[label]
        potential = self.run_potentials()[name]
        inputs: dict[str, Any] = {
            'structure': self.inputs.structure,
            'potential': potential,
            'code': self.inputs.codes[code_key(potential.architecture, self.inputs.codes)],
            'temperature': orm.Float(temperature),
            'settings': self.inputs.settings,
            'seed': self.inputs.seed,
            'replica': orm.Int(replica),
            'metadata': {'call_link_label': label, 'label': f'{name} {temperature:g} K'},
        }
        if self.inputs.get('options', None):
            inputs['options'] = self.inputs.options
        committee = (self.inputs.get('committees', None) or {}).get(name)
        if committee:
            inputs['committee'] = dict(committee)
        if engine_name(potential) == 'vasp':
            inputs |= {name: self.inputs[name] for name in ('potcars', 'kpoints') if self.inputs.get(name, None)}
        return self.submit(DiffusivityWorkChain, **inputs)

    def fit(self) -> None:
        """Fit the Arrhenius parameters of each potential to its resolved diffusivities."""
        children, failed, unfitted, unconverged, uncertain = self.children(), [], [], [], []
        self.ctx.diffusivities, self.ctx.arrhenius = {}, {}
        for potential in self.run_potentials():
            found: dict[str, DiffusivityData] = {}
            missing: dict[str, dict[str, Any]] = {}
            for label, (name, temperature, _) in self._runs().items():
                if name != potential:
                    continue
                child = children[label]
                if 'diffusivity' in child.outputs:
                    found[label] = self.ctx.diffusivities[label] = child.outputs.diffusivity
                    self.out(f'diffusivities.{label}', child.outputs.diffusivity)
                    if not stage_finished(child):
                        unconverged.append(label)
                    elif not child.is_finished_ok:
                        uncertain.append(label)
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
        self.ctx.uncertain = uncertain

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

    def tabulate(self) -> None:
        """Set the potentials of a study with a plan side by side."""
        runs: dict[str, list[str]] = {}
        for run, (name, _, _) in self._runs().items():
            runs.setdefault(name, []).append(run)
        self.compare_potentials(runs, self.ctx.arrhenius, self.ctx.diffusivities)

    def results(self) -> ExitCode | None:
        """Say how complete the study is."""
        failed, unfitted, unconverged = self.ctx.failed, self.ctx.unfitted, self.ctx.unconverged
        left_out = [f'{label} ({reason})' for label, reason in self.left_out().items()]
        if left_out and not self.run_potentials():
            return self.exit_codes.ERROR_NO_POTENTIAL.format(reasons='; '.join(left_out))
        if unfitted:
            return self.exit_codes.ERROR_NO_ARRHENIUS.format(potentials=', '.join(unfitted))
        if left_out:
            return self.exit_codes.WARNING_POTENTIALS_LEFT_OUT.format(potentials='; '.join(left_out))
        if failed:
            return self.exit_codes.WARNING_RUNS_MISSING.format(missing=', '.join(failed))
        if unconverged:
            return self.exit_codes.WARNING_NOT_CONVERGED.format(runs=', '.join(unconverged))
        if self.ctx.uncertain:
            return self.exit_codes.WARNING_UNCERTAIN.format(runs=', '.join(self.ctx.uncertain))
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


def _committee_error(value: Mapping[str, Any], label: str, members: Any) -> str | None:
    """Return what is wrong with the committee of a potential, or ``None``."""
    potential = (value.get('potentials') or {}).get(label)
    if potential is None:
        return f'`committees.{label}` is given, but `potentials` has no {label!r}: give the label of a potential there.'
    if not isinstance(members, Mapping) or not all(isinstance(one, PotentialData) for one in members.values()):
        return f'`committees.{label}` must have potentials by label.'
    parameters = stage_settings(value['settings'].get_dict(), 'nve', 300.0, 1, committee=True)
    inputs = {**value, 'potential': potential, 'committee': members, 'parameters': orm.Dict(parameters)}
    error = committee_error(inputs)
    return None if error is None else f'`committees.{label}`: {error}'


def _validate_seed(value: orm.Int | None, _port: Any) -> str | None:
    if value is not None and not 0 <= value.value < 2**31:
        return f'`seed` is {value.value}: give a whole number from 0 to 2147483647.'
    return None
