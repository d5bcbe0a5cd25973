"""Reading destroys nothing: replies stand in the server's memory, which may be all there is."""

from collections.abc import Callable

import pytest
import redis
from lakeflow_redis import LakeflowConnect

from tests.servers import REDIS_7_0, Server

VALUE = b"x" * 10_000
KEYS = 20
ELEMENTS = 1_000


def fill_hashes(client: redis.Redis) -> None:
    """Add 200 MB in hashes."""
    for key in range(KEYS):
        client.hset(f"hash:{key}", mapping={f"field {n}": VALUE for n in range(ELEMENTS)})


def fill_streams(client: redis.Redis) -> None:
    """Add 200 MB in streams."""
    for key in range(KEYS):
        pipe = client.pipeline(transaction=False)
        for _ in range(ELEMENTS):
            pipe.xadd(f"stream:{key}", {"f": VALUE})
        pipe.execute()


def fill_strings(client: redis.Redis) -> None:
    """Add 200 MB in strings of 1 MB."""
    for key in range(200):
        client.set(f"string:{key}", VALUE * 100)


def fill_lists(client: redis.Redis) -> None:
    """Add 200 MB in lists, most of them small and all of heavy elements."""
    for key in range(KEYS * 10):
        client.rpush(f"list:{key}", *(VALUE for _ in range(ELEMENTS // 10)))


def fill_heavy_list(client: redis.Redis) -> None:
    """Add a list of 12 MB, of which two dozen elements are more than the server's limit."""
    for _ in range(40):
        client.rpush("k", VALUE * 30)


def fill_surprisingly(client: redis.Redis) -> None:
    """Add 200 MB in few hashes that are like the thousands of light ones around them."""
    for key in range(3000):
        client.hset(f"light:{key}", mapping={f"f{n}": n for n in range(10)})
    for key in range(200):
        client.hset(f"heavy:{key}", mapping={f"f{n}": VALUE * 10 for n in range(10)})


@pytest.mark.parametrize(
    ("table", "fill", "rows"),
    [
        ("lists", fill_lists, KEYS * ELEMENTS),
        ("hashes", fill_surprisingly, 32_000),
        ("hashes", fill_hashes, KEYS * ELEMENTS),
        ("streams", fill_streams, KEYS * ELEMENTS),
        ("strings", fill_strings, 200),
    ],
)
def test_reading_evicts_no_key(table: str, fill: Callable[[redis.Redis], None], rows: int) -> None:
    limited = ("--maxmemory", "300mb", "--maxmemory-policy", "allkeys-lru")
    with Server(REDIS_7_0, *limited) as server, server.client() as client:
        fill(client)
        records, _ = LakeflowConnect(server.options()).read_table(table)
        assert sum(batch.num_rows for batch in records.batches()) == rows
        assert records.receipt["keys_gone"] == 0
        assert client.info("stats")["evicted_keys"] == 0


@pytest.mark.parametrize(
    ("table", "fill", "rows"),
    [
        ("hashes", lambda client: fill_hash(client, 50_000, 1_000), 50_000),
        ("hashes", lambda client: fill_hash(client, 500, 100_000), 500),
        ("hashes", fill_surprisingly, 32_000),
        ("strings", lambda client: client.set("k", VALUE * 5_000), 1),
        ("lists", fill_lists, KEYS * ELEMENTS),
        ("hashes", lambda client: fill_hash(client, 100, 300_000), 100),
        ("lists", fill_heavy_list, 40),
    ],
    ids=[
        "small fields",
        "large fields",
        "light and heavy hashes",
        "one string",
        "lists",
        "huge fields",
        "huge elements",
    ],
)
def test_replies_stay_below_the_servers_own_limit(
    table: str, fill: Callable[[redis.Redis], None], rows: int
) -> None:
    limited = ("--client-output-buffer-limit", "normal 4mb 0 0")
    with Server(REDIS_7_0, *limited) as server, server.client() as client:
        fill(client)
        records, _ = LakeflowConnect(server.options()).read_table(table)
        assert sum(batch.num_rows for batch in records.batches()) == rows


def fill_hash(client: redis.Redis, fields: int, size: int) -> None:
    """Add a hash of 50 MB."""
    for first in range(0, fields, 500):
        numbers = range(first, min(first + 500, fields))
        client.hset("k", mapping={f"f{n}": "x" * size for n in numbers})
