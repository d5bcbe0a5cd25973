"""What a run is told and what it says: the lake, the tables, and a result for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

Mode = Literal["append", "replace", "merge", "history"]
"""What becomes of the rows that are there: see `TableSpec.mode`."""

FileFormat = Literal["delta", "parquet"]

OnProgress = Callable[[str, int, float | None], None]
"""Hears, batch by batch, a table's name in the lake, how many of its rows have been written so far,
and what share (0 to 1) of the keyspace has been gone through, or None where that is not known."""


@dataclass(frozen=True, slots=True)
class Lake:
    """Where tables land: each in a folder of its own, under one folder or prefix."""

    to: str | PathLike[str]
    """A local folder, made if need be, or a URL such as `s3://bucket/prefix`."""
    format: FileFormat = "delta"
    """`delta`: Delta tables. `parquet`: plain Parquet files, without merging or history."""
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """For a URL, what `deltalake` takes, such as `AWS_ENDPOINT_URL`. What is not said there comes
    from the environment; profiles are not read. A request may take 30 s (`timeout`), is repeated up to 10
    times (`max_retries`), and not when 30 s have gone by (`retry_timeout`, here; a number with `ms`, `s`,
    `m` or `h`). May hold secrets, and is in no `repr`."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table to read, and how it is to land."""

    table: str
    """The table's name here: `hashes`, `streams`, …"""
    name: str | None = None
    """Its name in the lake, a folder's name; the table's own unless set. So that parts of one table can
    be tables of their own, such as `users` and `orders` of `hashes`."""
    mode: Mode | None = None
    """`append`: new rows are added, each once (`streams`, always). `replace`: the rows are replaced, in one
    commit (the others, unless set). `merge`: rows are updated, inserted and deleted by primary key, and
    those whose content did not change are left alone. `history`: as `merge`, but former rows stay, from
    `valid_from` to `valid_to` (SCD type 2)."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options for this read, over the connector's."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows a `merge` or `history` found to be new, changed and gone."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a run did with one table."""

    table: str
    """The table's name here."""
    name: str
    """Its name in the lake."""
    mode: Mode
    """What became of the rows that were there."""
    rows: int = 0
    """Rows read; with `append` and `replace`, those that were committed."""
    rejected: int = 0
    """Rows put into quarantine instead."""
    changes: Changes | None = None
    """With `merge` and `history`, what was found; else None."""
    seconds: float = 0.0
    """From the beginning of the run to this table's commit."""
    version: int | None = None
    """The version after the run: the Delta table's, or the number of the last Parquet file; None where
    nothing has landed."""
    committed: bool = False
    """False where there was nothing to do, or it failed; the table is as it was."""
    start: Mapping[str, Any] | None = None
    """The offset from which it was read."""
    end: Mapping[str, Any] | None = None
    """The offset from which to read on, or None where the read failed."""
    offset_version: int | None = None
    """The entry of the offset log that the last commit names; None where there is no such log."""
    server_cpu_seconds: float | None = None
    """CPU time of the servers during the read, which may have been of several tables; None where they
    did not say, or it failed."""
    server_version: str | None = None
    """Of the servers, such as `7.0.15`; None where they did not say."""
    receipt: Mapping[str, Any] = field(default_factory=dict)
    """`Records.receipt` of the read, or empty where that failed."""
    error: Exception | None = None
    """Why it did not land, or None."""
