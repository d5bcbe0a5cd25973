"""Ctrl-C ends whatever is going on, soon, and as a KeyboardInterrupt."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import data, peers
from tests.servers import HOST, Server

SOON = 20.0
"""Seconds until the process must have ended; it is to take one at most."""

UNDER_WAY = 0.5
"""Seconds after which what was begun is in the middle of it."""

LARGE_DB = 4
LARGE_KEYS = 200
ROWS = 100_000
STREAMS = 2_000

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def large(one_server: Server) -> Iterator[Server]:
    """A server with too much to be read before anyone can press Ctrl-C."""
    with one_server.client(LARGE_DB) as client:
        client.flushdb()
        pipe = client.pipeline(transaction=False)
        for number in range(LARGE_KEYS):
            client.set(f"large:{number}", data.MEGABYTE)
        for number in range(ROWS // 10):
            pipe.hset(f"hash:{number}", mapping={f"field {n}": "value" for n in range(10)})
        for number in range(STREAMS):
            pipe.xadd(f"stream:{number}", {"f": "v"})
        pipe.execute()
        yield one_server
        client.flushdb()


@contextmanager
def process(scenario: str, options: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is about to begin a scenario."""
    # No deadline may end what only the interrupt shall end.
    patient = {"socket_timeout": "600", "socket_connect_timeout": "600"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.interrupted", scenario, json.dumps(options | patient)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert line_of(child) == "ready"
            yield child
        finally:
            child.kill()


def line_of(child: subprocess.Popen[str]) -> str:
    """The next line that a process says."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def interrupt(child: subprocess.Popen[str]) -> None:
    """Let the process begin, interrupt it, and see that it ends as it must."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    assert line_of(child) == "begun"
    time.sleep(UNDER_WAY)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.wait(SOON)
    assert line_of(child) == "interrupted"
    assert child.returncode == 0


@pytest.mark.parametrize(
    "scenario",
    ["waiting_in_for", "waiting_in_batches", "waiting_in_pyarrow", "waiting_in_len"],
)
def test_a_read_that_waits_for_the_server_is_interrupted(large: Server, scenario: str) -> None:
    with ExitStack() as stack:
        child = stack.enter_context(process(scenario, large.options(db=str(LARGE_DB))))
        stack.enter_context(large.stopped())
        interrupt(child)


@pytest.mark.parametrize("scenario", ["busy_in_for", "busy_in_pyarrow", "busy_planning"])
def test_a_read_that_is_busy_is_interrupted(large: Server, scenario: str) -> None:
    with process(scenario, large.options(db=str(LARGE_DB))) as child:
        interrupt(child)


@pytest.mark.parametrize("scenario", ["planning", "testing"])
def test_a_connection_that_gets_no_answer_is_interrupted(scenario: str) -> None:
    with peers.silent() as port, process(scenario, {"host": HOST, "port": str(port)}) as child:
        interrupt(child)


def test_a_connection_that_is_not_accepted_is_interrupted() -> None:
    with peers.full() as port, process("planning", {"host": HOST, "port": str(port)}) as child:
        interrupt(child)
