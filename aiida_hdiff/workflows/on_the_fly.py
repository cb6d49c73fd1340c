"""VASP's on-the-fly training: from a crystal to a refitted force field and the labelled frames behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode, ToContext, WorkChain, while_

from aiida_hdiff.calculations.datasets import merge_datasets
from aiida_hdiff.calculations.training import (
    EMULATED,
    collect_training,
    merge_training_sets,
    training_set_from_dataset,
)
from aiida_hdiff.calculations.vasp_inputs import potcars_error, settings_hash, species_error, species_of
from aiida_hdiff.common.calcjob import require_package
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.potcars import potcars_from_family
from aiida_hdiff.workflows.training import (
    OnTheFlyProtocols,
    stage_constraint,
    stage_groups,
    stage_incar,
    stage_settings,
)
from aiida_hdiff.workflows.training_validation import (
    dataset_error,
    nothing_to_train_error,
    stage_incar_error,
    training_settings_error,
    validate_code,
)
from aiida_hdiff.workflows.vasp_mlff_base import VaspMlffBaseWorkChain

_PER_STAGE = ('dataset', 'learning', 'statistics', 'final_state')


class OnTheFlyWorkChain(OnTheFlyProtocols, WorkChain):
    """Ramp → training at each temperature, one after the other or side by side → (select →) refit."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, validator=validate_code, help='VASP.')
        spec.input('structure', valid_type=orm.StructureData, help='Host crystal with hydrogen, sorted by element.')
        spec.input('kpoints', valid_type=orm.KpointsData, help='k-points of the density functional calculation.')
        spec.input_namespace('potcars', valid_type=orm.Data, dynamic=True, help='PotcarData by kind.')
        spec.input(
            'settings', valid_type=orm.Dict, serializer=orm.to_aiida_type,
            validator=lambda value, _: training_settings_error(value.get_dict(), from_dataset=True),
            help='INCAR, stages and limits, as a protocol gives them.',
        )  # fmt: skip
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of all random numbers.')
        spec.input(
            'dataset', valid_type=LabelledDataset, required=False,
            help='Labelled frames of an earlier training with the same settings, from which to go on. Without a ramp '
            'and plateaus a force field is fitted to them, and nothing is run.',
        )  # fmt: skip
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.input(
            'clean_workdir', valid_type=orm.Bool, serializer=orm.to_aiida_type, default=lambda: orm.Bool(True),
            help='Remove the work directories of the jobs, with the large ML_ABN and ML_FFN, if all succeed.',
        )  # fmt: skip
        spec.inputs.validator = cls._validate
        spec.outline(
            cls.setup,
            while_(cls.has_stages)(cls.run_stages, cls.rerun_excepted_stages, cls.inspect_stages),
            cls.results,
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The refitted force field.')
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='All labelled frames.')
        spec.output('decisions', valid_type=orm.Dict, required=False, help='Frames by stage; equal ones left out.')
        spec.output('learning', valid_type=orm.ArrayData, required=False, help='Bayesian errors, thresholds, calls.')
        spec.output('statistics', valid_type=orm.Dict, required=False, help='Calls, frames, errors of all stages.')
        spec.output_namespace('stages', dynamic=True, help='What each stage has found.')
        spec.exit_code(434, 'ERROR_STAGE_FAILED', message='Stage {stage} failed: {message}')
        spec.exit_code(435, 'ERROR_NO_FORCE_FIELD', message='The refit wrote no force field: see its job.')

    @classmethod
    def _validate(cls, value: dict[str, Any], _port: Any) -> str | None:
        structure, settings = value['structure'], value['settings'].get_dict()
        try:
            require_package('aiida_vasp', 'vasp')
        except ImportError as error:
            return str(error)
        potcars = value.get('potcars', {})
        error = (
            (nothing_to_train_error(settings) if value.get('dataset') is None else None)
            or species_error(structure)
            or potcars_error(structure, potcars, 'potcars')
            or stage_incar_error(settings, species_of(structure))
        )
        if error or value.get('dataset') is None:
            return error
        return dataset_error(
            settings,
            n_frames=value['dataset'].n_frames,
            elements=value['dataset'].elements,
            references=value['dataset'].references,
            symbols=species_of(structure),
            expected_reference=settings_hash(settings['incar'], potcars, value['kpoints']),
        )

    def setup(self) -> None:
        """List the stages."""
        self.ctx.settings = self.inputs.settings.get_dict()
        self.ctx.groups = stage_groups(self.ctx.settings, from_dataset='dataset' in self.inputs)
        self.ctx.done, self.ctx.finished = 0, []
        self.ctx.state, self.ctx.training_set, self.ctx.threshold = None, {}, None
        if 'dataset' in self.inputs:
            ml_ab = training_set_from_dataset(
                self.inputs.dataset, self.inputs.structure, metadata={'call_link_label': 'training_set'}
            )
            dataset = self.inputs.dataset
            count = dataset.n_frames - dataset.base.attributes.get('n_not_converged')
            self.ctx.training_set = {'ml_ab': ml_ab, 'n_configurations': orm.Int(count)}

    def has_stages(self) -> bool:
        """Whether stages are left."""
        return bool(self.ctx.done < len(self.ctx.groups))

    def run_stages(self) -> ToContext:
        """Run the next stage, or several side by side."""
        return ToContext(**{name: self._submit(name) for name in self._group()})

    def rerun_excepted_stages(self) -> ToContext | None:
        """Run stages once more that ended in an exception, as they may when a daemon worker dies."""
        excepted = [name for name in self._group() if self.ctx[name].is_excepted]
        for name in excepted:
            self.report(f'stage {name} <{self.ctx[name].pk}> ended in an exception: run it once more')
        return ToContext(**{name: self._submit(name) for name in excepted}) if excepted else None

    def inspect_stages(self) -> ExitCode | None:
        """Hand on what the stages have found, or end, with all frames so far."""
        group = self._group()
        self.ctx.finished = [*self.ctx.finished, *group]
        for name in group:
            node = self.ctx[name]
            if not node.is_finished_ok:
                self._collect()
                message = node.exit_message or node.process_state.value
                return self.exit_codes.ERROR_STAGE_FAILED.format(stage=name, message=message)
        self.ctx.done += 1
        if len(group) > 1:
            lost = [name for name in group if 'ml_ab' not in self.ctx[name].outputs]
            if lost:
                self._collect()
                return self.exit_codes.ERROR_STAGE_FAILED.format(stage=lost[0], message='its training set is lost.')
            branches = {name: self.ctx[name].outputs.ml_ab for name in group}
            merged: Any = merge_training_sets(**branches, metadata={'call_link_label': 'merge_training_sets'})
            count = orm.Int(merged['record']['n_merged'])
            self.ctx.training_set = {'ml_ab': merged['ml_ab'], 'n_configurations': count}
            return None
        outputs = self.ctx[group[0]].outputs
        if 'ml_ab_folder' in outputs:
            values = outputs.statistics.get_dict()
            self.ctx.training_set = {
                'ml_ab_folder': outputs.ml_ab_folder,
                'n_configurations': orm.Int(values['n_configurations']),
                'n_local_configurations': orm.Int(values['n_local_configurations']),
            }
            if values['mode'] == 'train':
                self.ctx.threshold = values['threshold_eV_A']
        if 'final_state' in outputs:
            self.ctx.state = outputs.final_state
        return None

    def results(self) -> ExitCode | None:
        """Attach the force field, all frames and what the training tells."""
        self._collect()
        outputs = self.ctx[self.ctx.finished[-1]].outputs
        if 'force_field' not in outputs:
            return self.exit_codes.ERROR_NO_FORCE_FIELD
        self.out('potential', outputs.force_field)
        return None

    def _group(self) -> list[str]:
        return list(self.ctx.groups[self.ctx.done])

    def _submit(self, name: str) -> orm.ProcessNode:
        stage = stage_settings(self.ctx.settings, name)
        species = species_of(self.inputs.structure)
        inputs: dict[str, Any] = {
            'code': self.inputs.code,
            'structure': self.inputs.structure,
            'kpoints': self.inputs.kpoints,
            'potcars': dict(self.inputs.potcars),
            'parameters': orm.Dict(stage_incar(self.ctx.settings, name, n_species=len(species))),
            'stage': orm.Dict(stage),
            'seed': self.inputs.seed,
            **self.ctx.training_set,
            'metadata': {'call_link_label': name, 'label': name},
        }
        constraint = stage_constraint(self.ctx.settings, name)
        if constraint is not None:
            inputs['constraint'] = orm.Str(constraint)
        if self.ctx.state is not None:
            inputs['state'] = self.ctx.state
        if self.ctx.threshold is not None and self.ctx.settings['learning']['carry_threshold']:
            inputs['threshold'] = orm.Float(self.ctx.threshold)
        if len(self._group()) > 1:
            inputs['store_ml_ab'] = orm.Bool(True)
        if self.ctx.settings['accepted_tags']:
            inputs['settings'] = orm.Dict({'unsupported_parameters': self.ctx.settings['accepted_tags']})
        if self.inputs.get('options', None):
            inputs['options'] = self.inputs.options
        return self.submit(VaspMlffBaseWorkChain, **inputs)

    def _collect(self) -> None:
        """Attach what all stages so far have found, those that failed too."""
        found: dict[str, dict[str, Any]] = {'dataset': {}, 'learning': {}, 'statistics': {}}
        for name in self.ctx.finished:
            outputs = self.ctx[name].base.links.get_outgoing(link_type=LinkType.RETURN).nested()
            for kind in _PER_STAGE:
                if kind in outputs:
                    self.out(f'stages.{name}.{kind}', outputs[kind])
                    found.get(kind, {})[name] = outputs[kind]
            for job, trajectory in outputs.get('trajectories', {}).items():
                self.out(f'stages.{name}.trajectories.{job}', trajectory)
        joined: Any = collect_training(
            orm.List(self.ctx.finished),
            **{f'{kind}_{name}': node for kind in ('statistics', 'learning') for name, node in found[kind].items()},
            metadata={'call_link_label': 'collect'},
        )
        self.out_many(joined)
        datasets = {f's{self.ctx.finished.index(name):02d}_{name}': node for name, node in found['dataset'].items()}
        if 'dataset' in self.inputs:
            datasets['given'] = self.inputs.dataset
        merged = {}
        if datasets:
            merged = merge_datasets(orm.Dict({}), **datasets, metadata={'call_link_label': 'merge_datasets'})
            self.out_many(merged)
        if joined['statistics'][EMULATED]:
            for node in (self.node, *merged.values()):
                node.base.extras.set(EMULATED, True)

    def on_terminated(self) -> None:
        """Remove the work directories after a success; keep them for a continuation after a failure."""
        super().on_terminated()
        if not (self.node.is_finished_ok and self.inputs.clean_workdir.value):
            return
        for job in self.node.called_descendants:
            if isinstance(job, orm.CalcJobNode) and 'remote_folder' in job.outputs:
                try:
                    job.outputs.remote_folder._clean()
                except OSError:
                    self.report(f'the work directory of {job.process_label}<{job.pk}> cannot be removed')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        potcars: Mapping[str, Any] | str,
        *,
        potcar_mapping: Mapping[str, str] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        kpoints: orm.KpointsData | None = None,
        dataset: LabelledDataset | None = None,
        seed: int = 1,
        options: dict[str, Any] | None = None,
    ) -> Any:
        """Return a builder with the settings of a protocol.

        Parameters
        ----------
        code
            VASP, set up for `hdiff.vasp_mlff`.
        structure
            Host crystal with hydrogen, sorted by element.
        potcars
            PotcarData by kind, or the name of a family that `aiida-vasp` has uploaded.
        potcar_mapping
            POTCAR of each element in the family, such as ``{'Mg': 'Mg_pv'}``; by default the symbol itself.
        protocol, overrides
            Name of a protocol, and settings that replace its own; `incar` and `ml` take further tags.
        kpoints
            By default the mesh of the distance in the settings.
        dataset
            Labelled frames to go on from.
        seed
            Seed of all random numbers.
        options
            ``metadata.options`` of the jobs.

        Raises
        ------
        ValueError
            If the protocol or a key of the overrides is unknown, or the family lacks a POTCAR.
        """
        settings = cls.get_protocol_settings(protocol, overrides)
        builder = cls.get_builder()
        builder.code, builder.structure = code, structure
        builder.settings, builder.seed = orm.Dict(settings), orm.Int(seed)
        builder.potcars = (
            potcars_from_family(structure, potcars, potcar_mapping) if isinstance(potcars, str) else dict(potcars)
        )
        if kpoints is None:
            kpoints = orm.KpointsData()
            kpoints.set_cell_from_structure(structure)
            kpoints.set_kpoints_mesh_from_density(settings['kpoints_distance_per_A'])
        builder.kpoints = kpoints
        if dataset is not None:
            builder.dataset = dataset
        if options:
            builder.options = options
        return builder
