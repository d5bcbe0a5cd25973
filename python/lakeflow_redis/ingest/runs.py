"""The table `_lakeflow_runs`: a row for each table that a run was to land."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError

from lakeflow_redis._core import __version__
from lakeflow_redis.ingest.delta_table import NO_RETRIES, is_delta_table
from lakeflow_redis.ingest.landing import RunId
from lakeflow_redis.ingest.model import TableResult
from lakeflow_redis.ingest.own_tables import append_rows
from lakeflow_redis.ingest.store import Store

TABLE = "_lakeflow_runs"

OFFSET_CHARACTERS = 65_536
"""An offset that is longer is left out: the offset log has it, and the table would grow by it."""

COMPACTED_AT = 100
"""Small files, one for each commit, of which one is made."""

SMALL_BYTES = 2**20

_COUNTS = (
    *("keys_scanned", "bytes", "keys_gone", "keys_changed_type", "keys_denied", "keys_paged"),
    *("keys_inconsistent", "duplicates_dropped", "rows_skipped", "values_replaced", "retries"),
)
"""What is taken from a read's receipt as it is there."""

SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("started_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("table", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("start_offset", pa.string()),
        pa.field("end_offset", pa.string()),
        pa.field("offset_version", pa.int64()),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("rows_inserted", pa.int64()),
        pa.field("rows_updated", pa.int64()),
        pa.field("rows_deleted", pa.int64()),
        pa.field("rows_rejected", pa.int64(), nullable=False),
        *(pa.field(name, pa.int64()) for name in _COUNTS),
        pa.field("gaps", pa.string()),
        pa.field("warnings", pa.string()),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("server_cpu_seconds", pa.float64()),
        pa.field("version", pa.int64()),
        pa.field("lakeflow_redis_version", pa.string(), nullable=False),
        pa.field("server_version", pa.string()),
    ]
)
"""`status`: `landed`, `unchanged` or `failed`. Offsets, `gaps` and `warnings` are JSON. Where the read failed,
all that it would have said is null. `server_cpu_seconds`: the CPU time of the servers during the read, on whoever's
behalf; tables that were read in one go show the same."""


def append_runs(lake: Store, run: RunId, results: Sequence[TableResult]) -> None:
    """Append a row for each result, in one commit.

    Raises:
        LakeError: that failed.
    """
    if not results:
        return
    rows = [_row(run, result) for result in results]
    store = lake.within(TABLE)
    table = append_rows(store, pa.Table.from_pylist(rows, SCHEMA))
    with store.failing(f"{store} could not be compacted"):
        _compact(table)


def _compact(table: DeltaTable) -> None:
    """Make one file of the small ones, where there are many, and remove what Delta keeps no longer (a week).

    Not by `DeltaTable.optimize`: where two do that at once, all rows are there twice.
    """
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    small = [file for file in files if file["size_bytes"] < SMALL_BYTES]
    if len(small) < COMPACTED_AT:
        return
    newer = f"started_at >= '{min(file['min.started_at'] for file in small).isoformat()}'"
    rows = QueryBuilder().register("runs", table).execute(f"SELECT * FROM runs WHERE {newer}")  # noqa: S608
    try:
        write_deltalake(
            table,
            pa.table(rows),
            mode="overwrite",
            predicate=newer,
            commit_properties=CommitProperties(max_commit_retries=NO_RETRIES),
        )
    except CommitFailedError:
        return  # Another run has written meanwhile. One of the next will see to it.
    table.vacuum(dry_run=False)


def read_runs(lake: Store, last: int) -> pa.Table:
    """The rows of the last runs, newest first; none where no run was ever there.

    Args:
        lake: the lake's folder.
        last: how many runs at most; each has a row for each table.
    """
    store = lake.within(TABLE)
    if not is_delta_table(store):
        return SCHEMA.empty_table()
    with store.failing(f"{store} cannot be read as a Delta table"):
        table = DeltaTable(store.uri, storage_options=store.storage_options)
        # By deltalake's own engine, which sorts and stops in Rust. After a pyarrow dataset of a Delta table was read,
        # one process in twenty is aborted as it exits ("terminate called without an active exception").
        found = (
            QueryBuilder()
            .register("runs", table)
            .execute(
                "SELECT * FROM runs WHERE run_id IN (SELECT run_id FROM runs GROUP BY run_id "  # noqa: S608
                f"ORDER BY max(started_at) DESC, run_id LIMIT {int(last)}) "
                "ORDER BY started_at DESC, run_id, name"
            )
        )
        # A column that came with a later version is missing in a lake that only earlier ones wrote to.
        rows = pa.table(found).to_pylist()
    return pa.Table.from_pylist(rows, SCHEMA)


def status(result: TableResult) -> str:
    """`landed`, `unchanged` or `failed`."""
    if result.error is not None:
        return "failed"
    return "landed" if result.committed else "unchanged"


def _row(run: RunId, result: TableResult) -> dict[str, Any]:
    changes = {} if result.changes is None else asdict(result.changes)
    return {
        "run_id": run.id,
        "started_at": run.started_at,
        "table": result.table,
        "name": result.name,
        "mode": result.mode,
        "status": status(result),
        "error": None if result.error is None else f"{type(result.error).__name__}: {result.error}",
        "start_offset": _offset(result.start),
        "end_offset": _offset(result.end),
        "offset_version": result.offset_version,
        "rows": result.rows,
        "rows_inserted": changes.get("inserted"),
        "rows_updated": changes.get("updated"),
        "rows_deleted": changes.get("deleted"),
        "rows_rejected": result.rejected,
        **{name: result.receipt.get(name) for name in _COUNTS},
        "gaps": _json(result.receipt.get("gaps")),
        "warnings": _json(result.receipt.get("warnings")),
        "seconds": result.seconds,
        "server_cpu_seconds": result.server_cpu_seconds,
        "version": result.version,
        "lakeflow_redis_version": __version__,
        "server_version": result.server_version,
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True)


def _offset(offset: Any) -> str | None:
    text = _json(offset)
    return text if text is None or len(text) <= OFFSET_CHARACTERS else None
