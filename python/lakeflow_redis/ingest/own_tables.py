"""The lake's own tables, to which several runs may write at once."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from lakeflow_redis.ingest.add_actions import place_files
from lakeflow_redis.ingest.columns import fit
from lakeflow_redis.ingest.delta_table import NO_RETRIES, is_delta_table
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.store import Store

ATTEMPTS = 5
"""Until a write is given up: one is only in another's way where the table is made, or gets columns."""

T = TypeVar("T")


def append_rows(store: Store, rows: pa.Table) -> DeltaTable:
    """Append to a table, which is made if need be, in one commit.

    Args:
        store: the table's folder.
        rows: a few; columns that the table lacks are added.

    Raises:
        LakeError: that failed.
    """

    def append() -> DeltaTable:
        table = _opened_or_made(store, rows.schema)
        write_deltalake(table, rows, mode="append", schema_mode="merge")
        return table

    return _again(store, append)


def append_files(store: Store, schema: pa.Schema, files: Sequence[Path]) -> None:
    """Append rows that are in complete Parquet files, which become the table's, in one commit.

    By `append_rows`, deltalake would hold much of them in memory.

    Args:
        store: the table's folder; the table is made if need be.
        schema: the files' columns; those that the table lacks are added.
        files: they are gone from where they were afterwards.

    Raises:
        LakeError: that failed.
        OSError: likewise, in a folder of this machine.
    """
    added = place_files(store, files, _number_of_rows)

    def append() -> None:
        table = _opened_or_made(store, schema)
        differs = fit(table.schema(), Schema.from_arrow(schema))
        if differs.refused:
            raise LakeError(
                f"{store} has other columns than it was made with: {differs.refused[0]}"
            )
        if differs.added:
            table.alter.add_columns(differs.added)
        table.create_write_transaction([*added], "append", table.schema())

    _again(store, append)


def _number_of_rows(file: Path) -> str:
    with file.open("rb") as content:  # For pyarrow takes some paths for URLs.
        return json.dumps({"numRecords": pq.read_metadata(content).num_rows})


def delete_rows(store: Store, which: str) -> None:
    """Delete rows of a table, if it is there, by a condition in SQL; without such rows there is no commit.

    Raises:
        LakeError: that failed.
    """
    if is_delta_table(store):
        _again(
            store,
            lambda: _opened(store).delete(
                which, commit_properties=CommitProperties(max_commit_retries=NO_RETRIES)
            ),
        )


def _again(store: Store, write: Callable[[], T]) -> T:
    with store.failing(f"the commit to {store} failed"):
        for _ in range(ATTEMPTS - 1):
            try:
                return write()
            except CommitFailedError:
                continue  # Another run was faster; by now it is done.
        return write()


def _opened_or_made(store: Store, schema: pa.Schema) -> DeltaTable:
    if not is_delta_table(store):
        try:
            return DeltaTable.create(store.uri, schema, storage_options=store.storage_options)
        except DeltaError:
            # Unless another run has made it meanwhile, which is as good.
            if not is_delta_table(store):
                raise
    return _opened(store)


def _opened(store: Store) -> DeltaTable:
    return DeltaTable(store.uri, storage_options=store.storage_options)
