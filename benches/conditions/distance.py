"""How much longer a read takes from a server that is further away."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

from benches.conditions.delay import distant
from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import TABLES, read, rows_of, url_of
from benches.data import load
from benches.limits import Limit
from benches.running import ReadFailedError
from tests.servers import REDIS_7_0, Server

DELAYS = {
    0.001: Wanted("1 ms: at most 1.3 × the loopback's time", Limit(1.3)),
    0.010: Wanted("10 ms: at most 2 × the loopback's time", Limit(2.0)),
}
"""By seconds each way."""
TURNS = 3


def findings(scale: Fraction) -> Iterator[Finding]:
    """Measure each table at each distance, by turns."""
    with Server(REDIS_7_0) as server, ExitStack() as proxies:
        load(server.host, server.port, scale)
        urls = {"loopback": url_of(server)}
        for delay in (0.0, *DELAYS):
            port = proxies.enter_context(distant(server.host, server.port, delay))
            urls[f"{delay * 1000:g} ms"] = url_of(server, port)
        for table in TABLES:
            yield from of_table(table, rows_of(scale, table), urls)


def of_table(table: str, rows: int, urls: dict[str, str]) -> Iterator[Finding]:
    """Read one table at each distance, and judge the best of the turns."""
    best: dict[str, float] = {}
    for _ in range(TURNS):
        for name, url in urls.items():
            try:
                seconds = read(url, table, rows).wall_seconds
            except ReadFailedError as error:
                yield Finding(f"{table}, {name}", f"failed: {error}", "read", "MISSED")
                return
            best[name] = min(seconds, best.get(name, seconds))
    figures = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items())
    for delay, wanted in DELAYS.items():
        ratio = best[f"{delay * 1000:g} ms"] / best["loopback"]
        yield wanted.judge(table, figures, ratio)


DISTANCE = Condition(
    "distance",
    "Distance",
    "Through a proxy that delays every byte each way and holds back none otherwise; 0 ms is what "
    "the proxy itself costs, as a third process on the machine. The best of three turns.",
    findings,
)
