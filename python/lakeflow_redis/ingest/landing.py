"""Landing tables: what one run of `ingest` reads, writes and commits."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from deltalake import Transaction

from lakeflow_redis._core import LakeflowConnect, Records
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.data_files import DataFiles
from lakeflow_redis.ingest.lake_table import LakeTable, check_lake
from lakeflow_redis.ingest.offset_log import OffsetLog

OnProgress = Callable[[str, int], None]
"""Hears, batch by batch, a table's name and how many of its rows have been written so far."""

Mode = Literal["replace", "append"]

REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URL begins, and no path that anybody would want made as a folder here."""


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a run did with one table."""

    table: str
    mode: Mode
    """Whether what was there is replaced, or joined by the new rows."""
    rows: int
    """Rows committed by this run."""
    seconds: float
    version: int
    """The Delta table's version after the run."""
    committed: bool
    """False where there was nothing new to append; the table is as it was."""
    receipt: Mapping[str, Any]
    """`Records.receipt` of the read."""


def ingest(
    connector: LakeflowConnect,
    to: str | PathLike[str],
    tables: Iterable[str] | None = None,
    table_options: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
) -> list[TableResult]:
    """Land tables as Delta tables at `<to>/<table>`.

    A snapshot table is replaced, in one commit. `streams` is appended to, from where the last
    committed run ended, by one read (of which `max_records_per_batch` is the most), and each
    entry lands once even if a run is killed: before the commit, `<to>/_lakeflow/<table>/<n>.json`
    says which range it holds, and the commit carries the application transaction
    `lakeflow-redis/<table>`, version n. Where nothing is new, nothing is committed. A table
    that has no rows yet is made all the same.

    Memory is bounded by a few record batches. A read that fails commits nothing and leaves
    no files; the tables before it have landed. Files that a commit replaced stay for time
    travel, and those of a killed run, or of a commit that failed, as orphans, until `DeltaTable.vacuum()` removes them.

    Args:
        connector: what to read.
        to: a local folder, made if need be.
        tables: their names, or None for all.
        table_options: options for reading each of them, over the connector's.
        on_progress: hears of every batch that was written.

    Raises:
        ConfigurationError: a table or option is not valid, or the target holds something
            else or other columns. This is found for all tables before any is read.
        LakeError: a Delta table cannot be read or written, another run committed to it
            meanwhile, or its offset log is missing.
        LakeflowRedisError: a read failed; see `LakeflowConnect.read_table`.
        OSError: the target cannot be written to.
    """
    return list(ingest_each(connector, to, tables, table_options, on_progress))


def ingest_each(
    connector: LakeflowConnect,
    to: str | PathLike[str],
    tables: Iterable[str] | None = None,
    table_options: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[TableResult]:
    """As `ingest`, but lands each table when its result is asked for.

    What `ingest` finds before it reads anything is found, and raised, by this call already.
    """
    lake = _local_folder(to)
    check_lake(lake)
    names = connector.list_tables() if tables is None else dict.fromkeys(tables)
    sources = [_Source(connector, name, table_options) for name in names]
    landings = [_Landing(source, lake, on_progress) for source in sources]
    return (landing.run() for landing in landings)


class _Source:
    """One table to read, under given options."""

    def __init__(
        self, connector: LakeflowConnect, name: str, options: Mapping[str, str] | None
    ) -> None:
        metadata = connector.read_table_metadata(name, options)
        self.name = name
        self.ingestion_type = metadata["ingestion_type"]
        self.schema = pa.schema(connector.get_table_schema(name, options))
        self._connector = connector
        self._options = options

    def read(self, start: Mapping[str, Any] | None = None) -> tuple[Records, dict[str, Any]]:
        return self._connector.read_table(self.name, start, self._options)


class _Landing:
    """One table on its way from a source to its place in the lake."""

    def __init__(self, source: _Source, lake: Path, on_progress: OnProgress | None) -> None:
        self._source = source
        self._target = LakeTable(lake, source.name, source.schema)
        self._version_before = self._target.version
        self._on_progress = on_progress
        self._began = 0.0

    def run(self) -> TableResult:
        """Read, write and commit."""
        self._began = time.monotonic()
        match self._source.ingestion_type:
            case "snapshot":
                return self._replace()
            case "append":
                return self._append()

    def _replace(self) -> TableResult:
        records, _ = self._source.read()
        files = self._write(records)
        version = self._target.commit(files.added, "overwrite")
        return self._result("replace", files, records, version)

    def _append(self) -> TableResult:
        app_id = f"lakeflow-redis/{self._source.name}"
        log = OffsetLog(self._target.own_folder)
        last = self._target.transaction_version(app_id)
        start = None if last is None else log.end_of(last)
        records, end = self._source.read(start)
        files = self._write(records)
        version = self._version_before
        # Also where the offset alone has moved: past rows that were skipped, or since a stream
        # that was seen to be gone is forgotten.
        if version is None or files.rows or end != start:
            # After the rows and before the commit: an entry that a commit names is whole,
            # and covers rows that were handed over.
            transaction = Transaction(app_id, log.append(last, start, end))
            version = self._target.commit(files.added, "append", transaction)
        return self._result("append", files, records, version)

    def _write(self, records: Records) -> DataFiles:
        self._target.claim()
        with DataFiles(self._target.folder, self._target.schema) as files:
            for batch in records.batches():
                files.write(batch)
                if self._on_progress is not None:
                    self._on_progress(self._source.name, files.rows)
        return files

    def _result(self, mode: Mode, files: DataFiles, records: Records, version: int) -> TableResult:
        return TableResult(
            table=self._source.name,
            mode=mode,
            rows=files.rows,
            seconds=time.monotonic() - self._began,
            version=version,
            committed=version != self._version_before,
            receipt=records.receipt,
        )


def _local_folder(to: str | PathLike[str]) -> Path:
    if REMOTE.match(fspath(to)):
        raise ConfigurationError(
            f"{to} is not a local folder, and lakeflow-redis lands in these only"
        )
    return Path(to)
