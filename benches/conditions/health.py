"""Whether reading can harm the server, where memory or output buffers are short."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import read, url_of
from benches.data import Command, send
from benches.limits import MB, Limit
from tests.servers import REDIS_7_0, Server

NOTHING_EVICTED = Wanted("nothing evicted, all rows", Limit(0))
READ_WHOLE = Wanted("read whole: all of its rows", Limit(1, at_least=True))

VALUES = 200
VALUE_BYTES = 1 << 20
HASH_BYTES = 50 * MB
PER_CHUNK = 4
"""Values of this size sent at a time: what waits at the server counts as its memory too."""


def large_strings() -> Iterator[Command]:
    """Write values that fill two thirds of what the server may have."""
    for number in range(VALUES):
        yield "SET", f"value:{number}", "v" * VALUE_BYTES


def evicted() -> tuple[str, float]:
    """Read from a server that evicts what does not fit; return how many keys it lost."""
    limits = ("--maxmemory", "300mb", "--maxmemory-policy", "allkeys-lru")
    with Server(REDIS_7_0, *limits) as server:
        send(server.host, server.port, large_strings(), PER_CHUNK)
        sample = read(url_of(server), "strings", VALUES)
        with server.client() as client:
            keys = int(client.info("stats")["evicted_keys"])
    return f"{sample.rows} rows, {keys} evicted, {sample.wall_seconds:.2f} s", keys


def large_hash(fields: int) -> Iterator[Command]:
    """Write one hash of 50 MB."""
    value = "v" * (HASH_BYTES // fields)
    for number in range(fields):
        yield "HSET", "big", f"field-{number}", value


def read_whole(fields: int) -> tuple[str, float]:
    """Read a large hash from a server that cuts off who leaves 4 MB unread."""
    limits = ("--client-output-buffer-limit", "normal", "4mb", "0", "0")
    with Server(REDIS_7_0, *limits) as server:
        send(server.host, server.port, large_hash(fields), PER_CHUNK * 10)
        sample = read(url_of(server), "hashes", fields)
    return f"{sample.rows:,} rows, {sample.wall_seconds:.2f} s", sample.rows / fields


def findings(_scale: Fraction) -> Iterator[Finding]:
    """Measure it all; what is short stays short at any size."""
    yield NOTHING_EVICTED.attempt(
        f"`maxmemory` 300 MB, `allkeys-lru`, {VALUES} values of 1 MB", evicted
    )
    for fields in (50_000, 500):
        what = f"output buffers of 4 MB, a hash of {fields:,} × {HASH_BYTES // fields // 1000} kB"
        yield READ_WHOLE.attempt(what, partial(read_whole, fields))


HEALTH = Condition(
    "health",
    "The server's health",
    "A read of one table from a server with these settings.",
    findings,
)
