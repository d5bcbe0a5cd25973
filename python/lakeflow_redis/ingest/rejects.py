"""The table `_lakeflow_rejects`: rows that are no text, as bytes, with their cause."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pyarrow as pa

from lakeflow_redis.ingest.data_files import DataFiles
from lakeflow_redis.ingest.decoding import REJECTED
from lakeflow_redis.ingest.landing import LastRun, RunId
from lakeflow_redis.ingest.own_tables import append_files, delete_rows
from lakeflow_redis.ingest.store import Store

TABLE = "_lakeflow_rejects"

SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("rejected_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("after_version", pa.int64(), nullable=False),
        *REJECTED,
    ]
)
"""`name`: the table in the lake that a row would have been of. `after_version`: of a table that is
appended to, the number of the last range that had landed before; else -1."""

NONE = -1
"""In the place of `after_version` where nothing had landed, or the table is read whole."""


class Rejects:
    """Collects the rejected rows of one table's read, and puts them in the lake.

    They land before the table itself does, so that no row is nowhere. Where the table then does not land,
    they stay until a later run has landed: till then nobody knows whether it was not this one after all.

    Args:
        lake: the lake's folder.
        run: the run that rejects.
        name: the table's name in the lake.
        after_version: see `SCHEMA`.
        last_run: by which run the range of this number landed, if any.
    """

    def __init__(
        self,
        lake: Store,
        run: RunId,
        name: str,
        after_version: int | None,
        last_run: LastRun | None,
    ) -> None:
        self._store = lake.within(TABLE)
        self._constants = {
            "run_id": run.id,
            "rejected_at": run.started_at,
            "name": name,
            "after_version": _number(after_version),
        }
        self._of_this_table = f"name = '{name}'"
        self._beside_ours = _others(run.id, after_version)
        # Of a run that landed and was killed before it could see to them.
        self._left = None if last_run is None else _others(last_run.id, last_run.after_version)
        self._room = ExitStack()
        self._files: DataFiles | None = None

    @property
    def rows(self) -> int:
        """Rows collected so far."""
        return 0 if self._files is None else self._files.rows

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Make room for rows, if any come; what has not been put into the lake at the end is removed."""
        with ExitStack() as self._room:
            yield

    def add(self, rejected: pa.RecordBatch) -> None:
        """Take rejected rows, as `REJECTED`.

        Raises:
            OSError: they cannot be written.
        """
        if self._files is None:
            folder = self._room.enter_context(self._store.workplace())
            self._files = self._room.enter_context(DataFiles(folder, SCHEMA, None))
        constants = [
            pa.repeat(pa.scalar(value, SCHEMA.field(name).type), rejected.num_rows)
            for name, value in self._constants.items()
        ]
        columns = [*constants, *rejected.columns]
        self._files.write(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))

    def land(self) -> None:
        """Put the rows into the lake, in one commit, where there are any.

        Raises:
            LakeError: that failed.
            OSError: the local disk failed.
        """
        files = self._files
        if files is not None and files.rows:
            files.finish()
            append_files(self._store, SCHEMA, files.paths)

    def settle(self, *, landed: bool) -> None:
        """Remove what runs have put there whose table has not landed, as is certain by now.

        Args:
            landed: whether this one's has, so that no other's that began where it did still can.

        Raises:
            LakeError: that failed.
        """
        stale = [self._left] if self._left else []
        if landed:
            stale.append(self._beside_ours)
        if stale:
            delete_rows(self._store, f"{self._of_this_table} AND ({' OR '.join(stale)})")


def _number(after_version: int | None) -> int:
    return NONE if after_version is None else after_version


def _others(run_id: str, after_version: int | None) -> str:
    return f"(after_version = {_number(after_version)} AND run_id <> '{run_id}')"
