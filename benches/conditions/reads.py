"""Reads of ours in processes of their own, checked for being whole."""

from collections.abc import Mapping
from fractions import Fraction

from benches.contestants import CONTESTANTS, OURS
from benches.data import FAMILIES, Contents
from benches.reading import Sample, Task
from benches.running import ReadFailedError, run_child
from tests.servers import Server

TABLES = (*(family.table for family in FAMILIES), "keys")


def url_of(server: Server, port: int | None = None) -> str:
    """Where a server is, or a proxy before it."""
    return f"redis://{server.host}:{port or server.port}/0"


def read(
    url: str, table: str, rows: int | None, options: Mapping[str, str] | None = None
) -> Sample:
    """Let ours read a table in a fresh process; where `rows` is None, of unknown length.

    Raises:
        ReadFailedError: it failed, or it gave another number of rows.
    """
    sample = run_child(CONTESTANTS[OURS], Task(url, table, options=options or {}))
    if rows is not None:
        check(sample, table, rows)
    return sample


def check(sample: Sample, table: str, rows: int) -> None:
    """See that all rows came.

    Raises:
        ReadFailedError: they did not.
    """
    if sample.rows != rows:
        raise ReadFailedError(f"{sample.rows:,} rows of {table} came; {rows:,} are there")


def rows_of(scale: Fraction, table: str) -> int:
    """How many rows `load` makes."""
    return Contents.of(scale).rows[table]
