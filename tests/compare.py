"""Comparing the rows of a table with the oracle's."""

import time
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

from tests.contract import TABLES
from tests.oracle import Row, parse_fields

TIME_COLUMNS = {"scanned_at", "collected_at"}
"""When the read was made: one constant for all rows."""

CLOSE_COLUMNS = {
    # They count seconds, and the oracle asks seconds after the reader did.
    "ttl_seconds": 60.0,
    "idle_time_seconds": 60.0,
}
"""Columns that move by themselves, and by how much they may differ."""

SHARED = 2**31 - 1
"""The refcount of a small number, of which a server has one that is idle since any key with it was."""

MEMORY_SHARE = 0.2
"""By how much two answers of MEMORY USAGE may differ: it samples, and tables get resized."""

CLOCK_SECONDS = 180
"""How long ago a row of this test can have been read: the timeout of a test, and some more."""

SHOWN = 5
"""Differences shown on failure; a hundred thousand would help nobody."""


def assert_same_rows(table: str, actual: Iterable[Row], expected: Iterable[Row]) -> None:
    """Fail unless both hold the same rows, as multisets, and `actual` has unique primary keys."""
    actual, expected = list(actual), list(expected)
    assert_unique_keys(table, actual)
    assert_one_recent_time(actual)
    _assert_same_multiset(actual, expected)
    by_key = {_key(table, row): row for row in expected}
    for row in actual:
        _assert_close(row, by_key[_key(table, row)])


def assert_unique_keys(table: str, rows: Iterable[Row]) -> None:
    """Fail where a primary key occurs twice."""
    counts = Counter(_key(table, row) for row in rows)
    twice = [key for key, count in counts.items() if count > 1]
    assert not twice, f"{len(twice)} keys of {table} occur more than once, as {twice[:SHOWN]}"


def assert_one_recent_time(rows: Iterable[Row]) -> None:
    """Fail unless all rows say that they were read at one and the same moment, just now."""
    times = {row[name] for row in rows for name in TIME_COLUMNS & row.keys()}
    assert len(times) <= 1, f"rows of one read name different times: {sorted(times)}"
    now = time.time()
    assert all(now - CLOCK_SECONDS <= moment <= now + 1 for moment in times), (times, now)


def _assert_same_multiset(actual: list[Row], expected: list[Row]) -> None:
    missing = Counter(map(_frozen, expected))
    missing.subtract(map(_frozen, actual))
    lost = [row for row, count in missing.items() if count > 0]
    added = [row for row, count in missing.items() if count < 0]
    differing = len(lost) + len(added)
    assert differing == 0, (
        f"of {len(expected)} rows {len(lost)} differ or are missing, as {lost[:SHOWN]!r:.3000}; "
        f"in their place are {len(added)} others, as {added[:SHOWN]!r:.3000}"
    )


def _assert_close(row: Row, expected: Row) -> None:
    for name, tolerance in CLOSE_COLUMNS.items():
        if name != "idle_time_seconds" or expected.get("refcount") != SHARED:
            _assert_near(name, row, expected, tolerance)
    memory = expected.get("memory_bytes") or 0
    _assert_near("memory_bytes", row, expected, memory * MEMORY_SHARE)


def _assert_near(name: str, row: Row, expected: Row, tolerance: float) -> None:
    left, right = row.get(name), expected.get(name)
    if left is None or right is None:
        assert left is right, f"{name} is {left}, not {right}, in {row!r:.500}"
    else:
        assert abs(left - right) <= tolerance, f"{name} is {left}, not {right}, in {row!r:.500}"


def _key(table: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in TABLES[table].primary_keys)


_MOVING = TIME_COLUMNS | CLOSE_COLUMNS.keys() | {"memory_bytes"}


def _frozen(row: Row) -> tuple[tuple[str, Hashable], ...]:
    """A row's columns that stand still, in their order and in a form that can be counted."""
    return tuple(
        (name, _frozen_value(name, value)) for name, value in row.items() if name not in _MOVING
    )


def _frozen_value(name: str, value: Any) -> Hashable:
    if name == "fields" and value is not None:
        parsed = value if isinstance(value, dict) else parse_fields(value)
        return tuple((field, _frozen_list(content)) for field, content in parsed.items())
    if isinstance(value, float):
        # Tells -0.0 from 0.0, which compare equal.
        return value.hex()
    hashable: Hashable = value
    return hashable


def _frozen_list(content: Any) -> Hashable:
    return ("many", *content) if isinstance(content, list) else content
