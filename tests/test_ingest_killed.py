"""Runs that are killed again and again while others write: each entry lands once, and each snapshot whole."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import redis
from deltalake import DeltaTable

from tests import lake
from tests.killed_ingest import SPECS
from tests.servers import Server
from tests.written import assert_whole, landed, writing

KILLS = int(os.environ.get("KILLS", "15"))
"""A hundred take some minutes."""

TABLES = [spec.table for spec in SPECS]
FOREVER = 100.0
"""Seconds for a run that shall end by itself."""

ROOT = Path(__file__).parent.parent


class Runs:
    """A process that starts runs and kills them."""

    def __init__(self, options: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killed_ingest", json.dumps(options)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, to: Path, seconds: float) -> bool:
        """Let a run live so long at most; gives whether it ended by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds} {to}\n")
        self._process.stdin.flush()
        outcome = self._process.stdout.readline().strip()
        assert outcome in {"killed", "ended 0"}
        return outcome != "killed"

    def measure(self, to: Path) -> float:
        """How long a run takes, in seconds: the second one in a lake of its own."""
        for _ in range(2):
            started = time.monotonic()
            assert self.run(to, FOREVER)
        return time.monotonic() - started

    def stop(self) -> None:
        """End the process, which has no run now."""
        self._process.kill()
        self._process.communicate()


def versions(to: Path) -> dict[str, int]:
    """The version of each table, -1 before the first."""
    return {
        table: lake.version(to, table) if DeltaTable.is_deltatable(str(to / table)) else -1
        for table in TABLES
    }


def files(to: Path) -> dict[str, set[str]]:
    """The names of the data files of each table, complete or not, and wherever they are."""
    return {table: {path.name for path in (to / table).rglob("*.parquet")} for table in TABLES}


@pytest.mark.timeout(900)
def test_every_entry_lands_once_and_each_snapshot_whole_however_often_runs_are_killed(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    to = tmp_path / "lake"
    runs = Runs(one_server.options())
    killed, ended, interrupted, cut_off = 0, 0, 0, Counter[str]()
    try:
        with writing(one_server, random.Random(seed + 1)) as added:
            longest = runs.measure(tmp_path / "measured")
            while killed < KILLS:
                before, there = versions(to), files(to)
                if runs.run(to, rng.uniform(0, longest)):
                    ended += 1
                    continue
                killed += 1
                after, left = versions(to), files(to)
                cut = [
                    name
                    for name in TABLES
                    if left[name] > there[name] and after[name] == before[name]
                ]
                interrupted += bool(cut)
                cut_off.update(cut)
                doubled = {entry: n for entry, n in landed(to).items() if n != 1}
                assert not doubled
        assert runs.run(to, FOREVER)
    finally:
        runs.stop()
    print(
        f"{killed} runs killed, {ended} ended before; {interrupted} kills between the first write and "
        f"the commit, of {dict(cut_off)}; {len(added)} entries"
    )
    assert_whole(one_client, to, added)
    assert interrupted, "no kill came between the first write and the commit"
