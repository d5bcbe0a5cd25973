"""Data whose servers change while it is read, and what became of such a read."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pyarrow as pa
from lakeflow_redis import (
    DataLossError,
    LakeflowConnect,
    LakeflowRedisError,
    RedisConnectionError,
    TopologyChangedError,
)

Content = dict[str, Counter[tuple[Any, ...]]]
"""Of each table, its rows by what does not move: key, field or index, value or type."""

COLUMNS = {
    "strings": ["key_name", "value"],
    "keys": ["key_name", "key_type"],
    "hashes": ["key_name", "field", "value"],
    "lists": ["key_name", "list_index", "value"],
    "streams": ["key_name", "entry_id"],
}

READS = [["strings"], ["strings", "keys", "hashes", "lists"]]
"""What reads that are disturbed read: one table, or several."""

SMALL = 30_000
LARGE = 4
LARGE_TEXT = "large value " * 120_000
"""A value that is read in pages."""
LARGE_FIELDS = 20_000
ENTRY_IDS = ["1-1", "1-2", "2-1"]

SLOW = {"max_server_share": "0.2", "batch_size": "20"}
"""Options with which a read takes some seconds."""

ONCE_MORE = "once more"
"""What a receipt says of another pass."""

PAUSE = 0.01


@dataclass
class Keys:
    """Keys to be made, by name."""

    strings: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    streams: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, prefix: str = "", small: int = SMALL, large: int = LARGE) -> "Keys":
        """Small strings, for each ten of them a key of the other types, and some that take pages."""
        keys = cls()
        for number in range(small):
            keys.strings[f"{prefix}string:{number}"] = f"value {number}"
        for number in range(small // 10):
            keys.hashes[f"{prefix}hash:{number}"] = {f"f{n}": f"{number}" for n in range(3)}
            keys.lists[f"{prefix}list:{number}"] = [f"{number}", "last"]
            keys.streams.append(f"{prefix}stream:{number}")
        for number in range(large):
            keys.strings[f"{prefix}large:string:{number}"] = f"{LARGE_TEXT}{number}"
            keys.hashes[f"{prefix}large:hash:{number}"] = {
                f"field {n}": f"value {n}" for n in range(LARGE_FIELDS)
            }
        return keys

    def commands(self) -> Iterable[tuple[str, Sequence[str]]]:
        """What makes them: the key, and the command."""
        for name, value in self.strings.items():
            yield name, ("SET", name, value)
        for name, fields in self.hashes.items():
            yield name, ("HSET", name, *(word for pair in fields.items() for word in pair))
        for name, elements in self.lists.items():
            yield name, ("RPUSH", name, *elements)
        for name in self.streams:
            for entry_id in ENTRY_IDS:
                yield name, ("XADD", name, entry_id, "field", "value")

    def content(self) -> Content:
        """The rows of all tables."""
        types = dict.fromkeys(self.strings, "string")
        types |= dict.fromkeys(self.hashes, "hash")
        types |= dict.fromkeys(self.lists, "list")
        types |= dict.fromkeys(self.streams, "stream")
        return {
            "strings": Counter(self.strings.items()),
            "keys": Counter(types.items()),
            "hashes": Counter(
                (name, *pair) for name, fields in self.hashes.items() for pair in fields.items()
            ),
            "lists": Counter(
                (name, index, value)
                for name, values in self.lists.items()
                for index, value in enumerate(values)
            ),
            "streams": Counter(product(self.streams, ENTRY_IDS)),
        }


@dataclass(frozen=True)
class Ended:
    """How a read ended that was disturbed."""

    error: Exception | None
    """None where the table is what it must be."""
    passes: int
    """How often the servers were scanned, as far as the receipts tell."""

    def __str__(self) -> str:
        how = "complete" if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return f"{how} ({self.passes} passes)"

    @property
    def is_sound(self) -> bool:
        """Whether it is a complete table, or an error about the servers and no table."""
        about = TopologyChangedError | RedisConnectionError | DataLossError
        return self.error is None or isinstance(self.error, about)


class Reading:
    """A read that goes on in a thread.

    Args:
        options: the connector's options.
        tables: one or several.
    """

    def __init__(self, options: dict[str, str], tables: Sequence[str]) -> None:
        self._connector = LakeflowConnect(options)
        self._tables = tables
        self._receipts: Callable[[], list[dict[str, Any]]] = list
        self._pool = ThreadPoolExecutor(1)
        self._found: Future[dict[str, pa.Table]] = self._pool.submit(self._collect)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._found.done()

    def passes(self) -> int:
        """How often the servers were scanned by now."""
        warned = [
            sum(ONCE_MORE in text for text in receipt["warnings"]) for receipt in self._receipts()
        ]
        return 1 + max(warned, default=0)

    def wait_for_pass(self, number: int) -> bool:
        """Wait until the servers are scanned for this time; false where the read ends before."""
        while not self.over:
            if self.passes() >= number:
                return True
            time.sleep(PAUSE)
        return False

    def end(self, expected: Content) -> Ended:
        """Wait for the end, and look whether all rows are there once."""
        try:
            found = self._found.result()
            for table in self._tables:
                assert_same(table, found[table], expected[table])
        except (LakeflowRedisError, AssertionError) as error:
            return Ended(error, self.passes())
        finally:
            self._pool.shutdown()
        return Ended(None, self.passes())

    def _collect(self) -> dict[str, pa.Table]:
        if len(self._tables) > 1:
            tables, _ = self._connector.read_tables(self._tables)
            self._receipts = lambda: list(tables.receipts.values())
            return tables.read_all()
        (name,) = self._tables
        records, _ = self._connector.read_table(name)
        self._receipts = lambda: [records.receipt]
        batches = list(records.batches())
        return {name: pa.Table.from_batches(batches, pa.schema(records.schema))}


def assert_same(table: str, found: pa.Table, expected: Counter[tuple[Any, ...]]) -> None:
    """Fail unless a table holds exactly these rows, once each."""
    columns = [found[name].to_pylist() for name in COLUMNS[table]]
    rows = Counter(zip(*columns, strict=True))
    lost, added = expected - rows, rows - expected
    assert not lost, f"{table}: {lost.total()} rows are missing, as {list(lost)[:3]!r:.500}"
    assert not added, f"{table}: {added.total()} rows are too many, as {list(added)[:3]!r:.500}"


def read_meanwhile(
    options: dict[str, str],
    tables: Sequence[str],
    expected: Content,
    disturb: Callable[[Reading], object],
) -> Ended:
    """Read, let something happen meanwhile, and look what came of it."""
    reading = Reading(options, tables)
    try:
        disturb(reading)
    finally:
        ended = reading.end(expected)
    return ended


def tell(what: str, ended: Sequence[Ended]) -> None:
    """Print how reads ended, and fail where one gave a table that is not what it must be."""
    complete = [each for each in ended if each.error is None]
    print(f"\n{what}: {len(complete)} complete, {len(ended) - len(complete)} errors")
    for each in ended:
        print(f"  {each!s:.300}")
    wrong = [f"{each!s:.300}" for each in ended if not each.is_sound]
    assert not wrong, wrong
