"""Helpers for tests that read streams incrementally."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from lakeflow_redis import LakeflowConnect

Offset = dict[str, Any]
Entry = tuple[str, str]
"""A key and the id of an entry in it."""

MOST_READS = 500
"""Reads until one that goes on forever is given up."""


@dataclass(frozen=True)
class Read:
    """One read: the entries, in the order in which they came, and the offset after them."""

    entries: list[Entry]
    offset: Offset


def read(
    connector: LakeflowConnect, offset: Mapping[str, Any] | None = None, **options: str
) -> Read:
    """Read the streams from an offset on."""
    records, end = connector.read_table("streams", offset, options)
    return Read([(row["key_name"], row["entry_id"]) for row in records], end)


def read_on(connector: LakeflowConnect, offset: Mapping[str, Any], **options: str) -> list[Read]:
    """Read until the offset stops changing; gives all reads but the last, which is empty."""
    reads: list[Read] = []
    for _ in range(MOST_READS):
        found = read(connector, offset, **options)
        if found.offset == offset:
            assert found.entries == [], "entries came, yet the offset stands still"
            return reads
        reads.append(found)
        offset = found.offset
    raise AssertionError(f"the offset still changes after {MOST_READS} reads")


def add(client: redis.Redis, key: str | bytes, *ids: str) -> list[Entry]:
    """Append entries with the given ids; gives them as a read would."""
    name = key.decode() if isinstance(key, bytes) else key
    for entry_id in ids:
        client.xadd(key, {"id": entry_id}, entry_id)
    return [(name, entry_id) for entry_id in ids]


def add_many(client: redis.Redis, key: str, ids: Iterable[str]) -> None:
    """Append entries with the given ids, all at once."""
    pipe = client.pipeline(transaction=False)
    for entry_id in ids:
        pipe.xadd(key, {"id": entry_id}, entry_id)
    pipe.execute()


def numbered(first: int, count: int) -> list[str]:
    """Ids from `<first>-0` on."""
    return [f"{number}-0" for number in range(first, first + count)]
