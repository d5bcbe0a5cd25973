"""One run: what it checks, reads and lands, and what it says of it."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from os import PathLike
from typing import Any
from uuid import uuid4

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.exceptions import ConfigurationError, LakeflowRedisError
from lakeflow_redis.ingest.delta_table import check_lake
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import Landed, RunId
from lakeflow_redis.ingest.model import Lake, Mode, OnProgress, TableResult, TableSpec
from lakeflow_redis.ingest.observed import observe
from lakeflow_redis.ingest.reads import Job, Read, shared
from lakeflow_redis.ingest.rejects import Rejects
from lakeflow_redis.ingest.runs import append_runs, status
from lakeflow_redis.ingest.server_facts import facts, facts_after
from lakeflow_redis.ingest.stores import store_of
from lakeflow_redis.ingest.ways import landing

_LOG = logging.getLogger("lakeflow_redis.ingest")


def ingest(  # noqa: PLR0913 - the settings of a run, by name.
    connector: LakeflowConnect,
    to: str | PathLike[str] | Lake,
    tables: Iterable[str | TableSpec] | None = None,
    table_options: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    mode: Mode | None = None,
    evolve: bool = False,
    quarantine: bool = False,
) -> list[TableResult]:
    """Land tables in a lake, each at `<to>/<name>`.

    Tables with the same options are read in one go, which scans the server's keys once, and then committed one after the
    other. A snapshot table is replaced, in one commit, or by its mode merged or made a history. `streams` is appended to, from
    where the last committed run ended, by one read (of which `max_records_per_batch` is the
    most), and each entry lands once even if a run is killed: before the commit,
    `<to>/_lakeflow/<name>/<n>.json` says which range it holds, and the commit carries the
    application transaction `lakeflow-redis/<name>`, version n. Where nothing is new, nothing is
    committed. A table that has no rows yet is made all the same.

    A row for each table is appended to the Delta table `<to>/_lakeflow_runs`, also where it failed.

    Memory is bounded by a few record batches. A read that fails commits nothing and leaves no
    files. Files that a commit replaced stay for time travel, and those of a run that was killed just before its
    commit as orphans, until `DeltaTable.vacuum()` removes them.

    Args:
        connector: what to read.
        to: a local folder, made if need be, a URL such as `s3://bucket/prefix`, or a `Lake`, which says more.
        tables: their names or `TableSpec`s, or None for all.
        table_options: options for reading each of them, over the connector's; a `TableSpec`'s own go over these.
        on_progress: hears of every batch that was written.
        mode: for snapshot tables whose spec says none; `replace` unless set.
        evolve: whether the columns of tables that are there may change: to those of the read where rows are
            replaced, and otherwise by columns that come or go.
        quarantine: whether rows with names or values that are not UTF-8 go, as bytes, to the Delta table
            `<to>/_lakeflow_rejects` instead of what `invalid_utf8` says.

    Returns:
        What was done, table by table.

    Raises:
        ConfigurationError: a table, option, name or mode is not valid, or the target holds something
            else or other columns. This is found for all tables before any is read.
        LakeError: a Delta table cannot be read or written, another run committed to it
            meanwhile, or its offset log is missing.
        LakeflowRedisError: a read failed; see `LakeflowConnect.read_table`.
        OSError: the target cannot be written to.

    Of what is found only when a table is read or committed, the first error is raised once the other
    tables have been tried; `ingest_each` gives all of them.
    """
    results = list(
        ingest_each(
            connector,
            to,
            tables,
            table_options,
            on_progress,
            mode=mode,
            evolve=evolve,
            quarantine=quarantine,
        )
    )
    for result in results:
        if result.error is not None:
            raise result.error
    return results


def ingest_each(  # noqa: PLR0913 - the settings of a run, by name.
    connector: LakeflowConnect,
    to: str | PathLike[str] | Lake,
    tables: Iterable[str | TableSpec] | None = None,
    table_options: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    mode: Mode | None = None,
    evolve: bool = False,
    quarantine: bool = False,
) -> Iterator[TableResult]:
    """As `ingest`, but gives each table's result when it has landed, or has failed to.

    What is wrong with what it was told is found, and raised, by this call already. Tables
    are read and committed as results are asked for; what is not asked for does not land.
    """
    lake = to if isinstance(to, Lake) else Lake(to)
    run = _Run(connector, lake, on_progress)
    specs = _specs(connector, tables, table_options, mode)
    jobs: list[Job] = []
    refused: list[TableResult] = []
    for spec in specs:
        try:
            jobs.append(run.job(spec, evolve=evolve, quarantine=quarantine))
        except LakeError as error:
            # Of this table alone, such as an offset log that is missing.
            refused.append(run.refused(spec, error))
    return run.land(jobs, refused)


def starts_of(  # noqa: PLR0913 - those of `ingest`.
    connector: LakeflowConnect,
    to: str | PathLike[str] | Lake,
    tables: Iterable[str | TableSpec] | None = None,
    table_options: Mapping[str, str] | None = None,
    *,
    mode: Mode | None = None,
    evolve: bool = False,
) -> dict[str, dict[str, Any] | None]:
    """From where a run of `ingest` with the same arguments would read, by the tables' names in the lake.

    None for a table that is read whole, or for the first time. Checks what `ingest` checks before it reads anything, and
    raises the same; writes nothing.
    """
    lake = to if isinstance(to, Lake) else Lake(to)
    run = _Run(connector, lake, None)
    specs = _specs(connector, tables, table_options, mode)
    landings = [run.job(spec, evolve=evolve, quarantine=False).landing for spec in specs]
    return {landing.place.name: landing.start for landing in landings}


class _Run:
    """The state of one run."""

    def __init__(
        self, connector: LakeflowConnect, lake: Lake, on_progress: OnProgress | None
    ) -> None:
        self._connector = connector
        self._format = lake.format
        self._store = store_of(lake)
        check_lake(self._store)
        self._on_progress = on_progress
        self._id = RunId(str(uuid4()), datetime.now(UTC))
        self._began = time.monotonic()

    def job(self, spec: TableSpec, *, evolve: bool, quarantine: bool) -> Job:
        """Look at a table's place, and write nothing."""
        if quarantine:
            # It says what becomes of them, and no column need take nulls.
            spec = replace(spec, options={**spec.options, "invalid_utf8": "replace"})
        way = landing(self._connector, self._store, self._format, spec, self._id, evolve=evolve)
        if not quarantine:
            return Job(spec, way, None)
        name = way.place.name
        rejects = Rejects(self._store, self._id, name, way.after_version, way.last_run)
        return Job(spec, way, rejects)

    def land(self, jobs: Sequence[Job], refused: Sequence[TableResult]) -> Iterator[TableResult]:
        """Read and commit, and say of each table what came of it."""
        results: list[TableResult] = []
        self._began = time.monotonic()
        landed = chain.from_iterable(map(self._land_together, shared(jobs)))
        try:
            for result in chain(refused, landed):
                results.append(result)
                observe(result)
                yield result
        finally:
            self._append_receipts(results)

    def _append_receipts(self, results: Sequence[TableResult]) -> None:
        try:
            append_runs(self._store, self._id, results)
        except LakeError as error:
            # Nothing else may be left to say what became of the tables.
            came_of = "; ".join(
                f"{result.name}: {status(result)}"
                + ("" if result.error is None else f" ({result.error})")
                for result in results
            )
            raise LakeError(f"{error}; by then, of the tables, {came_of}") from error

    def refused(self, spec: TableSpec, error: LakeError) -> TableResult:
        """What to say of a table whose place in the lake cannot be landed in."""
        mode = spec.mode or ("append" if _appends(self._connector, spec) else "replace")
        return TableResult(
            table=spec.table,
            name=spec.name or spec.table,
            mode=mode,
            seconds=time.monotonic() - self._began,
            error=error,
        )

    def _land_together(self, jobs: Sequence[Job]) -> Iterator[TableResult]:
        with ExitStack() as uncommitted:
            try:
                before = facts(self._connector)
                for job in jobs:
                    job.landing.begin()
                read = Read(self._connector, jobs)
                for job in jobs:
                    uncommitted.enter_context(job.landing)
                    if job.rejects is not None:
                        uncommitted.enter_context(job.rejects.collecting())
                self._take(read)
            except (LakeflowRedisError, OSError) as error:
                yield from (self._failed(job, error) for job in jobs)
                return
            after = facts_after(self._connector)
            cpu = before.cpu_until(after)
            for job in jobs:
                result = self._commit(job, read)
                yield replace(result, server_cpu_seconds=cpu, server_version=after.version)

    def _take(self, read: Read) -> None:
        for job, batch in read:
            job.landing.write(batch)
            if self._on_progress is not None:
                # The scan that they share has gone on for all of them.
                for each in read.jobs:
                    share = read.receipt_of(each)["share_scanned"]
                    self._on_progress(each.landing.place.name, each.landing.rows, share)

    def _commit(self, job: Job, read: Read) -> TableResult:
        receipt = read.receipt_of(job)
        end = read.end_of(job)
        try:
            if job.rejects is not None:
                job.rejects.land()
            landed = job.landing.land(end, receipt)
        except (LakeflowRedisError, OSError) as error:
            return replace(self._failed(job, error), end=end, receipt=receipt)
        _settle(job, landed)
        result = self._result(job, landed)
        return replace(result, rows=job.landing.rows, end=end, receipt=receipt)

    def _failed(self, job: Job, error: Exception) -> TableResult:
        return replace(self._result(job, Landed(None, committed=False)), error=error)

    def _result(self, job: Job, landed: Landed) -> TableResult:
        return TableResult(
            table=job.spec.table,
            name=job.landing.place.name,
            mode=job.landing.mode,
            rejected=0 if job.rejects is None else job.rejects.rows,
            changes=landed.changes,
            seconds=time.monotonic() - self._began,
            version=landed.version,
            committed=landed.committed,
            start=job.landing.start,
            offset_version=landed.offset_version,
        )


def _settle(job: Job, landed: Landed) -> None:
    """See to the rejects of runs that did not land, when it is no reason any more to fail."""
    if job.rejects is not None:
        try:
            # A table that is read whole lands also where it is the same as before.
            job.rejects.settle(landed=landed.committed or job.landing.mode != "append")
        except LakeError as error:
            _LOG.warning("rejects of runs that did not land stay until the next run: %s", error)


def _appends(connector: LakeflowConnect, spec: TableSpec) -> bool:
    metadata = connector.read_table_metadata(spec.table, spec.options)
    return metadata["ingestion_type"] == "append"


def _specs(
    connector: LakeflowConnect,
    tables: Iterable[str | TableSpec] | None,
    options: Mapping[str, str] | None,
    mode: Mode | None,
) -> list[TableSpec]:
    """The tables with all that is said for them together, and each name once.

    Raises:
        ConfigurationError: two tables are to have one name in the lake.
    """
    given = connector.list_tables() if tables is None else tables
    specs: dict[str, TableSpec] = {}
    for each in given:
        spec = TableSpec(each) if isinstance(each, str) else each
        spec = replace(spec, options={**(options or {}), **spec.options})
        if spec.mode is None and not _appends(connector, spec):
            spec = replace(spec, mode=mode)
        name = spec.name or spec.table
        if specs.setdefault(name, spec) != spec:
            raise ConfigurationError(
                f"two tables are to land as {name}; give one of them another `name`"
            )
    return list(specs.values())
