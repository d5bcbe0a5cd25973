"""A merge that cannot be done, or is broken off, changes nothing, leaves nothing behind and says why."""

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import Changes, LakeError, TableSpec, changes, ingest
from lakeflow_redis.ingest.changes import Comparison

from tests import lake, snapshots
from tests.conftest import Connect
from tests.contract import TABLES
from tests.interrupted_merge import PHASES
from tests.oracle import Row
from tests.servers import Server
from tests.test_interrupt import SOON, line_of
from tests.test_pages import meanwhile

BY_KEY = pytest.mark.parametrize("mode", ["merge", "history"])
ROOT = Path(__file__).parent.parent


def listing(folder: Path) -> set[Path]:
    """Everything in a folder, at any depth, but for the receipts."""
    return {path for path in folder.rglob("*") if "_lakeflow_runs" not in path.parts}


def fill(client: redis.Redis, rows: int) -> None:
    """Make hashes of ten fields, each of some 60 bytes."""
    pipe = client.pipeline(transaction=False)
    for number in range(rows // 10):
        pipe.hset(f"hash:{number:020}", mapping={f"field {n}": f"{n:031}" for n in range(10)})
    pipe.execute()


# Ctrl-C


@BY_KEY
@pytest.mark.parametrize("phase", PHASES)
def test_it_is_interrupted_soon_and_leaves_nothing(
    one_server: Server, one_client: redis.Redis, tmp_path: Path, phase: str, mode: str
) -> None:
    fill(one_client, 20_000)
    connector = LakeflowConnect(one_server.options())
    spec = TableSpec("hashes", mode=mode)  # type: ignore[arg-type]
    ingest(connector, tmp_path, [spec])
    one_client.hset(f"hash:{0:020}", "field 0", "changed")
    before = listing(tmp_path)
    arguments = [phase, mode, json.dumps(one_server.options()), str(tmp_path)]
    command = [sys.executable, "-m", "tests.interrupted_merge", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert line_of(child) == "begun"
            child.send_signal(signal.SIGINT)
            child.wait(SOON)
            assert line_of(child) == "interrupted"
            assert child.returncode == 0
        finally:
            child.kill()
    assert listing(tmp_path) == before
    (result,) = ingest(connector, tmp_path, [spec])
    assert result.changes is not None
    assert result.changes.updated == 1


# A full disk


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process become larger, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@BY_KEY
def test_a_disk_that_is_full_is_an_error_that_says_so(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    fill(one_client, 100_000)
    spec = TableSpec("hashes", mode=mode)  # type: ignore[arg-type]
    ingest(one_connect(), tmp_path, [spec])
    before = listing(tmp_path)
    one_client.hset(f"hash:{0:020}", "field 0", "changed")
    largest = max(path.stat().st_size for path in before)
    with monkeypatch.context() as patched, largest_file(largest + 1_000_000):
        patched.setattr(changes, "MEMORY_BYTES", 8 * 2**20)
        with pytest.raises(LakeError, match=r"could not be compared.*File too large"):
            ingest(one_connect(), tmp_path, [spec])
    assert listing(tmp_path) == before
    ingest(one_connect(), tmp_path, [spec])
    assert lake.version(tmp_path, "hashes") == 1


# Rows with the same primary key


@BY_KEY
def test_names_that_become_the_same_are_refused(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: str
) -> None:
    spec = TableSpec("hashes", mode=mode)  # type: ignore[arg-type]
    one_client.hset("h", mapping={"f": "v", b"\xff": "w"})
    replacing = one_connect(invalid_utf8="replace")
    ingest(replacing, tmp_path, [spec])
    before = listing(tmp_path)
    one_client.hset("h", mapping={b"\xfe": "x", "g": "y"})
    with pytest.raises(LakeError, match=r"1 rows have the primary key.*'h'.*value_type=binary"):
        ingest(replacing, tmp_path, [spec])
    assert listing(tmp_path) == before
    ingest(one_connect(value_type="binary"), tmp_path / "binary", [spec])
    assert len(lake.rows(tmp_path / "binary", "hashes")) == 4
    one_client.hdel("h", b"\xfe")
    ingest(replacing, tmp_path, [spec])
    assert len(lake.rows(tmp_path, "hashes")) == 3


COUNT = 10_000


def fill_large(client: redis.Redis) -> None:
    """Make a sorted set that needs many pages."""
    client.zadd("large", {f"{number} {'x' * 300}": number for number in range(COUNT)})
    client.zadd("small", {"m": 1})


def reorder(client: redis.Redis, number: int) -> None:
    """Put members last that came first, so that whoever reads in pages meets them again."""
    first: Any = client.zrange("large", 0, 200)
    client.zadd("large", dict.fromkeys(first, COUNT + number))


@pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")
@BY_KEY
def test_rows_of_a_key_that_changes_land_once(
    one_server: Server, one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: str
) -> None:
    fill_large(one_client)
    spec = TableSpec("sorted_sets", mode=mode)  # type: ignore[arg-type]
    connector = one_connect(max_in_flight_bytes="65536")
    with meanwhile(one_server, reorder):
        for _ in range(2):
            (result,) = ingest(connector, tmp_path, [spec])
            assert result.receipt["keys_inconsistent"] == 1
            snapshots.contents("sorted_sets", current(tmp_path))
    ingest(connector, tmp_path, [spec])
    wanted = snapshots.expected({0: one_client}, "sorted_sets")
    snapshots.assert_same("sorted_sets", current(tmp_path), wanted)


def current(to: Path) -> list[Row]:
    """The rows of sorted sets that have not ended."""
    return [
        {name: value for name, value in row.items() if not name.startswith("valid_")}
        for row in lake.rows(to, "sorted_sets")
        if row.get("valid_to") is None
    ]


def test_of_rows_that_come_twice_the_last_one_counts(tmp_path: Path) -> None:
    """The core remembers a million members, so that it takes more to make it give one twice."""
    schema = TABLES["sets"].schema()
    numbers = [3, 1, 2, 1, 3, 3]
    rows = [
        {"key_name": "s", "member": f"{number}", "set_cardinality": place}
        for place, number in enumerate(numbers)
    ]
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, part in zip(paths, (rows[:4], rows[4:]), strict=True):
        pq.write_table(pa.Table.from_pylist(part, schema.remove_metadata()), path)
    with Comparison(tmp_path, len(rows), schema, ["key_name", "member"]) as compared:
        assert compared.take(paths, may_repeat=True) == 3
        assert compared.with_those([], schema) == Changes(inserted=3)
        found = {file: sorted(compared.rows("new", file).to_pylist()) for file in (0, 1)}
    assert found == {0: [2, 3], 1: [1]}


@pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")
def test_names_that_become_the_same_are_refused_beside_a_key_that_changes(
    one_server: Server, one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    """Where a row can be there twice for either reason, it is not taken for the harmless one."""
    fill_large(one_client)
    one_client.zadd("small", {b"\xff": 2, b"\xfe": 3})
    connector = one_connect(max_in_flight_bytes="65536", invalid_utf8="replace")
    with (
        meanwhile(one_server, reorder),
        pytest.raises(LakeError, match="rows have the primary key"),
    ):
        ingest(connector, tmp_path, [TableSpec("sorted_sets", mode="merge")])
