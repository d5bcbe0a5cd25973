"""Runs of `ingest` that are killed some seconds after they began; run by `test_ingest_killed`.

`python -m tests.killed_ingest OPTIONS` reads from its input, line by line, after how many seconds a run is to be
killed, and where it lands, and says of each what came of it: "killed", or "ended" and its exit status.

Each run is a fork of this process, which has imported everything by then, and started no thread.
"""

import json
import os
import signal
import sys
import time
import traceback

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import TableSpec, ingest

SPECS = (
    TableSpec("hashes", mode="merge"),
    TableSpec("strings", mode="history"),
    TableSpec("streams"),
)
"""A table for each way of landing that goes on from what is there."""

PAUSE = 0.001
"""Between two looks whether a run has ended."""


def run(options: dict[str, str], lake: str) -> None:
    """Land all tables, and end this process."""
    status = 1
    try:
        ingest(LakeflowConnect(options), lake, SPECS)
        status = 0
    except Exception:  # noqa: BLE001 - whatever it was, its parent must not go on here.
        traceback.print_exc()
    finally:
        os._exit(status)


def outcome(process: int, seconds: float) -> str:
    """Kill a run once its time has come, unless it has ended by then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return f"ended {os.waitstatus_to_exitcode(status)}"
        time.sleep(PAUSE)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "killed"


def main(options: str) -> None:
    """Start runs as long as somebody asks for them."""
    for line in sys.stdin:
        seconds, _, lake = line.strip().partition(" ")
        process = os.fork()
        if process == 0:
            run(json.loads(options), lake)
        print(outcome(process, float(seconds)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
