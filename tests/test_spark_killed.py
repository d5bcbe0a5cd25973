"""A streaming query that is killed again and again, and lands every entry once."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.servers import Server
from tests.waiting import until

ENTRIES = 50_000
STREAMS = 20
KILLS = int(os.environ.get("KILLS", "5"))
"""Each takes some ten seconds, so that only now and then there are twenty."""

LIVES = (0, 1, 1, 2, 3)
"""How often a query may note that a micro-batch is planned or done before it is killed."""
LATER_SECONDS = 1.0
"""Until it is, at most, from then on."""
LONGEST_SECONDS = 30.0
"""Until a query is killed all the same."""

CHUNK = 50
"""Entries that are added at once."""


class Query:
    """A process with a query, and those that it has started."""

    def __init__(self, folder: Path, options: dict[str, str]) -> None:
        self._log = (folder / "log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.spark_query", str(folder), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )

    def tell(self, word: str) -> None:
        """Wait until Spark is there, and let the query begin."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process.wait() == 0

    def kill(self) -> None:
        """End it as a machine that goes down would, with Spark's JVM, which is of its session."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


@contextmanager
def writing(server: Server, rng: random.Random) -> Iterator[list[tuple[str, str]]]:
    """Add all entries, bit by bit, until the end; gives a list of them that grows."""
    added: list[tuple[str, str]] = []
    stop = threading.Event()

    def write() -> None:
        with server.client() as client:
            while len(added) < ENTRIES:
                add(client, added, rng)
                # Spread over the kills, of which each takes some seconds; the rest comes at once.
                if not stop.is_set():
                    time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield added
    finally:
        stop.set()
        writer.join()


def add(client: redis.Redis, added: list[tuple[str, str]], rng: random.Random) -> None:
    """Add some entries to streams at random."""
    names = [f"stream:{rng.randrange(STREAMS)}" for _ in range(CHUNK)]
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.xadd(name, {"n": len(added)})
    added += [
        (name, entry_id.decode()) for name, entry_id in zip(names, pipe.execute(), strict=True)
    ]


def batches(folder: Path, kind: str) -> set[str]:
    """The micro-batches in the checkpoint that are planned (`offsets`) or done (`commits`)."""
    return {path.name for path in (folder / "checkpoint" / kind).glob("[0-9]*")}


def noted(folder: Path) -> list[str]:
    """Both, one after the other."""
    return [*batches(folder, "offsets"), *batches(folder, "commits")]


def is_in_a_batch(folder: Path) -> bool:
    """Whether a micro-batch is planned and not done."""
    return batches(folder, "offsets") != batches(folder, "commits")


def live(folder: Path, rng: random.Random, number: int) -> None:
    """Wait for a moment at random, which is not so soon on a slow machine that nothing is done.

    The first life ends in the middle of a micro-batch, and the second one after it has done one.
    """
    if number < len(SURE):
        done = len(batches(folder, "commits"))
        until("a micro-batch", lambda: SURE[number](folder, done))
        return
    notes = len(noted(folder)) + rng.choice(LIVES)
    deadline = time.monotonic() + LONGEST_SECONDS
    while len(noted(folder)) < notes and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(rng.uniform(0, LATER_SECONDS))


SURE: list[Callable[[Path, int], bool]] = [
    lambda folder, _: is_in_a_batch(folder),
    lambda folder, done: len(batches(folder, "commits")) > done,
]
"""What the first lives wait for, so that nothing of it is left to chance."""


@pytest.mark.timeout(900)
def test_every_entry_lands_once_however_often_the_query_is_killed(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    options = one_server.options(max_records_per_batch="3000", num_partitions="2")
    interrupted = 0
    query = Query(tmp_path, options)
    try:
        with writing(one_server, random.Random(seed + 1)) as added:
            for number in range(KILLS):
                query.tell("go")
                # The next one starts up meanwhile.
                after = Query(tmp_path, options)
                live(tmp_path, rng, number)
                query.kill()
                query = after
                interrupted += is_in_a_batch(tmp_path)
            written, done = len(added), len(batches(tmp_path, "commits"))
        query.tell("finish")
        query.wait()
    finally:
        query.kill()
    print(f"{written} entries and {done} batches between kills, of which {interrupted} cut one off")
    landed = {
        (key, entry_id): n
        for key, entry_id, n in json.loads((tmp_path / "landed.json").read_text())
    }
    assert {entry: n for entry, n in landed.items() if n != 1} == {}
    assert landed.keys() == set(added)
    assert len(added) == ENTRIES
    assert done, "no query came to its first end before it was killed"
    assert interrupted, "no kill came in the middle of a micro-batch"
