"""A data file's statistics, in the form in which a Delta commit carries them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def statistics_of(path: Path) -> str:
    """The per-file statistics of the Delta protocol, from a Parquet file's own footer.

    Returns:
        JSON with `numRecords`, `nullCount` of every column, and `minValues` and `maxValues` of
        the integer columns, by which readers skip files (`timestamp_ms`, say). Not of names and
        values: SCAN gives keys in no order, so that their ranges would let nothing be skipped.
    """
    footer = pq.read_metadata(path)
    columns = [_column(footer, index) for index in range(footer.num_columns)]
    bounded = [column for column in columns if "min" in column]
    return json.dumps(
        {
            "numRecords": footer.num_rows,
            "minValues": {column["name"]: column["min"] for column in bounded},
            "maxValues": {column["name"]: column["max"] for column in bounded},
            "nullCount": {column["name"]: column["nulls"] for column in columns},
        }
    )


def _column(footer: pq.FileMetaData, index: int) -> dict[str, Any]:
    chunks = [footer.row_group(group).column(index) for group in range(footer.num_row_groups)]
    statistics = [chunk.statistics for chunk in chunks]
    column: dict[str, Any] = {
        "name": chunks[0].path_in_schema,
        "nulls": sum(each.null_count for each in statistics),
    }
    bounds = [each for each in statistics if each.has_min_max]
    if chunks[0].physical_type == "INT64" and bounds:
        column["min"] = min(each.min for each in bounds)
        column["max"] = max(each.max for each in bounds)
    return column
