"""One measurement, in a process of its own, so that its peak memory is its own.

`python -m benches.child CONTESTANT TASK`, the task as JSON, prints a `Sample` as JSON.
"""

import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import redis

from benches.contestants import CONTESTANTS
from benches.reading import Contestant, Sample, Task


def most_memory() -> int:
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


def measure(contestant: Contestant, task: Task) -> Sample:
    """Let the contestant read once."""
    for module in contestant.modules:
        import_module(module)
    with redis.Redis.from_url(task.url) as client:
        server_before = server_seconds(client)
        imports = most_memory()
        started = time.monotonic()
        read = contestant.read(task)
        wall = time.monotonic() - started
        server = server_seconds(client) - server_before
    return Sample(read.rows, read.keys, started, wall, server, imports, most_memory())


if __name__ == "__main__":
    name, task = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(measure(CONTESTANTS[name], Task(**json.loads(task))))))
