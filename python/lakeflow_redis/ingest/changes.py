"""What differs between the rows that were read and those that are in the lake.

By DuckDB, which joins more rows than fit into memory: what does not fit goes to the disk.
"""
# ruff: noqa: S608 - names of columns are quoted, and all else stands here.

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.model import Changes
from lakeflow_redis.ingest.positions import FILE, ROW, numbered, numbered_schema

MEMORY_BYTES = 256 * 2**20
"""What DuckDB may hold at a time, up to some millions of rows."""

MEMORY_BYTES_PER_ROW = 16
"""And from then on. With half of it, it gives up a join for want of memory, however much disk there is."""

THREADS = 2
"""Each wants a share of that memory, which would not do for all cores of a large machine."""

DIGESTED_BYTES = 32
"""From so many bytes on a name or value is compared by its SHA-256. That has as many, so that nothing
shorter can be taken for one."""

OBSERVED = {"scanned_at", "collected_at", "idle_time_seconds"}
"""Columns that are of the reading and not of what was read: no row is changed because of them."""

COUNTDOWN = "ttl_seconds"
"""A column that is another one in each read; what counts is whether a key expires."""

AGAIN_SECONDS = 0.1
"""DuckDB does not hear that it is to stop if it has not begun, and is told again after this time."""

T = TypeVar("T")

Side = Literal["new", "old"]
"""The rows that were read, or those that are there."""


class Comparison:
    """Compares rows that were read with those that are there, by primary key.

    A context manager, with a database of its own. That knows rows by their place (see `positions`) and
    holds no large values, so that memory does not depend on these.

    Args:
        folder: a local folder for what does not fit into memory.
        rows: how many were read.
        schema: their columns.
        primary_keys: the columns by which rows are the same; none of them is null.
        uncounted: further columns that do not count.
    """

    def __init__(
        self,
        folder: Path,
        rows: int,
        schema: pa.Schema,
        primary_keys: Sequence[str],
        uncounted: frozenset[str] = frozenset(),
    ) -> None:
        self._schema = schema
        self._keys = list(primary_keys)
        left_out = OBSERVED | uncounted | set(primary_keys)
        self._content = [name for name in schema.names if name not in left_out]
        self._rows = rows
        memory = max(MEMORY_BYTES, MEMORY_BYTES_PER_ROW * rows)
        self._database = duckdb.connect(
            config={
                "memory_limit": f"{memory}B",
                "threads": THREADS,
                "temp_directory": str(folder / "spilled"),
                "preserve_insertion_order": "false",
            }
        )
        # In a notebook it would draw its own.
        self._database.execute("SET enable_progress_bar = false")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def take(self, files: Iterable[object], *, may_repeat: bool) -> int:
        """Take the rows that were read, and see that each primary key is there once.

        Args:
            files: where they are.
            may_repeat: whether a key may have been read at several moments, so that a row can come
                twice; the last one counts then.

        Returns:
            How many rows do not count.

        Raises:
            LakeError: rows have the same primary key, and not because of that.
        """
        self._stream(files, self._schema, f"CREATE TABLE new AS {self._digested()}")
        keys = ", ".join(map(_quoted, self._keys))
        ((repeated,),) = self._execute(
            "SELECT coalesce(sum(n - 1), 0)::BIGINT "
            f"FROM (SELECT count(*) AS n FROM new GROUP BY {keys})"
        )
        if repeated and not may_repeat:
            (same,) = self._execute(
                f"SELECT {keys} FROM new GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
            )
            raise LakeError(
                f"{repeated} rows have the primary key of another one, such as {same}, so that "
                "they cannot be told apart. With `invalid_utf8=replace` different names become "
                "the same; `value_type=binary` keeps them apart"
            )
        if repeated:
            self._rows -= repeated
            self._execute(
                f"CREATE TABLE last AS SELECT DISTINCT ON ({keys}) * FROM new "
                f"ORDER BY {FILE} DESC, {ROW} DESC"
            )
            self._execute("DROP TABLE new")
            self._execute("ALTER TABLE last RENAME TO new")
        return int(repeated)

    def with_those(
        self, files: Iterable[object], schema: pa.Schema, ended: str | None = None
    ) -> Changes:
        """Compare with rows that are there, and remember what differs.

        Args:
            files: where they are.
            schema: their columns, among which are those of the rows that were read.
            ended: a column that is null in the rows that count; None where all do.

        Raises:
            LakeError: rows that are there have the same primary key.
        """
        same = " AND ".join(f"new.{key} = old.{key}" for key in map(_quoted, self._keys))
        differs = [_differs(_quoted(name), name == COUNTDOWN) for name in self._content]
        there = self._stream(
            files,
            schema,
            f"""
            CREATE TABLE changes AS
            SELECT new.{FILE} AS new_file, new.{ROW} AS new_row,
                old.{FILE} AS old_file, old.{ROW} AS old_row
            FROM new FULL JOIN ({self._digested()}) AS old ON {same}
            WHERE new.{ROW} IS NULL OR old.{ROW} IS NULL OR {" OR ".join(differs) or "FALSE"}
            """,
            ended,
        )
        ((found, inserted, deleted),) = self._execute(
            "SELECT count(*), count(*) FILTER (old_row IS NULL), "
            "count(*) FILTER (new_row IS NULL) FROM changes"
        )
        repeated = (there - deleted) - (self._rows - inserted)
        if repeated:
            raise LakeError(
                f"{repeated} rows in the lake have the primary key of another one, so that they "
                "cannot be told apart; land the table by `replace` once, or under another name"
            )
        return Changes(inserted=inserted, updated=found - inserted - deleted, deleted=deleted)

    def files(self, side: Side) -> list[int]:
        """The numbers of the files with rows that differ."""
        found = self._execute(
            f"SELECT DISTINCT {side}_file FROM changes WHERE {side}_row IS NOT NULL ORDER BY ALL"
        )
        return [number for (number,) in found]

    def rows(self, side: Side, file: int) -> pa.ChunkedArray:
        """The numbers of the rows of a file that differ."""
        sql = f"SELECT {side}_row FROM changes WHERE {side}_file = {file}"
        return self._interruptibly(lambda: self._database.sql(sql).to_arrow_table().column(0))

    def _stream(
        self,
        files: Iterable[object],
        schema: pa.Schema,
        sql: str,
        ended: str | None = None,
    ) -> int:
        """Run a statement over `streamed`, the rows of files that have not ended; gives their number."""
        columns = [*self._keys, *self._content, *([ended] if ended else ())]
        count = 0
        raised: list[BaseException] = []

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal count
            try:
                for batch in numbered(files, schema, columns):
                    current = batch.filter(pc.is_null(batch.column(ended))) if ended else batch
                    count += current.num_rows
                    yield current
            except BaseException as error:
                raised.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(numbered_schema(schema, columns), batches())
        self._database.register("streamed", reader)
        try:
            self._execute(sql)
        except duckdb.Error:
            if raised:  # Such as a file that cannot be read, of which DuckDB makes a text.
                raise raised[0] from None
            raise
        self._database.unregister("streamed")
        return count

    def _digested(self) -> str:
        """A query of `streamed`, with digests for what is large."""
        stored = numbered_schema(self._schema, [*self._keys, *self._content])
        columns = [_digest(field) for field in stored]
        return f"SELECT {', '.join(columns)} FROM streamed"

    def _execute(self, sql: str) -> list[Any]:
        return self._interruptibly(lambda: self._database.execute(sql).fetchall())

    def _interruptibly(self, work: Callable[[], T]) -> T:
        """Let DuckDB work in another thread: in this one it would swallow Ctrl-C."""
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(work)
            try:
                return result.result()
            finally:
                while not result.done():
                    self._database.interrupt()
                    wait([result], AGAIN_SECONDS)


@contextmanager
def comparing(comparison: Comparison) -> Iterator[Comparison]:
    """Use a comparison, and put DuckDB's errors into our words.

    Raises:
        LakeError: the rows cannot be compared, as on a full disk.
    """
    try:
        with comparison:
            yield comparison
    except duckdb.Error as error:
        raise LakeError(
            f"the rows could not be compared with those in the lake: {error}"
        ) from error


def _digest(field: pa.Field) -> str:
    name = _quoted(field.name)
    if not pa.types.is_binary(field.type):
        return name
    return (
        f"CASE WHEN octet_length({name}) < {DIGESTED_BYTES} THEN {name} "
        f"ELSE unhex(sha256({name})) END AS {name}"
    )


def _differs(column: str, countdown: bool) -> str:  # noqa: FBT001 - it is a column's kind.
    if countdown:
        return f"(new.{column} IS NULL) <> (old.{column} IS NULL)"
    return f"new.{column} IS DISTINCT FROM old.{column}"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
