"""Quarantine: telling the rows that are UTF-8 from those that are not.

Rows are read as bytes (`value_type=binary`), so that none of them can end the read, and become
text here.
"""

import pyarrow as pa

REJECTED = pa.schema(
    [
        pa.field("key_name", pa.binary()),
        pa.field("column", pa.string(), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
        pa.field("row", pa.map_(pa.string(), pa.binary()), nullable=False),
    ]
)
"""What is known of a rejected row: its key, the first column that is no text, why, and all of its
values by column, as bytes (numbers as their decimal digits)."""


class Decoder:
    """Gives the rows of binary record batches as text.

    Args:
        wanted: the columns as they are to be, with strings.
        read: the columns as they are read, with binary ones.
    """

    def __init__(self, wanted: pa.Schema, read: pa.Schema) -> None:
        self._wanted = wanted
        self._texts = [
            number
            for number, (field, given) in enumerate(zip(wanted, read, strict=True))
            if pa.types.is_string(field.type) and pa.types.is_binary(given.type)
        ]

    def decode(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
        """Split a batch.

        Returns:
            The rows that are text, as `wanted`, and the others as `REJECTED`, or None.
        """
        try:
            return self._as_text(batch), None
        except pa.ArrowInvalid:
            bad = self._causes(batch)
        chosen = pa.array([number not in bad for number in range(batch.num_rows)])
        rejected = batch.take(pa.array(bad, pa.int64()))
        return self._as_text(batch.filter(chosen)), _rejected(rejected, list(bad.values()))

    def _as_text(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            column.cast(pa.string()) if number in self._texts else column
            for number, column in enumerate(batch.columns)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._wanted)

    def _causes(self, batch: pa.RecordBatch) -> dict[int, tuple[str, str]]:
        """The column and the cause by row, of rows that are no text; in the rows' order."""
        found: dict[int, tuple[str, str]] = {}
        for number in self._texts:
            name = batch.schema.names[number]
            for row, value in enumerate(batch.column(number).to_pylist()):
                if row not in found and (cause := _cause(value)):
                    found[row] = (name, cause)
        return dict(sorted(found.items()))


def _cause(value: bytes | None) -> str | None:
    try:
        (value or b"").decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None


def _rejected(batch: pa.RecordBatch, causes: list[tuple[str, str]]) -> pa.RecordBatch:
    """Rows in the form of `REJECTED`."""
    names = batch.schema.names
    rows, width = batch.num_rows, len(names)
    cells = pa.concat_arrays([_as_bytes(column) for column in batch.columns])
    by_row = [number * rows + row for row in range(rows) for number in range(width)]
    values = pa.MapArray.from_arrays(
        pa.array(range(0, len(by_row) + 1, width), pa.int32()),
        pa.array(names * rows, pa.string()),
        cells.take(pa.array(by_row, pa.int64())),
    )
    keys = batch.column("key_name") if "key_name" in names else pa.nulls(rows, pa.binary())
    columns, reasons = zip(*causes, strict=True)
    return pa.RecordBatch.from_arrays(
        [_as_bytes(keys), pa.array(columns), pa.array(reasons), values], schema=REJECTED
    )


def _as_bytes(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type):
        return column
    return column.cast(pa.string()).cast(pa.binary())
