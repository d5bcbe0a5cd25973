"""How fast other Python threads go on while one streams a table."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from importlib import import_module
from statistics import median

from benches.child import measure
from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import TABLES, check, read, rows_of, url_of
from benches.contestants import CONTESTANTS, OURS
from benches.data import load
from benches.limits import Limit
from benches.reading import Sample, Task
from tests.servers import REDIS_7_0, Server

PACE = Wanted("at least 0.80 of the pace beside a process", Limit(0.80, at_least=True))
COUNTS = 10_000
"""Counted between two looks at the clock: about a third of a millisecond."""
TURNS = 3
ALONE_SECONDS = 1.0


def pace_beside(stream: Callable[[], Sample]) -> tuple[float, float]:
    """Count while a table is streamed in another thread; return counts a second, and seconds."""
    with ThreadPoolExecutor(1) as threads:
        streaming = threads.submit(stream)
        looks = [time.monotonic()]
        while not streaming.done():
            for _ in range(COUNTS):
                pass
            looks.append(time.monotonic())
        sample = streaming.result()
    started, wall = sample.started, sample.wall_seconds
    counted = (bisect_left(looks, started + wall) - bisect_left(looks, started)) * COUNTS
    return counted / wall, wall


def in_thread(task: Task, rows: int) -> Sample:
    """Stream in this very process."""
    sample = measure(CONTESTANTS[OURS], task)
    check(sample, task.table, rows)
    return sample


def idle() -> Sample:
    """Stream nothing for a while."""
    started = time.monotonic()
    time.sleep(ALONE_SECONDS)
    return Sample(0, None, started, time.monotonic() - started, 0, 0, 0)


def kept(server: Server, table: str, rows: int, alone: float) -> tuple[str, float]:
    """Return how much of its pace counting keeps, when the process becomes a thread."""
    url = url_of(server)
    beside_process, beside_thread = [], []
    for _ in range(TURNS):
        beside_process.append(pace_beside(partial(read, url, table, rows)))
        beside_thread.append(pace_beside(partial(in_thread, Task(url, table), rows)))
    (process, process_wall), (thread, thread_wall) = (
        [median(column) for column in zip(*paces, strict=True)]
        for paces in (beside_process, beside_thread)
    )
    figures = (
        f"beside a process {process / 1e6:.1f} M/s, the read {process_wall:.2f} s; "
        f"beside a thread {thread / 1e6:.1f} M/s, the read {thread_wall:.2f} s, "
        f"{thread / alone:.2f} of the pace alone"
    )
    return figures, thread / process


def findings(scale: Fraction) -> Iterator[Finding]:
    """Measure each table."""
    for module in CONTESTANTS[OURS].modules:
        import_module(module)
    with Server(REDIS_7_0) as server:
        load(server.host, server.port, scale)
        alone, _ = pace_beside(idle)
        yield Finding("nothing is read", f"{alone / 1e6:.1f} M/s")
        for table in TABLES:
            yield PACE.attempt(
                f"{table} is streamed", partial(kept, server, table, rows_of(scale, table), alone)
            )


GIL = Condition(
    "gil",
    "The GIL",
    "How many times a second a Python thread goes round a loop while a table is streamed through "
    "`.batches()`: by a thread of its own process, and by another process, which has a GIL of its "
    "own. Either way the server, the reader and the loop share the machine's cores, so that what "
    "is left of a difference is the GIL. The median of three turns.",
    findings,
)
