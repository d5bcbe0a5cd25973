"""polars-redis at its best: its widest pages, and its workers where a type has them.

It comes as source, and wants the polars that it was built against: an environment of its
own, with `pip install polars-redis 'polars==1.35.*'`, whose Python POLARS_REDIS_PYTHON names.
Later versions of polars refuse what it gives for lists, sorted sets and streams.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benches.reading import Read, Task

if TYPE_CHECKING:
    import polars as pl

PAGES = {"batch_size": 1_000, "count_hint": 1_000}
WORKERS = {"parallel": 4}
"""Hashes and strings are fetched by workers; the other types know none."""

HASH_FIELDS = (
    *("id", "name", "email", "city", "plan"),
    *("visits", "balance", "active", "created", "updated"),
)
STREAM_FIELDS = ("customer", "sku", "quantity")


def height(frame: "pl.DataFrame") -> int:
    """Count rows."""
    return frame.height


def values(frame: "pl.DataFrame") -> int:
    """Count the fields of hashes, which it gives as columns: ours has a row for each."""
    return int(sum(frame.select(HASH_FIELDS).count().row(0)))


@dataclass(frozen=True, slots=True)
class Scan:
    """How one table is asked for."""

    function: str
    pattern: str
    """It cannot ask SCAN for a type, so keys of one type are told by their names."""
    options: dict[str, Any]
    """What makes its columns ours, as near as they come."""
    fields: tuple[str, ...] = ()
    """Those that must be known before: all text."""
    rows: Callable[["pl.DataFrame"], int] = height
    """How many rows ours gives for the same data."""


SCANS = {
    "strings": Scan("scan_strings", "session:*", {"include_ttl": True, **WORKERS}),
    "hashes": Scan(
        "scan_hashes", "customer:*", {"include_ttl": True, **WORKERS}, HASH_FIELDS, values
    ),
    "lists": Scan("scan_lists", "queue:*", {"include_position": True}),
    "sets": Scan("scan_sets", "tags:*", {}),
    "sorted_sets": Scan("scan_zsets", "leaderboard:*", {"include_rank": True}),
    "streams": Scan("scan_streams", "orders:*", {"include_sequence": True}, STREAM_FIELDS),
}


def read(task: Task) -> Read:
    """Collect the table into a data frame."""
    # Not at the top: it may be another Python than ours that has both.
    text, scans = import_module("polars").Utf8, import_module("polars_redis")

    scan = SCANS[task.table]
    schema = {"schema": dict.fromkeys(scan.fields, text)} if scan.fields else {}
    ask = getattr(scans, scan.function)
    frame = ask(task.url, scan.pattern, **schema, **PAGES, **scan.options).collect()
    return Read(rows=scan.rows(frame), keys=None)
