"""A look at some of a server's keys: their names and types, as many as tell what is there."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from lakeflow_redis._core import LakeflowConnect

MOST_KEYS = 50_000
"""Keys to look at: enough to find what one in a thousand is, and a second's work."""

FEWEST_KEYS = 1000
"""Keys to look at in each database of several, and at each node of a cluster."""

ALL_KEYS = {"key_pattern": "*"}

LOOKING = {
    "columns": "key_name,key_type",
    "value_type": "binary",
    # More than this would be asked for ahead than is looked at.
    "batch_size": "1000",
    "num_partitions": "1",
    "on_denied": "skip",
}
"""Options for looking at keys."""

TABLE_OF_TYPE = {
    "string": "strings",
    "hash": "hashes",
    "list": "lists",
    "set": "sets",
    "zset": "sorted_sets",
    "stream": "streams",
}
"""The table in which a key's content is, by what TYPE says."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was looked at."""

    db: int
    name: bytes
    type: str
    """As TYPE says it; modules have types of their own."""
    stands_for: float
    """How many keys of its database it stands for, itself among them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some keys of a server, or all."""

    keys: tuple[Key, ...]
    total: int
    """Keys in the databases that were looked at, as the servers count them."""
    is_whole: bool
    """Whether every key was looked at."""
    read: frozenset[int] = frozenset({0})
    """The databases that the connector reads, of those that hold keys."""

    @property
    def share(self) -> float:
        """What part of all keys was looked at, from 0 to 1."""
        return 1.0 if self.is_whole or not self.total else len(self.keys) / self.total


def sample(
    connector: LakeflowConnect, most: int = MOST_KEYS, databases: Iterable[int] = ()
) -> Sample:
    """Look at some keys of each database that a connector reads, whatever its `key_pattern`.

    SCAN goes by a hash of the names, so that its first keys are as good as any others. Sends SCAN
    and a TYPE for each key.

    Args:
        connector: where to look.
        most: about how many keys to look at; up to a record batch for each database and node more.
        databases: further databases in which to look.

    Raises:
        LakeflowRedisError: the server cannot be read.
    """
    counts = {int(db): facts["keys"] for db, facts in connector.inspect()["databases"].items()}
    read = {part["db"] for part in connector.get_partitions("keys", LOOKING | ALL_KEYS)}
    chosen = sorted((read | set(databases)) & counts.keys())
    total = sum(counts[db] for db in chosen)
    keys: list[Key] = []
    is_whole = True
    for db in chosen:
        found, all_of_them = _look(connector, db, most * counts[db] // total)
        all_of_them |= len(found) >= counts[db]
        is_whole &= all_of_them
        stands_for = 1.0 if all_of_them else counts[db] / len(found)
        keys += [Key(db, name, kind, stands_for) for name, kind in found]
    return Sample(tuple(keys), total, is_whole, frozenset(read))


def _look(connector: LakeflowConnect, db: int, most: int) -> tuple[list[tuple[bytes, str]], bool]:
    """Names and types of some keys of a database, and whether there are no others."""
    options = LOOKING | {"sync_rules": json.dumps([{"database": db, **ALL_KEYS}])}
    parts = connector.get_partitions("keys", options)
    wanted = max(FEWEST_KEYS, most // len(parts))
    found: list[tuple[bytes, str]] = []
    all_of_them = True
    for part in parts:
        before = len(found)
        rows = islice(connector.read_partition("keys", part, options), wanted)
        found += [(row["key_name"], row["key_type"]) for row in rows]
        all_of_them &= len(found) - before < wanted
    return found, all_of_them
