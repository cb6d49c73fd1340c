"""Runs that know when to stop: extended, or joined by replicas, until the error of D is below its target."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aiida import orm
from aiida.engine import ToContext, WorkChain

from aiida_hdiff.analysis.planning import next_production_ps
from aiida_hdiff.calculations.replicas import combine_diffusivities
from aiida_hdiff.common.protocols import merge
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.workflows.md_stage import stage_finished
from aiida_hdiff.workflows.settings import DiffusionProtocols

VASP_INPUTS = ('potcars', 'kpoints')
"""Inputs that every stage and replica of a run with VASP is given."""

REPLICA_STRIDE = 1000
"""Distance of the numbers of added replicas, so that they meet no replica of the study."""


class ConvergenceLoop(DiffusionProtocols, WorkChain):
    """The loop of `DiffusivityWorkChain` behind its first estimate of D."""

    def should_continue(self) -> bool:
        """Whether the error of D is above its target and the budget allows more."""
        target, budget_ps = (self.ctx.settings['convergence'][key] for key in ('relative_error', 'max_production_ps'))
        self.ctx.next_production_ps = None
        if target is not None and not self.ctx.stopped:
            self.ctx.next_production_ps = next_production_ps(
                self.ctx.production_ps, self.ctx.diffusivity.relative_error, target, budget_ps
            )
            if self.ctx.next_production_ps is not None and self.adds_replicas():
                affordable = int(budget_ps / self.ctx.settings['nve']['time_ps'] + 1e-9)
                if affordable <= len(self.ctx.replicas) + 1:
                    self.ctx.next_production_ps = None
        return self.ctx.next_production_ps is not None

    def adds_replicas(self) -> bool:
        """Whether more data come from further replicas rather than from a longer run."""
        return bool(self.ctx.settings['convergence']['strategy'] == 'replicas')

    def run_extension(self) -> ToContext:
        """Continue the NVE run from its last state."""
        self.report(f'{self.ctx.diffusivity}: extend from {self.ctx.production_ps:g} to {self._goal()}')
        return ToContext(stage=self._submit_stage('nve', self.ctx.nve_start, time_ps=self.ctx.next_production_ps))

    def inspect_extension(self) -> None:
        """Take the extension in, unless it failed; then keep the estimate so far."""
        stage = self._ended_stage()
        if not stage_finished(stage):
            self.ctx.stopped = f'the extension failed: {stage.exit_message or stage.process_state.value}'
            return
        extensions = {**self.ctx.extensions, f'extension_{len(self.ctx.extensions) + 1:03d}': stage.outputs.trajectory}
        check = self._check(extensions)
        if not check['drift_accepted']:
            self.ctx.stopped = f'the energy of the extended run drifts by {check["drift_meV_per_atom_per_ns"]:.3g} '
            self.ctx.stopped += 'meV/atom/ns.'
            return
        self.ctx.extensions, self.ctx.check, self.ctx.final_state = extensions, check, stage.outputs.final_state
        self.ctx.production_ps = self.ctx.next_production_ps
        self._estimate()

    def run_replicas(self) -> ToContext:
        """Run further replicas of the whole protocol, as many as the error seems to need."""
        settings = self.ctx.settings
        each_ps, limit = settings['nve']['time_ps'], settings['convergence']['replicas_at_once']
        done = len(self.ctx.replicas) + 1
        affordable = int(settings['convergence']['max_production_ps'] / each_ps + 1e-9) - done
        needed = math.ceil((self.ctx.next_production_ps - self.ctx.production_ps) / each_ps - 1e-9)
        count = max(1, min(needed, affordable, limit))
        self.report(f'{self.ctx.diffusivity}: {count} more replica{"s" * (count > 1)}')
        self.ctx.new_replicas = [f'replica_{done + index}' for index in range(count)]
        return ToContext(**{label: self._submit_replica(label) for label in self.ctx.new_replicas})

    def inspect_replicas(self) -> None:
        """Combine D of all replicas; without the failed ones."""
        new = [self.ctx[label] for label in self.ctx.new_replicas]
        self.ctx.replicas = self.ctx.replicas + [node for node in new if node.is_finished_ok]
        self.ctx.production_ps = self.ctx.settings['nve']['time_ps'] * (1 + len(self.ctx.replicas))
        failed = [node for node in new if not node.is_finished_ok]
        if failed:
            reason = failed[0].exit_message or failed[0].process_state.value
            self.ctx.stopped = f'{len(failed)} replicas failed, the first with: {reason}'
        if self.ctx.replicas:
            own = {f'replica_{self.inputs.replica.value:05d}': self.ctx.own_diffusivity}
            own |= {f'replica_{n.inputs.replica.value:05d}': n.outputs.diffusivity for n in self.ctx.replicas}
            self.ctx.diffusivity = combine_diffusivities(**own, metadata={'call_link_label': 'combine'})

    def _goal(self) -> str:
        target = self.ctx.settings['convergence']['relative_error']
        return f'{self.ctx.next_production_ps:.4g} ps for a relative error of {target:g}'

    def _submit_replica(self, label: str) -> orm.ProcessNode:
        settings = merge(self.ctx.settings, {'convergence': {'relative_error': None}})
        replica = self.inputs.replica.value + REPLICA_STRIDE * int(label.partition('_')[2])
        names = ('structure', 'potential', 'code', 'temperature', 'seed', 'options', 'committee', *VASP_INPUTS)
        inputs = {name: self.inputs[name] for name in names if self.inputs.get(name, None)}
        return self.submit(
            type(self),
            **inputs,
            replica=orm.Int(replica),
            settings=orm.Dict(settings),
            metadata={
                'call_link_label': label,
                'label': f'{label}, {self.inputs.temperature.value:g} K',
            },
        )

    def _check(self, extensions: Mapping[str, MDTrajectory]) -> orm.Dict:
        """Return the check of the NVE run with its extensions."""
        raise NotImplementedError

    def _ended_stage(self) -> orm.ProcessNode:
        """Return the stage that has ended."""
        raise NotImplementedError

    def _estimate(self) -> None:
        """Estimate D from the run with its extensions."""
        raise NotImplementedError

    def _submit_stage(self, stage: str, state: MDState | None, *, time_ps: float | None = None) -> orm.ProcessNode:
        """Submit a stage."""
        raise NotImplementedError
