"""What landed in a lake, read back by readers that are not ours."""

import json
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from tests.oracle import Row


def rows(lake: Path, table: str) -> list[Row]:
    """The rows of a table."""
    found: list[Row] = DeltaTable(lake / table).to_pyarrow_table().to_pylist()
    return found


def entries(lake: Path) -> list[tuple[str, str]]:
    """The key and id of every stream entry that landed, in order, repeated ones too."""
    return sorted((row["key_name"], row["entry_id"]) for row in rows(lake, "streams"))


def version(lake: Path, table: str) -> int:
    """The version of a table: how many commits there were, less one."""
    return DeltaTable(lake / table).version()


def data_files(lake: Path, table: str) -> set[str]:
    """The data files in a table's folder, committed or not."""
    return {path.name for path in (lake / table).glob("*.parquet")}


def offset_log(lake: Path, table: str = "streams") -> dict[int, dict[str, Any]]:
    """The entries of a table's offset log, by version."""
    paths = (lake / "_lakeflow" / table).glob("*.json")
    return {int(path.stem): json.loads(path.read_text()) for path in paths}


def transaction(lake: Path, table: str = "streams") -> int | None:
    """The version of the log that the last commit names."""
    return DeltaTable(lake / table).transaction_version(f"lakeflow-redis/{table}")
