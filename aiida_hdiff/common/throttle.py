"""Run many children of a workchain, a limited number at a time."""

from __future__ import annotations

import functools
from typing import Any

from aiida import orm
from aiida.engine import WorkChain
from aiida.engine.processes.workchains.awaitable import Awaitable, construct_awaitable
from plumpy.process_states import ProcessState

MAX_ATTEMPTS = 2


class ThrottledWorkChain(WorkChain):
    """A workchain that starts its next child as soon as one has ended.

    The outline of a plain workchain waits for all children that it has started; with a limit, slots would idle until
    the slowest of a batch is done. Here the outline step calls :meth:`submit_throttled` once; further children are
    started from the callback that aiida-core makes when a child ends. Which have been started is read from the
    provenance graph, so a worker that dies in between starts none twice.
    """

    def child_labels(self) -> list[str]:
        """Return the call link labels of all children, in order."""
        raise NotImplementedError

    def submit_child(self, label: str) -> orm.ProcessNode:
        """Submit the child with this call link label."""
        raise NotImplementedError

    def throttle_limit(self) -> int:
        """Return how many children may run at a time."""
        raise NotImplementedError

    def submit_throttled(self) -> None:
        """Start children up to the limit, and wait for all: the outline step."""
        self._refill()

    def children(self) -> dict[str, orm.ProcessNode]:
        """Return the children started so far by call link label."""
        return {label: nodes[-1] for label, nodes in self._started().items()}

    def _started(self) -> dict[str, list[orm.ProcessNode]]:
        """Return all children by call link label, in the order in which they were started."""
        links = self.node.base.links.get_outgoing(node_class=orm.ProcessNode).all()
        started: dict[str, list[orm.ProcessNode]] = {}
        for link in sorted(links, key=lambda link: int(link.node.pk)):
            started.setdefault(link.link_label, []).append(link.node)
        return started

    def _is_pending(self, attempts: list[orm.ProcessNode]) -> bool:
        """Whether a child is still to be started, or to be started again because it ended in an exception."""
        return not attempts or (len(attempts) < MAX_ATTEMPTS and attempts[-1].is_excepted)

    def _refill(self) -> list[Awaitable]:
        attempts, started = self._started(), self.children()
        pending = [label for label in self.child_labels() if self._is_pending(attempts.get(label, []))]
        running = sum(not started[label].is_terminated for label in self.child_labels() if label in started)
        added = []
        awaited = {awaitable.pk for awaitable in self._awaitables}
        for label in self.child_labels():
            child = started.get(label)
            if child is not None and not child.is_terminated and child.pk not in awaited:
                added.append(self._await(label, child))
        for label in pending[: max(0, self.throttle_limit() - running)]:
            added.append(self._await(label, self.submit_child(label)))
        return added

    def _await(self, label: str, node: orm.ProcessNode) -> Awaitable:
        awaitable = construct_awaitable(node)
        awaitable.key = f'throttled.{label}'
        self._insert_awaitable(awaitable)
        return awaitable

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        if self.state == ProcessState.WAITING and not self.has_terminated():
            for added in self._refill():
                callback = functools.partial(self.call_soon, self._on_awaitable_finished, added)
                self.runner.call_on_process_finish(added.pk, callback)
            if self._enable_persistence and self.runner.persister is not None:
                self.call_soon(self.runner.persister.save_checkpoint, self)
        super()._on_awaitable_finished(awaitable)

    def load_instance_state(self, saved_state: Any, load_context: Any) -> None:
        """Resume after a restart of the daemon, waiting also for children that the last checkpoint did not know."""
        super().load_instance_state(saved_state, load_context)
        if self.state == ProcessState.WAITING and self._awaitables:
            for added in self._refill():
                callback = functools.partial(self.call_soon, self._on_awaitable_finished, added)
                self.runner.call_on_process_finish(added.pk, callback)
