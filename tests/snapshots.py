"""What a snapshot table holds that counts, and what it should: by an oracle, and file by file in a lake."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis
from deltalake import DeltaTable
from lakeflow_redis.ingest import Changes

from tests import oracle
from tests.contract import CONTENT_TABLES, TABLES
from tests.oracle import Row

KEY_TABLES = [*(table for table in CONTENT_TABLES if table != "streams"), "keys"]
"""The snapshot tables that are read key by key."""

Key = tuple[Any, ...]
Content = tuple[Any, ...]

OBSERVED = {"scanned_at", "collected_at", "idle_time_seconds"}


def key(table: str, row: Row) -> Key:
    """A row's primary key."""
    names = [*TABLES[table].primary_keys, *(name for name in ("db", "node") if name in row)]
    return tuple(row[name] for name in names)


def content(row: Row) -> Content:
    """All that counts in a row, in a form that tells apart what differs."""
    return tuple((name, _exact(name, row[name])) for name in sorted(row.keys() - OBSERVED))


def _exact(name: str, value: Any) -> Any:
    if name == "ttl_seconds":
        return value is None
    if isinstance(value, float):
        # Tells -0.0 from 0.0, which compare equal.
        return value.hex()
    return value


def contents(table: str, rows: Iterable[Row]) -> dict[Key, Content]:
    """What counts, by primary key, each of which must be there once."""
    rows = list(rows)
    found = {key(table, row): content(row) for row in rows}
    assert len(found) == len(rows), f"{table}: {len(rows)} rows, but {len(found)} primary keys"
    return found


def expected(clients: Mapping[int, redis.Redis], table: str, *, binary: bool = False) -> list[Row]:
    """The rows that a table must have, by commands one after the other."""
    several = len(clients) > 1
    return [
        row | ({"db": db} if several else {})
        for db, client in clients.items()
        for row in oracle.read(client, table, binary=binary)
    ]


def assert_same(table: str, actual: Iterable[Row], wanted: Iterable[Row]) -> None:
    """Fail unless both hold the same rows, as far as they count."""
    # What a key takes is a guess of the server's, another one at another time.
    found, right = (
        contents(table, ({**row, "memory_bytes": None} for row in rows))
        for rows in (actual, wanted)
    )
    wrong = {each: (found.get(each), right.get(each)) for each in found.keys() | right.keys()}
    wrong = {each: pair for each, pair in wrong.items() if pair[0] != pair[1]}
    assert not wrong, (
        f"{table}: {len(wrong)} of {len(right)} rows are wrong, as {[*wrong.items()][:3]}"
    )


@dataclass(frozen=True)
class Version:
    """A version of a table in a lake."""

    number: int
    files: dict[str, list[Row]]
    """The rows of each data file."""
    metrics: dict[str, str]
    """What the commit says of itself."""

    @classmethod
    def last(cls, lake: Path, table: str) -> "Version":
        """The version that is there now."""
        there = DeltaTable(lake / table)
        paths = [Path(uri.removeprefix("file://")) for uri in there.file_uris()]
        (commit,) = there.history(1)
        return cls(
            number=there.version(),
            files={path.name: pq.ParquetFile(path).read().to_pylist() for path in paths},
            metrics=commit.get("operationMetrics", {}),
        )

    @property
    def rows(self) -> list[Row]:
        """The rows of all files."""
        return [row for rows in self.files.values() for row in rows]


def differences(
    table: str, before: Iterable[Row], after: Iterable[Row]
) -> tuple[set[Key], set[Key], set[Key]]:
    """The primary keys of rows that are new, that changed, and that are gone."""
    old, new = contents(table, before), contents(table, after)
    changed = {each for each in old.keys() & new.keys() if old[each] != new[each]}
    return new.keys() - old.keys(), changed, old.keys() - new.keys()


def assert_only_what_differs_was_written(
    table: str, before: Version, after: Version, changes: Changes | None
) -> None:
    """Fail unless a merge wrote those files anew that held a row that changed or is gone, and no other.

    And unless all other rows are as they were, even in columns that do not count.
    """
    new, changed, gone = differences(table, before.rows, after.rows)
    assert changes == Changes(len(new), len(changed), len(gone))
    if not (new or changed or gone):
        assert after == before, "a commit that changes nothing"
        return
    assert after.number == before.number + 1
    old = {key(table, row): row for row in before.rows}
    for row in after.rows:
        each = key(table, row)
        assert each in new | changed or row == old[each], f"{row} was {old[each]}"
    touched = {
        name
        for name, rows in before.files.items()
        if any(key(table, row) in changed | gone for row in rows)
    }
    removed = before.files.keys() - after.files.keys()
    assert removed == touched
    added = after.files.keys() - before.files.keys()
    copied = sum(len(before.files[name]) for name in touched) - len(changed) - len(gone)
    assert {name: int(number) for name, number in after.metrics.items()} == {
        "numSourceRows": len(after.rows),
        "numTargetRowsInserted": len(new),
        "numTargetRowsUpdated": len(changed),
        "numTargetRowsDeleted": len(gone),
        "numTargetRowsCopied": copied,
        "numTargetFilesAdded": len(added),
        "numTargetFilesRemoved": len(removed),
    }
