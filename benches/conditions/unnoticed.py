"""Whether others notice that a table is read, and whether a read keeps to its share."""

import time
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.pinging import Pinger, Span
from benches.conditions.reads import TABLES, read, rows_of, url_of
from benches.data import load
from benches.limits import Limit
from tests.servers import REDIS_7_0, Server

QUICK = Wanted("p99 at most 3 ms", Limit(3.0))
SHARE = 0.25
WITHIN_SHARE = Wanted(f"at most {SHARE} of the server's time", Limit(SHARE))
IDLE_SECONDS = 3.0
LEAST_SECONDS = 2.0
"""A table is read again until it was read for so long, for enough PINGs to tell."""


def idle(server: Server) -> Finding:
    """Measure with nothing else going on."""
    with Pinger(server.host, server.port) as pinger:
        start = time.monotonic()
        time.sleep(IDLE_SECONDS)
    return Finding("nothing is read", str(pinger.waits([(start, time.monotonic())])))


def while_reading(server: Server, other: Server, table: str, rows: int) -> tuple[str, float]:
    """Measure while a table is read, and on another server that nobody reads."""
    reads: list[Span] = []
    with Pinger(server.host, server.port) as pinger, Pinger(other.host, other.port) as beside:
        while sum(end - start for start, end in reads) < LEAST_SECONDS:
            sample = read(url_of(server), table, rows)
            reads.append((sample.started, sample.started + sample.wall_seconds))
    waits = pinger.waits(reads)
    return f"{waits}; a server beside it, p99 {beside.waits(reads).most:.2f} ms", waits.most


def share(server: Server, table: str, rows: int) -> tuple[str, float]:
    """Measure what a read takes of the server that may take only so much."""
    sample = read(url_of(server), table, rows, {"max_server_share": str(SHARE)})
    taken = sample.server_seconds / sample.wall_seconds
    return f"{sample.server_seconds:.2f} s of {sample.wall_seconds:.2f} s", taken


def findings(scale: Fraction) -> Iterator[Finding]:
    """Measure it all."""
    with Server(REDIS_7_0) as server, Server(REDIS_7_0) as other:
        load(server.host, server.port, scale)
        yield idle(server)
        for table in TABLES:
            rows = rows_of(scale, table)
            yield QUICK.attempt(
                f"{table} is read", partial(while_reading, server, other, table, rows)
            )
        for table in ("hashes", "strings"):
            what = f"{table} is read with `max_server_share` {SHARE}"
            yield WITHIN_SHARE.attempt(what, partial(share, server, table, rows_of(scale, table)))


UNNOTICED = Condition(
    "unnoticed",
    "Not noticed",
    "How long PING takes a second client, said a millisecond after the last answer, those that "
    "could not be said meanwhile counted in. The server beside it is not read: its PINGs wait for "
    "nothing but a core. A read's share is the CPU time of the server's main thread over the read's wall time.",
    findings,
)
