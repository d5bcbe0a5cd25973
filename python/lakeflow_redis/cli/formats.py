"""The formats of `read`: what turns record batches into bytes, one class each.

Where a value has no form of its own in text (JSON, CSV):

- Binary columns are base64 (RFC 4648, section 4, with padding).
- In JSON, numbers that are not finite are the strings `Infinity`, `-Infinity` and `NaN`.

Both are as in the JSON mapping of Protocol Buffers. In CSV a null is an empty field and an
empty string a quoted one.
"""

import base64
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakeflow_redis.cli.screen import printable

CELL_CHARACTERS = 80
"""As much of a value as a table shows."""

UNLIMITED_WIDTH = 10_000
"""For a table that no terminal shows, so that nothing in it is cut off."""


class RowWriter(Protocol):
    """Takes batches, then `close`; afterwards all is written."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""

    def close(self) -> None:
        """Write what is held back and what ends the format. Also after an error."""


class JsonLines:
    """One JSON object a line."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._sink = sink
        floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        self._floats = floats

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch's rows."""
        for row in _binary_as_base64(batch).to_pylist():
            for name in self._floats:
                row[name] = _json_number(row[name])
            line = json.dumps(row, ensure_ascii=False, allow_nan=False)
            self._sink.write(line.encode() + b"\n")

    def close(self) -> None:
        """Write nothing: the last line is as any other."""


class Csv:
    """Comma-separated values, with a line of names first."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        empty = _binary_as_base64(pa.RecordBatch.from_pylist([], schema=schema))
        self._writer = csv.CSVWriter(sink, empty.schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch's rows."""
        self._writer.write_batch(_binary_as_base64(batch))

    def close(self) -> None:
        """Write what is buffered."""
        self._writer.close()


class Parquet:
    """A Parquet file, one row group a batch."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(sink, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class TextTable:
    """A table to look at: control characters spelled out, long values cut off."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._sink = sink
        self._table = Table(*schema.names)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch's rows."""
        for row in batch.to_pylist():
            self._table.add_row(*(_cell(value) for value in row.values()))

    def close(self) -> None:
        """Write the table, whose columns' widths are known only now."""
        seen = self._sink.isatty()
        console = Console(force_terminal=seen, width=None if seen else UNLIMITED_WIDTH)
        with console.capture() as text:
            console.print(self._table)
        self._sink.write(text.get().encode())


@contextmanager
def ending(writer: RowWriter) -> Iterator[RowWriter]:
    """Close a writer at the end, also after an error; but who interrupts waits for no table."""
    interrupted = False
    try:
        yield writer
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        if not (interrupted and isinstance(writer, TextTable)):
            writer.close()


FORMATS: dict[str, Callable[[BinaryIO, pa.Schema], RowWriter]] = {
    "table": TextTable,
    "json": JsonLines,
    "csv": Csv,
    "parquet": Parquet,
}
"""By the name that `--format` takes."""


def _binary_as_base64(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        pa.array(map(_base64, column.to_pylist()), pa.string())
        if pa.types.is_binary(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _json_number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _cell(value: Any) -> Text:
    if value is None:
        return Text("null", style="dim")
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    shown = printable(text[:CELL_CHARACTERS])
    return Text(shown + "…" if len(text) > CELL_CHARACTERS else shown)
