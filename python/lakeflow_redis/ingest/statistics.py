"""A data file's statistics, in the form in which a Delta commit carries them."""

import json
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SHORT = 32
"""Characters of a text that stand in a bound, as in Delta's own writers."""

SURROGATES = range(0xD800, 0xE000)
"""Codes that are no characters, and that no UTF-8 has."""


def statistics_of(path: Path) -> str:
    """The per-file statistics of the Delta protocol, from a Parquet file's own footer.

    Returns:
        JSON with `numRecords`, `nullCount` of every column, and `minValues` and `maxValues`, by which
        readers skip files: of all columns but binary ones, or of none. Where some columns have bounds
        and others with values have not, deltalake takes it that these hold nothing, and its
        `to_pyarrow_dataset` gives no rows where one looks for theirs.
    """
    with path.open("rb") as file:  # For pyarrow takes some paths for URLs.
        footer = pq.read_metadata(file)
    fields = footer.schema.to_arrow_schema()
    nulls: dict[str, int] = {}
    bounds: dict[str, tuple[Any, Any] | None] = {}
    for index, field in enumerate(fields):
        groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
        found = [group.column(index).statistics for group in groups]
        nulls[field.name] = sum(each.null_count for each in found)
        filled = [each for each in found if each.num_values]
        if filled and not pa.types.is_binary(field.type):
            bounds[field.name] = _bounds(filled)
    said: dict[str, Any] = {"numRecords": footer.num_rows, "nullCount": nulls}
    if None not in bounds.values():
        said["minValues"] = {name: bound[0] for name, bound in bounds.items() if bound}
        said["maxValues"] = {name: bound[1] for name, bound in bounds.items() if bound}
    # As it is: deltalake takes characters from U+100000 on for others where they are escaped.
    return json.dumps(said, ensure_ascii=False)


def _bounds(filled: Sequence[pq.Statistics]) -> tuple[Any, Any] | None:
    # Parquet has none of texts of more than 4 kB.
    if not all(each.has_min_max for each in filled):
        return None
    low, high = _low(min(each.min for each in filled)), _high(max(each.max for each in filled))
    return None if low is None or high is None else (low, high)


def _low(value: Any) -> int | float | str | None:
    """What is not beyond a value, as the protocol has it."""
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, str):
        return value[:SHORT]
    return value if math.isfinite(value) else None


def _high(value: Any) -> int | float | str | None:
    """What a value is not beyond."""
    if isinstance(value, datetime):
        return _moment(value + timedelta(milliseconds=1) if value.microsecond % 1_000 else value)
    if isinstance(value, str):
        return value if len(value) <= SHORT else _next(value[:SHORT])
    return value if math.isfinite(value) else None


def _moment(value: datetime) -> str:
    """The protocol knows moments to the millisecond."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _next(text: str) -> str | None:
    """A text that comes after all those which begin with this one; None where there is none."""
    for place in reversed(range(len(text))):
        code = ord(text[place]) + 1
        if code <= sys.maxunicode:
            return text[:place] + chr(SURROGATES.stop if code in SURROGATES else code)
    return None
