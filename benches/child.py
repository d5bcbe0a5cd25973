"""One measurement, in a process of its own, so that its peak memory is its own.

`python -m benches.child URL CONTESTANT [TABLE]` prints a `Sample` as JSON. Without a
table nothing is read: that is what importing alone costs.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import redis

from benches.contestants import CONTESTANTS
from benches.reading import Read


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured around one read."""

    rows: int
    keys: int | None
    wall_seconds: float
    server_seconds: float
    """CPU time that the server's main thread spent meanwhile."""
    peak_bytes: int
    """The most memory that this process ever had."""


def peak_bytes() -> int:
    """Return the peak of this process' resident memory.

    From `VmHWM` and not from `ru_maxrss`, which starts at the parent's size when a process
    is started from it.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def server_seconds(client: redis.Redis) -> float:
    """Return the CPU time that the server's main thread has spent so far."""
    cpu = client.info("cpu")
    return float(cpu["used_cpu_sys_main_thread"]) + float(cpu["used_cpu_user_main_thread"])


def measure(url: str, name: str, table: str | None) -> Sample:
    """Let the contestant read the table once."""
    contestant = CONTESTANTS[name]
    for module in contestant.modules:
        import_module(module)
    with redis.Redis.from_url(url) as client:
        server_before = server_seconds(client)
        started = time.perf_counter()
        read = contestant.read(url, table, contestant.sample) if table else Read(rows=0, keys=0)
        wall = time.perf_counter() - started
        server = server_seconds(client) - server_before
    return Sample(read.rows, read.keys, wall, server, peak_bytes())


if __name__ == "__main__":
    url, name, *tables = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(measure(url, name, next(iter(tables), None)))))
