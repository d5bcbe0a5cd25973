"""What is written while it is ingested, and whether all of it landed."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from deltalake import DeltaTable

from tests import lake, snapshots
from tests.servers import Server
from tests.streams import Entry
from tests.test_ingest_history import assert_sound

STREAMS, HASHES, STRINGS = 20, 200, 100
CHUNK = 20
"""Entries that are added at once."""

PAUSE = 0.01
"""After each chunk: so much comes during a run that its read takes a while, and not for ever more."""


@contextmanager
def writing(server: Server, rng: random.Random, pause: float = PAUSE) -> Iterator[list[Entry]]:
    """Add to streams, and change hashes and strings, until the end; gives a list of entries that grows.

    Args:
        server: where to.
        rng: says what.
        pause: seconds after each change of a bit of everything.
    """
    added: list[Entry] = []
    stop = threading.Event()

    def write() -> None:
        with server.client() as client:
            while not stop.wait(pause):
                added.extend(change(client, rng))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield added
    finally:
        stop.set()
        writer.join()


def change(client: redis.Redis, rng: random.Random) -> list[Entry]:
    """Change a bit of everything; gives the entries that were added."""
    pipe = client.pipeline(transaction=False)
    names = [f"stream:{rng.randrange(STREAMS)}" for _ in range(CHUNK)]
    for name in names:
        pipe.xadd(name, {"value": rng.randrange(1_000)})
    for _ in range(3):
        pipe.hset(f"hash:{rng.randrange(HASHES)}", f"f{rng.randrange(5)}", rng.randrange(1_000))
    pipe.delete(f"hash:{rng.randrange(HASHES)}")
    pipe.set(f"string:{rng.randrange(STRINGS)}", rng.randrange(1_000))
    pipe.delete(f"string:{rng.randrange(STRINGS)}")
    replies = pipe.execute()
    return [(name, entry_id.decode()) for name, entry_id in zip(names, replies, strict=False)]


def landed(to: Path) -> Counter[Entry]:
    """How often each entry has landed."""
    return Counter(lake.entries(to) if DeltaTable.is_deltatable(str(to / "streams")) else [])


def assert_whole(client: redis.Redis, to: Path, added: list[Entry]) -> None:
    """Fail unless all that was ever written is in the lake, as it is now."""
    assert landed(to) == Counter(added)
    snapshots.assert_same(
        "hashes", lake.rows(to, "hashes"), snapshots.expected({0: client}, "hashes")
    )
    history = lake.rows(to, "strings")
    assert_sound("strings", history, [row["valid_to"] for row in history if row["valid_to"]])
    current = [row for row in history if row["valid_to"] is None]
    for row in current:
        del row["valid_from"], row["valid_to"]
    snapshots.assert_same("strings", current, snapshots.expected({0: client}, "strings"))
