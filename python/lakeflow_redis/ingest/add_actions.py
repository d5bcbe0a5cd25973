"""Parquet files that become a Delta table's: their place, and what a commit says of each."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deltalake.transaction import AddAction

from lakeflow_redis.ingest.store import Store


def place_files(
    store: Store, files: Sequence[Path], statistics: Callable[[Path], str]
) -> list[AddAction]:
    """Give complete files their place in a table's folder; those before one that fails are removed.

    Args:
        store: the folder.
        files: they are gone from where they were afterwards.
        statistics: gives what the Delta protocol wants to know of one.

    Returns:
        An action for each, to commit.
    """
    added: list[AddAction] = []
    try:
        for file in files:
            action = _add_action(file, statistics(file))
            store.place(file, action.path)
            added.append(action)
    except BaseException:
        for action in added:
            store.delete(action.path)
        raise
    return added


def now() -> int:
    """The moment, in the milliseconds of Delta's log."""
    return time.time_ns() // 1_000_000


def _add_action(file: Path, statistics: str) -> AddAction:
    return AddAction(
        path=file.name,
        size=file.stat().st_size,
        partition_values={},
        modification_time=now(),
        data_change=True,
        stats=statistics,
    )
