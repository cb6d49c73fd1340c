"""What the parsers of molecular dynamics jobs share."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_hdiff.calculations.md_job import md_parameters
from aiida_hdiff.parsers.base import JobParser


class MDParserBase(JobParser):
    """A parser whose results say how far the run came."""

    def first_step(self, *, default: int) -> int:
        """Return the step of the checkpoint that the job continued from, or ``default``."""
        return int(self.node.inputs.checkpoint.step) if 'checkpoint' in self.node.inputs else default

    def out_results(
        self,
        engine: str,
        version: str | None,
        last_step: int,
        n_frames: int,
        steps_per_s: float | None,
        **more: Any,
    ) -> None:
        """Attach the summary of the run, with what an engine adds to it."""
        steps = md_parameters(self.node.inputs).steps
        self.out(
            'results',
            orm.Dict(
                {
                    'engine': engine,
                    'engine_version': version,
                    'steps': steps,
                    'last_step': max(last_step, 0),
                    'n_frames': n_frames,
                    'finished': last_step == steps,
                    'steps_per_s': steps_per_s,
                    **more,
                }
            ),
        )
