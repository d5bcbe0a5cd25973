"""Rows by where they are: in which of some Parquet files, and in which row of it.

So that of two large sets of rows only keys and digests have to be compared in one place, and no value is
ever changed by being copied: the rows themselves stay in their files until they are wanted.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FILE = "_file"
"""The number of a file among those that are read."""

ROW = "_row"
"""The number of a row in its file."""

PLACE = pa.schema([pa.field(FILE, pa.int32()), pa.field(ROW, pa.int64())])

BATCH_ROWS = 65_536
"""Rows of a record batch, as reads give them."""

BATCH_BYTES = 16 * 2**20
"""Bytes of a record batch, likewise."""


def read(
    file: object, schema: pa.Schema, columns: Sequence[str] | None = None
) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """The rows of a file in their order, with the number of each.

    In this thread alone: where threads of pyarrow's read a file of Python's, and an error or Ctrl-C ends
    the process in the middle of that, it dies by SIGABRT.

    Args:
        file: a path, or a file that can be read at any place.
        schema: the columns that it should have; those that it lacks are null.
        columns: the names of those that are wanted; None for all.
    """
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    source = pa.OSFile(str(file)) if isinstance(file, Path) else file
    with pq.ParquetFile(source) as parquet:
        there = [name for name in wanted.names if name in parquet.schema_arrow.names]
        first = 0
        for batch in parquet.iter_batches(BATCH_ROWS, columns=there, use_threads=False):
            ones = pa.repeat(pa.scalar(1, pa.int64()), batch.num_rows)
            values = [
                batch.column(field.name).cast(field.type)
                if field.name in there
                else pa.nulls(batch.num_rows, field.type)
                for field in wanted
            ]
            yield (
                pa.RecordBatch.from_arrays(values, schema=wanted),
                pc.cumulative_sum(ones, start=first - 1),
            )
            first += batch.num_rows


def numbered(
    files: Iterable[object], schema: pa.Schema, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of all rows, as `numbered_schema`, with the place of each row."""
    wanted = numbered_schema(schema, columns)
    for number, file in enumerate(files):
        for batch, rows in read(file, schema, columns):
            place = [pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows), rows]
            values = [
                column.view(kind)
                for column, kind in zip(batch.columns, wanted.types[2:], strict=True)
            ]
            yield pa.RecordBatch.from_arrays([*place, *values], schema=wanted)


def numbered_schema(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """`PLACE` and the columns, as what they are stored as: bytes and whole numbers.

    So that rows differ if and only if their bytes do: -0.0 is not 0.0, and no text is another one
    because it looks the same.
    """
    return pa.schema([*PLACE, *(pa.field(name, _stored(schema, name)) for name in columns)])


def _stored(schema: pa.Schema, name: str) -> pa.DataType:
    kind = schema.field(name).type
    if pa.types.is_string(kind):
        return pa.binary()
    return pa.int64() if pa.types.is_float64(kind) else kind


def gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches as large as reads give them, of which each becomes a row group."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        waiting.append(batch)
        rows = sum(each.num_rows for each in waiting)
        if rows >= BATCH_ROWS or sum(each.nbytes for each in waiting) >= BATCH_BYTES:
            yield _together(waiting)
            waiting.clear()
    if waiting:
        yield _together(waiting)


def _together(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch
