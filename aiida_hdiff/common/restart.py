"""The base restart workchain of this package."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import BaseRestartWorkChain


class HdiffRestartWorkChain(BaseRestartWorkChain):
    """A restart workchain that reports what its handlers do, and survives a pause at the last iteration."""

    def run_process(self) -> Any:
        """Run the next process, forgetting the children of before a pause.

        With `pause_on_max_iterations`, aiida-core resets the iteration but would inspect the first, stale child again.
        """
        if self.ctx.iteration == 0:
            self.ctx.children = []
        return super().run_process()

    def inspect_process(self) -> Any:
        """Inspect the last process; one that ended in an exception, as when a daemon worker dies, is run once more."""
        node = self.ctx.children[self.ctx.iteration - 1]
        if node.is_excepted and not self.ctx.get('exception_retried', False):
            self.ctx.exception_retried = True
            self.report(f'{node.process_label}<{node.pk}> ended in an exception')
            self.report('Action taken: run it once more')
            return None
        return super().inspect_process()

    def report_error_handled(self, node: orm.ProcessNode, action: str) -> None:
        """Report which failure is handled and how."""
        self.report(f'{node.process_label}<{node.pk}> ended with status {node.exit_status}: {node.exit_message}')
        self.report(f'Action taken: {action}')
