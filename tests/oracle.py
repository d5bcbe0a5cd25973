"""An independent reader: what each table must hold, found by plain commands over redis-py.

It is slow and obvious on purpose: SCAN, TYPE, then the type's own read command, key by key.
Rows are dicts in the columns' order. Columns whose values move by themselves are handled in
`tests.compare`.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

Row = dict[str, Any]
T = TypeVar("T")

MAX_LONG = 2**63 - 1

SCAN_COUNT = 1000

TYPES = {
    "strings": "string",
    "hashes": "hash",
    "lists": "list",
    "sets": "set",
    "sorted_sets": "zset",
    "streams": "stream",
}
"""The tables that hold the content of keys, and the type of these keys."""


class Raw:
    """Commands whose replies stay as the server sent them: bytes, integers and lists."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = redis.Redis(connection_pool=client.connection_pool)
        self._client.response_callbacks.clear()

    def __call__(self, *command: Any) -> Any:
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]


def read(
    client: redis.Redis, table: str, *, binary: bool = False, pattern: bytes | str = "*"
) -> list[Row]:
    """The rows that a table must have, in no particular order.

    Args:
        client: a redis-py client on the database to read.
        table: the table's name.
        binary: names and values as bytes rather than as text.
        pattern: only keys whose names match this glob.
    """
    raw = Raw(client)
    mode = _BINARY if binary else _STRING
    if table == "server_info":
        return list(_server_info(raw))
    names = scan(raw, pattern)
    if table == "keys":
        return [_key(raw, name, mode) for name in names]
    wanted = TYPES[table].encode()
    names = [name for name in names if raw("TYPE", name) == wanted]
    return [row for name in names for row in _CONTENT[table](raw, name, mode)]


def scan(raw: Raw, pattern: bytes | str = "*") -> list[bytes]:
    """The names of all keys, each once."""
    names: dict[bytes, None] = {}
    cursor = b"0"
    while True:
        cursor, page = raw("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
        names |= dict.fromkeys(page)
        if cursor == b"0":
            return list(names)


def choose(client: redis.Redis, rules: Iterable[Mapping[str, Any]]) -> set[bytes]:
    """The names that a database's `sync_rules` choose, by what the server says to each of them."""
    raw = Raw(client)
    names: set[bytes] = set()
    for rule in rules:
        found = scan(raw, rule.get("key_pattern", "*"))
        if "_type" in rule:
            wanted = rule["_type"].lower().encode()
            found = [name for name in found if raw("TYPE", name) == wanted]
        names |= set(found)
    return names


def parse_fields(fields: str | bytes) -> dict[str, Any]:
    """The object in a `fields` column; bytes that are no UTF-8 come as surrogate escapes."""
    text = _escaped(fields) if isinstance(fields, bytes) else fields
    parsed: dict[str, Any] = json.loads(text, object_pairs_hook=_unique)
    return parsed


@dataclass(frozen=True)
class _Mode:
    """How the server's bytes appear in the columns."""

    value: Callable[[bytes], Any]
    """In a column of names or values."""
    inside_json: Callable[[bytes], str]
    """In a string of the `fields` object, once that was parsed by `parse_fields`."""


def _text(value: bytes) -> str:
    return value.decode("utf-8")


def _escaped(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


_STRING = _Mode(value=_text, inside_json=_text)
_BINARY = _Mode(value=bytes, inside_json=_escaped)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    assert len(parsed) == len(pairs), f"a name stands twice in one object: {pairs}"
    return parsed


def _ttl(raw: Raw, name: bytes) -> int | None:
    seconds: int = raw("TTL", name)
    return None if seconds == -1 else seconds


def _now() -> int:
    return int(time.time())


def _key(raw: Raw, name: bytes, mode: _Mode) -> Row:
    return {
        "key_name": mode.value(name),
        "key_type": raw("TYPE", name).decode(),
        "ttl_seconds": _ttl(raw, name),
        "memory_bytes": raw("MEMORY", "USAGE", name),
        "encoding": raw("OBJECT", "ENCODING", name).decode(),
        "refcount": raw("OBJECT", "REFCOUNT", name),
        "idle_time_seconds": raw("OBJECT", "IDLETIME", name),
        "scanned_at": _now(),
    }


def _strings(raw: Raw, name: bytes, mode: _Mode) -> Iterator[Row]:
    content = raw("GET", name)
    yield {
        "key_name": mode.value(name),
        "value": mode.value(content),
        "value_length": len(content),
        "ttl_seconds": _ttl(raw, name),
        "scanned_at": _now(),
    }


def _hashes(raw: Raw, name: bytes, mode: _Mode) -> Iterator[Row]:
    ttl = _ttl(raw, name)
    for field, content in _pairs(raw("HGETALL", name)):
        yield {
            "key_name": mode.value(name),
            "field": mode.value(field),
            "value": mode.value(content),
            "ttl_seconds": ttl,
            "scanned_at": _now(),
        }


def _lists(raw: Raw, name: bytes, mode: _Mode) -> Iterator[Row]:
    ttl = _ttl(raw, name)
    elements = raw("LRANGE", name, 0, -1)
    for index, element in enumerate(elements):
        yield {
            "key_name": mode.value(name),
            "list_index": index,
            "value": mode.value(element),
            "list_length": len(elements),
            "ttl_seconds": ttl,
            "scanned_at": _now(),
        }


def _sets(raw: Raw, name: bytes, mode: _Mode) -> Iterator[Row]:
    ttl = _ttl(raw, name)
    members = raw("SMEMBERS", name)
    for member in members:
        yield {
            "key_name": mode.value(name),
            "member": mode.value(member),
            "set_cardinality": len(members),
            "ttl_seconds": ttl,
            "scanned_at": _now(),
        }


def _sorted_sets(raw: Raw, name: bytes, mode: _Mode) -> Iterator[Row]:
    ttl = _ttl(raw, name)
    pairs = _pairs(raw("ZRANGE", name, 0, -1, "WITHSCORES"))
    for rank, (member, score) in enumerate(pairs):
        yield {
            "key_name": mode.value(name),
            "member": mode.value(member),
            "score": float(score),
            "rank": rank,
            "zset_cardinality": len(pairs),
            "ttl_seconds": ttl,
            "scanned_at": _now(),
        }


def _streams(raw: Raw, name: bytes, mode: _Mode) -> Iterator[Row]:
    ttl = _ttl(raw, name)
    for entry_id, flat in raw("XRANGE", name, "-", "+"):
        milliseconds, sequence = (int(part) for part in entry_id.split(b"-"))
        yield {
            "key_name": mode.value(name),
            "entry_id": entry_id.decode(),
            "fields": _merge(_pairs([mode.inside_json(part) for part in flat])),
            "timestamp_ms": milliseconds if milliseconds <= MAX_LONG else None,
            "sequence": sequence if sequence <= MAX_LONG else None,
            "ttl_seconds": ttl,
        }


def _server_info(raw: Raw) -> Iterator[Row]:
    section = ""
    for line in raw("INFO").decode().splitlines():
        if line.startswith("# "):
            section = line.removeprefix("# ").lower()
        elif ":" in line:
            name, _, content = line.partition(":")
            yield {
                "section": section,
                "property": name,
                "value": content,
                "collected_at": _now(),
            }


_CONTENT: dict[str, Callable[[Raw, bytes, _Mode], Iterator[Row]]] = {
    "strings": _strings,
    "hashes": _hashes,
    "lists": _lists,
    "sets": _sets,
    "sorted_sets": _sorted_sets,
    "streams": _streams,
}


def _pairs(flat: list[T]) -> list[tuple[T, T]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _merge(pairs: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    """The object of a stream entry: a name that repeats holds an array."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: many if len(many) > 1 else many[0] for name, many in values.items()}
