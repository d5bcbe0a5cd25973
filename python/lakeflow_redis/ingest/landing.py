"""Landing tables: what one run of `ingest` reads, writes and commits."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from deltalake import Transaction

from lakeflow_redis._core import LakeflowConnect
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
    """From the beginning of the run to this table's commit."""
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

    All tables are read in one go, which scans the server's keys once, and then committed one
    after the other. A snapshot table is replaced, in one commit. `streams` is appended to, from
    where the last committed run ended, by one read (of which `max_records_per_batch` is the
    most), and each entry lands once even if a run is killed: before the commit,
    `<to>/_lakeflow/<table>/<n>.json` says which range it holds, and the commit carries the
    application transaction `lakeflow-redis/<table>`, version n. Where nothing is new, nothing is
    committed. A table that has no rows yet is made all the same.

    Memory is bounded by a few record batches. A read that fails commits nothing and leaves no
    files; where a commit fails, those before it have landed. Files that a commit replaced stay
    for time travel, and those of a killed run, or of a commit that failed, as orphans, until
    `DeltaTable.vacuum()` removes them.

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
    """As `ingest`, but commits each table when its result is asked for.

    What `ingest` finds before it reads anything is found, and raised, by this call already. All
    are read when the first result is asked for; what is not asked for does not land.
    """
    lake = _local_folder(to)
    check_lake(lake)
    names = connector.list_tables() if tables is None else list(dict.fromkeys(tables))
    landings = [_Landing(connector, lake, name, table_options) for name in names]
    return _land(connector, landings, table_options, on_progress)


def _land(
    connector: LakeflowConnect,
    landings: list["_Landing"],
    options: Mapping[str, str] | None,
    on_progress: OnProgress | None,
) -> Iterator[TableResult]:
    if not landings:
        return
    began = time.monotonic()
    starts = {landing.table: landing.start for landing in landings}
    batches, ends = connector.read_tables([*starts], starts, options)
    with ExitStack() as uncommitted:
        files: dict[str, DataFiles] = {}
        for landing in landings:
            files[landing.table] = landing.data_files()
            uncommitted.enter_context(files[landing.table])
        for table, batch in batches:
            files[table].write(batch)
            if on_progress is not None:
                on_progress(table, files[table].rows)
        for landing in landings:
            landed = files[landing.table]
            landed.finish()
            version = landing.commit(landed, ends[landing.table])
            yield TableResult(
                table=landing.table,
                mode=landing.mode,
                rows=landed.rows,
                seconds=time.monotonic() - began,
                version=version,
                committed=version != landing.version_before,
                receipt=batches.receipts[landing.table],
            )


class _Landing:
    """One table's place in the lake, and what is to become of what is there."""

    def __init__(
        self,
        connector: LakeflowConnect,
        lake: Path,
        table: str,
        options: Mapping[str, str] | None,
    ) -> None:
        schema = pa.schema(connector.get_table_schema(table, options))
        ingestion_type = connector.read_table_metadata(table, options)["ingestion_type"]
        self.table = table
        self.mode: Mode = "append" if ingestion_type == "append" else "replace"
        self._target = LakeTable(lake, table, schema)
        self.version_before = self._target.version
        self._app_id = f"lakeflow-redis/{table}"
        self._log = OffsetLog(self._target.own_folder)
        self._last: int | None = None
        self.start: dict[str, Any] | None = None
        """Where the last committed run ended."""
        if self.mode == "append":
            self._last = self._target.transaction_version(self._app_id)
            self.start = None if self._last is None else self._log.end_of(self._last)

    def data_files(self) -> DataFiles:
        """Make room for the rows to come."""
        self._target.claim()
        return DataFiles(self._target.folder, self._target.schema)

    def commit(self, files: DataFiles, end: Mapping[str, Any]) -> int:
        """Commit what was read up to an offset; returns the Delta table's version."""
        if self.mode == "replace":
            return self._target.commit(files.take(), "overwrite")
        version = self.version_before
        # Also where the offset alone has moved: past rows that were skipped, or since a stream
        # that was seen to be gone is forgotten.
        if version is None or files.rows or end != self.start:
            # After the rows and before the commit: an entry that a commit names is whole,
            # and covers rows that were handed over.
            transaction = Transaction(self._app_id, self._log.append(self._last, self.start, end))
            version = self._target.commit(files.take(), "append", transaction)
        return version


def _local_folder(to: str | PathLike[str]) -> Path:
    if REMOTE.match(fspath(to)):
        raise ConfigurationError(
            f"{to} is not a local folder, and lakeflow-redis lands in these only"
        )
    return Path(to)
