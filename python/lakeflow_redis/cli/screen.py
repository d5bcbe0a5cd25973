"""What a person sees: tables of text, and values made safe for a terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakeflow_redis.ingest.observed import line


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

    There, values that are not one plain word are in quotes, as in JSON.

    Args:
        rows: all with the same names, which head the table's columns.
    """
    if not on_terminal(sys.stdout):
        for row in rows:
            click.echo(line(row))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(Text(printable(_shown(value))) for value in row.values()))
    Console().print(table)


def _shown(value: object) -> str:
    return "" if value is None else str(value)
