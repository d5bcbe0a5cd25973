"""Two ways to read a table with redis-py: one command per key, and pipelined by hand.

Both share one recipe per table, which says what to ask about a key and how the replies
become columns; they differ in how the questions travel and in what the rows end up as.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import redis
from redis._parsers import _RESP2Parser

from benches.reading import Read, Task

SCAN_COUNT = 1_000
"""Keys asked for per page of SCAN, and so about the commands of one pipeline."""

Name = bytes | str
"""As the client is set to decode replies or not."""

Columns = tuple[Sequence[object], ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one table is read."""

    key_type: str | None
    """What SCAN filters by; None for keys of every type."""
    schema: dict[str, str]
    """Columns and their Arrow types."""
    ask: Callable[[redis.Redis, Name], tuple[object, ...]]
    """Ask about a key. A client answers; a pipeline returns itself and keeps the questions."""
    explode: Callable[[Name, Sequence[Any], int], Columns]
    """Turn the answers about a key, and the second it is, into columns."""


def ttl_seconds(reply: int) -> int | None:
    """Return what TTL said, or None where the key does not expire."""
    return None if reply < 0 else reply


def text(reply: bytes | str) -> str:
    """Return a reply as text, whether the client decodes or not."""
    return reply if isinstance(reply, str) else reply.decode()


def ask_key(client: redis.Redis, key: Name) -> tuple[object, ...]:
    """Ask for all that `keys` says of a key, idle time first, before it is touched."""
    return (
        client.object("idletime", key),
        client.type(key),
        client.ttl(key),
        client.memory_usage(key),
        client.object("encoding", key),
        client.object("refcount", key),
    )


def explode_key(key: Name, replies: Sequence[Any], now: int) -> Columns:
    """One row."""
    idle, kind, ttl, memory, encoding, refcount = replies
    return [key], [kind], [ttl_seconds(ttl)], [memory], [encoding], [refcount], [idle], [now]


def explode_string(key: Name, replies: Sequence[Any], now: int) -> Columns:
    """One row."""
    value, ttl = replies
    return [key], [value], [len(value)], [ttl_seconds(ttl)], [now]


def explode_hash(key: Name, replies: Sequence[Any], now: int) -> Columns:
    """A row per field."""
    fields, ttl = replies
    n = len(fields)
    return [key] * n, list(fields), list(fields.values()), [ttl_seconds(ttl)] * n, [now] * n


def explode_list(key: Name, replies: Sequence[Any], now: int) -> Columns:
    """A row per element."""
    elements, ttl = replies
    n = len(elements)
    return [key] * n, range(n), elements, [n] * n, [ttl_seconds(ttl)] * n, [now] * n


def explode_set(key: Name, replies: Sequence[Any], now: int) -> Columns:
    """A row per member."""
    members, ttl = replies
    n = len(members)
    return [key] * n, list(members), [n] * n, [ttl_seconds(ttl)] * n, [now] * n


def explode_sorted_set(key: Name, replies: Sequence[Any], now: int) -> Columns:
    """A row per member."""
    pairs, ttl = replies
    n = len(pairs)
    members, scores = zip(*pairs, strict=True)
    return [key] * n, members, scores, range(n), [n] * n, [ttl_seconds(ttl)] * n, [now] * n


def explode_stream(key: Name, replies: Sequence[Any], _now: int) -> Columns:
    """A row per entry."""
    entries, ttl = replies
    n = len(entries)
    ids = [entry_id for entry_id, _ in entries]
    fields = [json.dumps({text(k): text(v) for k, v in entry.items()}) for _, entry in entries]
    stamps, sequences = zip(*(map(int, text(one).split("-")) for one in ids), strict=True)
    return [key] * n, ids, fields, stamps, sequences, [ttl_seconds(ttl)] * n


RECIPES = {
    "keys": Recipe(
        None,
        {
            "key_name": "string",
            "key_type": "string",
            "ttl_seconds": "int64",
            "memory_bytes": "int64",
            "encoding": "string",
            "refcount": "int64",
            "idle_time_seconds": "int64",
            "scanned_at": "int64",
        },
        ask_key,
        explode_key,
    ),
    "strings": Recipe(
        "string",
        {
            "key_name": "string",
            "value": "string",
            "value_length": "int64",
            "ttl_seconds": "int64",
            "scanned_at": "int64",
        },
        lambda client, key: (client.get(key), client.ttl(key)),
        explode_string,
    ),
    "hashes": Recipe(
        "hash",
        {
            "key_name": "string",
            "field": "string",
            "value": "string",
            "ttl_seconds": "int64",
            "scanned_at": "int64",
        },
        lambda client, key: (client.hgetall(key), client.ttl(key)),
        explode_hash,
    ),
    "lists": Recipe(
        "list",
        {
            "key_name": "string",
            "list_index": "int64",
            "value": "string",
            "list_length": "int64",
            "ttl_seconds": "int64",
            "scanned_at": "int64",
        },
        lambda client, key: (client.lrange(key, 0, -1), client.ttl(key)),
        explode_list,
    ),
    "sets": Recipe(
        "set",
        {
            "key_name": "string",
            "member": "string",
            "set_cardinality": "int64",
            "ttl_seconds": "int64",
            "scanned_at": "int64",
        },
        lambda client, key: (client.smembers(key), client.ttl(key)),
        explode_set,
    ),
    "sorted_sets": Recipe(
        "zset",
        {
            "key_name": "string",
            "member": "string",
            "score": "float64",
            "rank": "int64",
            "zset_cardinality": "int64",
            "ttl_seconds": "int64",
            "scanned_at": "int64",
        },
        lambda client, key: (client.zrange(key, 0, -1, withscores=True), client.ttl(key)),
        explode_sorted_set,
    ),
    "streams": Recipe(
        "stream",
        {
            "key_name": "string",
            "entry_id": "string",
            "fields": "string",
            "timestamp_ms": "int64",
            "sequence": "int64",
            "ttl_seconds": "int64",
        },
        lambda client, key: (client.xrange(key), client.ttl(key)),
        explode_stream,
    ),
}


def command_per_key(task: Task) -> Read:
    """Read up to so many keys as the seed's connector does, into a list of dicts."""
    recipe = RECIPES[task.table]
    now = int(time.time())
    rows: list[dict[str, object]] = []
    keys = 0
    # The seed asks for redis-py alone, and its columns are strings.
    own_parser = {"parser_class": _RESP2Parser, "decode_responses": True}
    with redis.Redis.from_url(task.url, **own_parser) as client:
        for key in islice(client.scan_iter(count=SCAN_COUNT, _type=recipe.key_type), task.max_keys):
            columns = recipe.explode(key, recipe.ask(client, key), now)
            rows += (
                dict(zip(recipe.schema, row, strict=True)) for row in zip(*columns, strict=True)
            )
            keys += 1
    return Read(rows=len(rows), keys=keys)


def pages(client: redis.Redis, key_type: str | None) -> Iterator[list[bytes]]:
    """Key names as SCAN pages them."""
    cursor = -1
    while cursor:
        cursor, page = client.scan(max(cursor, 0), count=SCAN_COUNT, _type=key_type)
        if page:
            yield cast("list[bytes]", page)  # str only where a client decodes


def hand_pipeline(task: Task) -> Read:
    """Read a page of keys per pipeline into a record batch, and let each batch go."""
    import pyarrow as pa  # noqa: PLC0415 - the other way does without, and its memory is measured

    recipe = RECIPES[task.table]
    now = int(time.time())
    rows = keys = 0
    with redis.Redis.from_url(task.url) as client:
        for page in pages(client, recipe.key_type):
            pipeline = client.pipeline(transaction=False)
            for key in page:
                recipe.ask(pipeline, key)
            replies = pipeline.execute()
            per_key = len(replies) // len(page)
            columns: list[list[object]] = [[] for _ in recipe.schema]
            for at, key in enumerate(page):
                answers = replies[at * per_key : (at + 1) * per_key]
                for column, part in zip(columns, recipe.explode(key, answers, now), strict=True):
                    column.extend(part)
            kinds = recipe.schema.values()
            arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)]
            rows += pa.record_batch(arrays, names=list(recipe.schema)).num_rows
            keys += len(page)
    return Read(rows=rows, keys=keys)
