"""How fast tables come into Spark, and micro-batches are planned."""

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from statistics import median

import redis
from lakeflow_redis import LakeflowConnect

from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import rows_of, url_of
from benches.data import FAMILIES, load
from benches.limits import Limit
from benches.running import run
from tests.servers import REDIS_7_0, Server

PACE = Wanted("at least 1 M rows/s", Limit(1.0, at_least=True))
OVER_DICTS = Wanted("at least 8 × as fast as dicts in one partition", Limit(8.0, at_least=True))
PLANNING = Wanted("at most 0.5 s", Limit(0.5))
DICTS = "as dicts, one partition"
TURNS = 5


def findings(scale: Fraction) -> Iterator[Finding]:
    """Measure both."""
    yield from into_spark(scale)
    yield from planning(scale)


def into_spark(scale: Fraction) -> Iterator[Finding]:
    """Read hashes in several ways."""
    rows = rows_of(scale, "hashes")
    with Server(REDIS_7_0) as server:
        load(server.host, server.port, scale, "hashes")
        took = run(sys.executable, "benches.spark", url_of(server))
    best = min((name for name in took if name.startswith("ours")), key=lambda name: took[name])
    for name, seconds in took.items():
        what = f"{rows:,} rows of hashes: {name}"
        figures = f"{seconds:.2f} s, {rows / seconds:,.0f} rows/s"
        if name == best:
            yield PACE.judge(what, figures, rows / seconds / 1e6)
            yield OVER_DICTS.judge(what, figures, took[DICTS] / seconds)
        else:
            yield Finding(what, figures)


def planning(scale: Fraction) -> Iterator[Finding]:
    """Plan micro-batches over many streams."""
    streams = next(family for family in FAMILIES if family.table == "streams").count(scale)
    with Server(REDIS_7_0) as server, server.client() as client:
        load(server.host, server.port, scale, "streams")
        connector = LakeflowConnect({"url": url_of(server), "num_partitions": "2"})
        idle, busy = [], []
        offset = connector.latest_offset("streams", None, {})
        for _ in range(TURNS):
            started = time.monotonic()
            assert connector.latest_offset("streams", None, offset) == offset
            idle.append(time.monotonic() - started)
            add_to_each(client)
            started = time.monotonic()
            end = connector.latest_offset("streams", None, offset)
            parts = connector.get_partitions("streams", None, offset, end)
            busy.append(time.monotonic() - started)
            assert parts
            offset = end
    for what, took in (("nothing came", idle), ("an entry came to each", busy)):
        figures = f"{median(took):.2f} s, at most {max(took):.2f} s"
        yield PLANNING.judge(f"planning over {streams:,} streams, {what}", figures, median(took))


def add_to_each(client: redis.Redis) -> None:
    """Add an entry to every stream."""
    pipe = client.pipeline(transaction=False)
    for name in client.scan_iter(count=1_000):
        pipe.xadd(name, {"n": 1})
    pipe.execute()


SPARK = Condition(
    "spark",
    "Spark",
    "Into the sink that drops rows, by Spark 4.3 with `local[2]`, from a server with nothing else; the best of three turns after a first query, and "
    "one turn for the others. As dicts is by the Lakeflow framework's adapter, and what stands in for the framework in the tests: a dict for each row, and of it a tuple. With redis-py "
    "and hiredis: a pipeline per page of SCAN, a list of tuples, `createDataFrame`. Planning is `latest_offset` and, where something came, "
    "`get_partitions`: the median of five turns.",
    findings,
)
