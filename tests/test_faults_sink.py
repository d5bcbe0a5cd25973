"""Wherever `ingest` fails, at the server or at the lake, a table is as before or as after, and the next run lands it once."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from deltalake import DeltaTable
from lakeflow_redis import LakeflowConnect, RedisConnectionError
from lakeflow_redis.ingest import Lake, LakeError, TableSpec, ingest
from lakeflow_redis.ingest.landing import NOTE
from lakeflow_redis.ingest.model import FileFormat

from tests import faults, lake, oracle, sound
from tests.conversation import through
from tests.faults import Proxy
from tests.parquet import files, parquet_rows
from tests.servers import Server


@dataclass(frozen=True)
class Target:
    """A table in a lake, and how it is read back."""

    format: FileFormat
    spec: TableSpec

    def __str__(self) -> str:
        return f"{self.format}-{self.spec.table}-{self.spec.mode or 'as it is'}"

    @property
    def columns(self) -> tuple[str, str]:
        """What tells rows and their states apart here."""
        return ("key_name", "entry_id" if self.spec.table == "streams" else "value")

    def land(self, options: dict[str, str], folder: Path) -> None:
        """Land it."""
        ingest(LakeflowConnect(options), Lake(folder, self.format), [self.spec])

    def rows(self, folder: Path) -> list[tuple[Any, ...]]:
        """What is there and holds by now, in order; nothing where nothing has landed."""
        place = folder / self.spec.table
        if self.format == "parquet":
            found = parquet_rows(place) if files(place) else []
        else:
            found = lake.rows(folder, self.spec.table) if DeltaTable.is_deltatable(place) else []
        # Of a history the rows that have not ended.
        current = [row for row in found if row.get("valid_to") is None]
        return sorted(tuple(row[name] for name in self.columns) for row in current)


TARGETS = [
    Target("delta", TableSpec("hashes")),
    Target("delta", TableSpec("hashes", mode="merge")),
    Target("delta", TableSpec("hashes", mode="history")),
    *(Target("delta", TableSpec("streams")), Target("parquet", TableSpec("streams"))),
    Target("parquet", TableSpec("hashes")),
]

targets = pytest.mark.parametrize("target", TARGETS, ids=str)

KEYS = 300


def change(client: redis.Redis) -> None:
    """Change all hashes, and add to a stream, with values that cannot be compressed."""
    last = client.xlen("stream")
    pipe = client.pipeline(transaction=False)
    for number in range(KEYS):
        pipe.hset(f"hash:{number}", "f", os.urandom(100).hex())
        pipe.xadd("stream", {"f": os.urandom(100).hex()}, f"{last + number + 1}-0")
    pipe.execute()


def wanted(client: redis.Redis, target: Target) -> list[tuple[Any, ...]]:
    """What the table must hold."""
    rows = oracle.read(client, target.spec.table)
    return sorted(tuple(row[name] for name in target.columns) for row in rows)


# The server


PLACES = 3

MOST_REPLIES = 90_000
"""Bytes of replies in a run: places beyond are not come to."""

CONNECTIONS = 3
"""A run reads by one connection, and asks by others what the server is and how busy it was."""


@targets
def test_the_connection_is_cut(
    one_server: Server, one_client: redis.Redis, tmp_path: Path, target: Target
) -> None:
    chance, failed = Random(str(target)), 0
    change(one_client)
    with Proxy(one_server.port) as proxy:
        options = sound.at_once(through(proxy, one_server))
        for connection in range(CONNECTIONS):
            for _ in range(PLACES):
                before = target.rows(tmp_path)
                cut = chance.choice((faults.cut, faults.reset))(chance.randrange(MOST_REPLIES))
                proxy.once(*[faults.whole] * connection, cut)
                try:
                    target.land(options, tmp_path)
                except RedisConnectionError as error:
                    sound.check(error, options)
                    failed += 1
                assert target.rows(tmp_path) in (before, wanted(one_client, target))
                change(one_client)
        target.land(options, tmp_path)
    assert failed > 0
    assert target.rows(tmp_path) == wanted(one_client, target)
    assert not list(tmp_path.rglob(".lakeflow-redis-*"))


# The lake


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process become larger, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@targets
@pytest.mark.parametrize("landed", [False, True], ids=["new", "there"])
def test_the_disk_is_full(
    one_server: Server, one_client: redis.Redis, tmp_path: Path, target: Target, landed: bool
) -> None:
    options = one_server.options()
    change(one_client)
    if landed:
        target.land(options, tmp_path)
    for size in (0, 200, 1_000, 4_000, 16_000):
        change(one_client)
        before = target.rows(tmp_path)
        with largest_file(size), pytest.raises((OSError, LakeError), match="too large"):
            target.land(options, tmp_path)
        # What had landed before the disk was full, such as in front of its receipt, is whole.
        assert target.rows(tmp_path) in (before, wanted(one_client, target))
    target.land(options, tmp_path)
    assert target.rows(tmp_path) == wanted(one_client, target)
    assert not list(tmp_path.rglob(".lakeflow-redis-*"))
    assert {path.read_bytes() for path in tmp_path.rglob("README.txt")} == {NOTE}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user of this machine may come to, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="lakeflow-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


NOBODY = 65_534
"""A user that owns nothing."""


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder, and be nobody but a user who must heed that."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222 | 0o444)
    user = os.geteuid()
    try:
        # Root may write anywhere.
        os.seteuid(user or NOBODY)
        yield
    finally:
        os.seteuid(user)
        for path, mode in modes.items():
            path.chmod(mode)


@targets
def test_the_lake_is_read_only(
    one_server: Server, one_client: redis.Redis, open_folder: Path, target: Target
) -> None:
    options = one_server.options()
    change(one_client)
    folder = open_folder / "lake"
    target.land(options, folder)
    before = target.rows(folder)
    listed = sorted(folder.rglob("*"))
    change(one_client)
    for place in (folder, open_folder / "another"):
        with read_only(open_folder), pytest.raises((OSError, LakeError)) as caught:
            target.land(options, place)
        assert str(place) in str(caught.value)
        assert "ermission denied" in str(caught.value)
    assert target.rows(folder) == before
    assert sorted(folder.rglob("*")) == listed
    target.land(options, folder)
    assert target.rows(folder) == wanted(one_client, target)
