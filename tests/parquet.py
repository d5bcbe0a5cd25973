"""Parquet files that landed, read back by readers that are not ours."""

from pathlib import Path

import duckdb
import polars as pl

from tests.oracle import Row


def parquet_rows(folder: Path) -> list[Row]:
    """The rows of all files in a folder, on which DuckDB and polars agree.

    Columns that only later files have are null in the others' rows.
    """
    pattern = str(folder / "*.parquet")
    with duckdb.connect() as database:
        found = database.sql(
            "SELECT * FROM read_parquet(?, union_by_name = true)", params=[pattern]
        )
        table = found.to_arrow_table()
    rows: list[Row] = table.to_pylist()
    frame = pl.concat([pl.read_parquet(path) for path in files(folder)], how="diagonal")
    assert sorted(map(repr, frame.select(table.column_names).to_dicts())) == sorted(map(repr, rows))
    return rows


def files(folder: Path) -> list[Path]:
    """The files in a folder that are not hidden, in order."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))
