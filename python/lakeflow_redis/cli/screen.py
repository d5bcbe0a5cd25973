"""What a person sees: tables of text, a progress line, and values made safe for a terminal."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

import click
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
from rich.table import Table
from rich.text import Text


def printable(text: str) -> str:
    r"""A text on one line and without terminal escapes: `\n`, `\x1b` and the like are spelled."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def on_terminal(stream: TextIO | None) -> bool:
    """Whether a person is looking. Not rich's own guess, which FORCE_COLOR turns.

    Args:
        stream: one of `sys`, which is None in a process that was started without it.
    """
    return stream is not None and stream.isatty()


def show(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows on stdout: as a table on a terminal, else as lines of `name=value`.

    Args:
        rows: all with the same names, which head the table's columns.
    """
    if not on_terminal(sys.stdout):
        for row in rows:
            click.echo(" ".join(f"{name}={value}" for name, value in row.items()))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    Console().print(table)


class _Rate(ProgressColumn):
    """Rows per second, of late."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Callable[[str, int], None]]:
    """A line for each table on stderr, gone at the end; nothing where that is no terminal.

    Args:
        quiet: show nothing there either.

    Yields:
        What takes a table's name and how many of its rows are done.
    """
    if quiet or not on_terminal(sys.stderr):
        yield lambda _table, _rows: None
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f} rows"),
        _Rate(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def advance(table: str, rows: int) -> None:
        if table not in tasks:
            tasks[table] = bar.add_task(table, total=None)
        bar.update(tasks[table], completed=rows)

    with bar:
        yield advance
