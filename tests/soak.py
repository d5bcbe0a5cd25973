"""`ingest` for an hour, while others write and connections fail in every way; run by `make soak`.

`python -m tests.soak SECONDS [SEED]`. Fails unless each entry has landed once in the end and each snapshot is what an
independent reader finds, and unless the process that ingests has no more memory, descriptors and threads in the end
than it had when it was warm.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

from tests import faults
from tests.faults import Fault, Said
from tests.servers import HOST, REDIS_7_0, Server
from tests.soaked_ingest import Round
from tests.written import assert_whole, writing

ROOT = Path(__file__).parent.parent

PAUSE = 0.1
"""Seconds between two writes: an hour is half a million entries."""

OPTIONS = {
    "socket_timeout": "1",
    "socket_connect_timeout": "1",
    "retry_deadline": "3",
    "batch_size": "100",
    "max_in_flight_bytes": "65536",
}
"""Short deadlines, so that a round is soon over, and many small flights."""

SOUND = 0.5
"""The share of connections to which nothing happens."""

LONGEST = 200_000
"""Bytes after which a connection fails at the latest: most of what is said over one."""

MORE_MEMORY = 1.15
"""By how much the memory of the last third may be above that of the middle one: a table's log grows."""

MORE = 2
"""Descriptors, or threads, by which the last third may differ: the system's own come and go."""


@dataclass
class Soak:
    """A process that ingests, round after round, and what came of it.

    Args:
        options: of its connector.
        to: the lake.
    """

    options: dict[str, str]
    to: Path
    rounds: list[Round] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soaked_ingest", json.dumps(self.options), str(self.to)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def round(self) -> Round:
        """Let it run once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = Round(**json.loads(self._process.stdout.readline()))
        assert not told.unforeseen, told.unforeseen
        self.rounds.append(told)
        return told

    def assert_no_growth(self) -> None:
        """Fail where it has more in the last third of its rounds than in the middle one."""
        third = len(self.rounds) // 3
        middle, last = self.rounds[third : 2 * third], self.rounds[2 * third :]
        allowed = median(one.rss for one in middle) * MORE_MEMORY
        assert median(one.rss for one in last) <= allowed, self.summary()
        for name in ("descriptors", "threads"):
            before, after = (median(getattr(one, name) for one in part) for part in (middle, last))
            assert after <= before + MORE, self.summary()

    def summary(self) -> str:
        """What came of it, in a few lines."""
        kinds = Counter(error.partition(":")[0] for one in self.rounds for error in one.errors)
        failed = sum(bool(one.errors) for one in self.rounds)
        marks = self.rounds[:: max(len(self.rounds) // 8, 1)]
        return "\n".join(
            [
                f"{len(self.rounds)} rounds, of which {failed} had errors: {dict(kinds)}",
                f"tried again {sum(one.retries for one in self.rounds)} times",
                f"MB: {[one.rss // 10**6 for one in marks]}",
                f"descriptors: {[one.descriptors for one in marks]}",
                f"threads: {[one.threads for one in marks]}",
            ]
        )


def misbehaving(rng: random.Random) -> Fault:
    """Something else for each connection, by chance."""

    def fault(said: Said) -> Said:
        if rng.random() < SOUND:
            return said
        place = int(LONGEST ** rng.random())
        kinds = [
            *(faults.cut(place), faults.cut(place), faults.reset(place), faults.silence(place)),
            *(faults.delay(0.01), faults.throttle(500_000)),
        ]
        return rng.choice(kinds)(said)

    return fault


def soak(seconds: float, seed: int) -> str:
    """Ingest for so long; gives a summary.

    Raises:
        AssertionError: something is lost, doubled, or grows.
    """
    rng = random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(REDIS_7_0) as server,
        faults.Proxy(server.port, misbehaving(rng)) as proxy,
        Soak({"host": HOST, "port": str(proxy.port), **OPTIONS}, Path(folder) / "lake") as soaked,
    ):
        deadline = time.monotonic() + seconds
        with writing(server, random.Random(seed + 1), PAUSE) as added:
            while time.monotonic() < deadline:
                soaked.round()
        proxy.every = faults.whole
        last = soaked.round()
        assert not last.errors, last.errors
        with server.client() as client:
            assert_whole(client, soaked.to, added)
        soaked.assert_no_growth()
        assert any(one.errors for one in soaked.rounds), "nothing failed"
        assert any(one.retries for one in soaked.rounds), "nothing was tried again"
        return f"{soaked.summary()}\n{len(added)} entries, each landed once"


def main(seconds: str, seed: str | None = None) -> None:
    """Say by what seed, so that it can be had again, and what came of it."""
    number = random.SystemRandom().randrange(2**32) if seed is None else int(seed)
    print(f"seed {number}", flush=True)
    print(soak(float(seconds), number))


if __name__ == "__main__":
    main(*sys.argv[1:])
