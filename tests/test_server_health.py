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


@pytest.mark.parametrize(
    ("table", "fill", "rows"),
    [
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
