"""Progress on a terminal: for each table a bar, its rows, their rate and the time."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar
from rich.text import Text

from lakeflow_redis.cli.screen import on_terminal

BAR_CHARACTERS = 20
"""With it, a line of millions of rows fits into 80 columns, as terminals have at first."""

ShareOf = Callable[[str], float | None]
"""How far a table has come, from 0 to 1; None where that is not known."""


class Advance(Protocol):
    """Takes what is new of a table."""

    def __call__(self, table: str, rows: int, share: float | None = None) -> None:
        """Show how many rows are done, and how far that is, from 0 to 1, where it is known."""


class _Bar(ProgressColumn):
    """How far a table has come; it pulses where that is not known."""

    def __init__(self, share_of: ShareOf) -> None:
        super().__init__()
        self._share_of = share_of

    def render(self, task: Task) -> ProgressBar:
        share = self._share_of(task.description)
        return ProgressBar(
            total=None if share is None else 1.0,
            completed=share or 0.0,
            width=BAR_CHARACTERS,
            animation_time=task.get_time(),
        )


class _Percent(ProgressColumn):
    """The same as a number; never more than is done."""

    def __init__(self, share_of: ShareOf) -> None:
        super().__init__()
        self._share_of = share_of

    def render(self, task: Task) -> Text:
        share = self._share_of(task.description)
        text = "" if share is None else f"{int(share * 100)}%"
        return Text(text.rjust(len("100%")), style="progress.percentage")


class _Rate(ProgressColumn):
    """Rows per second, of late."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="progress.data.speed")


def _nothing(table: str, rows: int, share: float | None = None) -> None:
    """Show nothing."""


@contextmanager
def progress(*, quiet: bool = False, share_of: ShareOf | None = None) -> Iterator[Advance]:
    """A line for each table on stderr, gone at the end; nothing where that is no terminal.

    Args:
        quiet: show nothing there either.
        share_of: tells at any time, and from another thread, how far a table has come; without
            it, a bar stands still until it is told.

    Yields:
        What takes a table's name and how many of its rows are done.
    """
    if quiet or not on_terminal(sys.stderr):
        yield _nothing
        return
    told: dict[str, float | None] = {}
    look: ShareOf = share_of or told.get
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        _Bar(look),
        _Percent(look),
        TextColumn("{task.completed:,.0f} rows"),
        _Rate(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def advance(table: str, rows: int, share: float | None = None) -> None:
        told[table] = share
        if table not in tasks:
            tasks[table] = bars.add_task(table, total=None)
        bars.update(tasks[table], completed=rows)

    with bars:
        yield advance
