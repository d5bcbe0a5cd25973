"""SIGTERM at thousands of moments around the beginning of a wait; run by `test_schedule`.

`python -m tests.woken TIMES` ends once every signal has ended its wait, and waits for one that was not heard.
"""

import os
import random
import signal
import sys
import time

from lakeflow_redis.pipeline.schedule import Stop

LATEST = 40e-6
"""Seconds after the wait was announced; it begins a few microseconds after that."""

LONG = 600.0


def send(to: int, announced: int) -> None:
    """Send a signal a moment after each byte."""
    while os.read(announced, 1):
        until = time.perf_counter() + random.random() * LATEST
        while time.perf_counter() < until:
            pass
        os.kill(to, signal.SIGTERM)


def main(times: str) -> None:
    """Wait again and again, while a process of its own sends signals."""
    announced, announce = os.pipe()
    waits = os.getpid()
    if os.fork() == 0:
        os.close(announce)
        send(waits, announced)
        os._exit(0)
    for _ in range(int(times)):
        with Stop() as stop:
            os.write(announce, b"\0")
            assert stop.wait(LONG)


if __name__ == "__main__":
    main(*sys.argv[1:])
