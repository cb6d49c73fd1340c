"""Run a study in this process, or watch one, with a live display."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from typing import Any

import click

from aiida_hdiff.workflows.progress import RunProgress
from aiida_hdiff.workflows.training_progress import FOLLOWED, process_progress

REFRESH_S = 2.0
PLAIN_REFRESH_S = 30.0
POLL_S = 0.5
COST = 0.05
"""Part of a core that a display in a terminal may take from the runs it shows."""


class Display:
    """A table that is redrawn in a terminal, or one line now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._lines = 0
        self._terminal = sys.stdout.isatty()

    def follow(self, node: Any) -> float:
        """Draw the progress of a study; return the time in s after which to look again."""
        started = time.process_time()
        self.show(process_progress(node))
        if not self._terminal:
            return PLAIN_REFRESH_S
        return max(REFRESH_S, (time.process_time() - started) / COST)

    def show(self, rows: list[RunProgress]) -> None:
        """Draw the table."""
        summary = self._summary(rows)
        if not self._terminal:
            running = '; '.join(f'{row.label} {row.stage}' for row in rows if row.state == 'running')
            click.echo(f'{summary}  {running}'.rstrip())
            return
        if self._lines:
            click.echo(f'\x1b[{self._lines}F\x1b[J', nl=False)
        label_width = max((len(row.label) for row in rows), default=0)
        lines = [*(_row(row, label_width) for row in rows), summary]
        width = shutil.get_terminal_size().columns
        click.echo('\n'.join(line[: max(20, width - 1)] for line in lines))
        self._lines = len(lines)

    def _summary(self, rows: list[RunProgress]) -> str:
        done, total = sum(row.steps_done for row in rows), sum(row.steps_total for row in rows)
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        elapsed = now - self._started
        rate = (done - self._first[1]) / (now - self._first[0]) if now > self._first[0] else 0.0
        eta = f'{_clock((total - done) / rate)} left' if rate > 0 and done < total else ''
        return f'{_clock(elapsed)} elapsed, {100 * done / max(total, 1):.0f} % of {total} steps  {eta}'.rstrip()


def _clock(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def _row(row: RunProgress, width: int) -> str:
    filled = round(20 * row.steps_done / max(row.steps_total, 1))
    return f'{row.label:<{width}} {"█" * filled}{"·" * (20 - filled)} {row.state:<9} {row.stage}'


def quiet_console() -> None:
    """Keep the engine's reports off the terminal; they stay in the graph (`verdi process report`)."""
    import logging

    for name in ('aiida', 'plumpy', 'kiwipy', 'asyncio'):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setLevel(logging.CRITICAL)


def run_study(builder: Any) -> Any:
    """Run a study in this process with a live display; return its node. An interrupt kills it."""
    from aiida.manage import get_manager

    quiet_console()
    display = Display()
    runner = get_manager().create_runner(communicator=None, poll_interval=POLL_S)

    async def watch() -> None:
        node, pause_s = None, REFRESH_S
        while True:
            await asyncio.sleep(pause_s)
            node = node or _find(started)
            if node is not None:
                pause_s = display.follow(node)

    started = _last_pk()
    task = runner.loop.create_task(watch())
    try:
        result = runner.run_get_node(builder)
    finally:
        task.cancel()
    display.follow(result.node)
    return result.node


def watch_study(node: Any) -> None:
    """Show a study that another process runs until it ends."""
    from aiida.orm import load_node

    display, due = Display(), 0.0
    while not load_node(node.pk).is_terminated:
        if time.monotonic() >= due:
            due = time.monotonic() + display.follow(node)
        time.sleep(REFRESH_S)
    display.follow(node)


def _last_pk() -> int:
    from aiida import orm

    query = orm.QueryBuilder().append(orm.Node, project='id', tag='n').order_by({'n': {'id': 'desc'}}).limit(1)
    return int((query.first(flat=True)) or 0)


def _find(after_pk: int) -> Any:
    from aiida import orm

    query = orm.QueryBuilder().append(
        orm.WorkChainNode,
        filters={'id': {'>': after_pk}, 'process_type': {'in': list(FOLLOWED)}},
        tag='first',
    )
    return query.order_by({'first': {'id': 'asc'}}).first(flat=True)
