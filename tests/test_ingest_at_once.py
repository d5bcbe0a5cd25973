"""Of two runs that land the same table at once one commits, the other says so, and nothing is doubled."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import redis
from deltalake import DeltaTable, write_deltalake
from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import LakeError, Mode, TableSpec, ingest

from tests import lake, snapshots
from tests.conftest import Connect
from tests.snapshots import Version

BY_KEY = pytest.mark.parametrize("mode", ["merge", "history"])


def run(
    connector: LakeflowConnect, to: Path, mode: Mode, meanwhile: Callable[[], object] | None = None
) -> None:
    """Land the table that a mode is for, and do something between its read and its commit."""
    table = "streams" if mode == "append" else "hashes"
    waiting = [meanwhile] if meanwhile else []

    def heard(*_: object) -> None:
        while waiting:
            waiting.pop()()

    ingest(connector, to, [TableSpec(table, mode=mode)], on_progress=heard)
    assert not waiting, "nothing was read"


def current(to: Path) -> list[dict[str, object]]:
    """The rows of `hashes` that have not ended."""
    return [
        {name: value for name, value in row.items() if not name.startswith("valid_")}
        for row in lake.rows(to, "hashes")
        if row.get("valid_to") is None
    ]


def assert_right(client: redis.Redis, to: Path) -> None:
    """Fail unless `hashes` is there, each row once."""
    snapshots.assert_same("hashes", current(to), snapshots.expected({0: client}, "hashes"))


def change(client: redis.Redis, kind: str, number: int) -> None:
    """Change something."""
    client.hset("changed", "f", number)
    match kind:
        case "rows are new":
            client.hset("changed", "f", 0)
            client.hset(f"new {number}", "f", "v")
        case "rows change":
            pass
        case "rows go":
            client.delete(f"gone {number}")


KINDS = pytest.mark.parametrize("kind", ["rows are new", "rows change", "rows go"])


@BY_KEY
@KINDS
def test_a_run_that_another_one_overtook_commits_nothing(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode, kind: str
) -> None:
    for number in range(5):
        one_client.hset(f"gone {number}", "f", "v")
    change(one_client, kind, 0)
    run(one_connect(), tmp_path, mode)

    def overtake() -> None:
        change(one_client, kind, 2)
        run(one_connect(), tmp_path, mode)
        assert_right(one_client, tmp_path)

    change(one_client, kind, 1)
    with pytest.raises(LakeError, match=r"another run|after"):
        run(one_connect(), tmp_path, mode, overtake)
    assert lake.version(tmp_path, "hashes") == 1
    assert_right(one_client, tmp_path)
    change(one_client, kind, 3)
    run(one_connect(), tmp_path, mode)
    assert lake.version(tmp_path, "hashes") == 2
    assert_right(one_client, tmp_path)


@BY_KEY
def test_before_the_first_commit_too(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    one_client.hset("h", "f", "v")
    with pytest.raises(LakeError, match="commit"):
        run(one_connect(), tmp_path, mode, lambda: run(one_connect(), tmp_path, mode))
    assert lake.version(tmp_path, "hashes") == 0
    assert_right(one_client, tmp_path)
    one_client.hset("h", "g", "w")
    run(one_connect(), tmp_path, mode)
    assert_right(one_client, tmp_path)


@BY_KEY
def test_where_nothing_differs_it_does_not_matter(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    one_client.hset("h", "f", "v")
    run(one_connect(), tmp_path, mode)
    run(one_connect(), tmp_path, mode, lambda: run(one_connect(), tmp_path, mode))
    assert lake.version(tmp_path, "hashes") == 0


def compact(to: Path) -> None:
    """Put the files together into one."""
    DeltaTable(to / "hashes").optimize.compact()


@BY_KEY
@KINDS
def test_files_that_somebody_compacts_meanwhile_are_not_doubled(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode, kind: str
) -> None:
    for number in range(5):
        one_client.hset(f"gone {number}", "f", "v")
        one_client.hset("changed", f"g{number}", 0)
        run(one_connect(), tmp_path, mode)
    before = Version.last(tmp_path, "hashes")
    assert len(before.files) > 1
    change(one_client, kind, 1)
    with pytest.raises(LakeError, match="another run"):
        run(one_connect(), tmp_path, mode, lambda: compact(tmp_path))
    after = Version.last(tmp_path, "hashes")
    assert len(after.files) == 1
    assert sorted(map(repr, after.rows)) == sorted(map(repr, before.rows))
    run(one_connect(), tmp_path, mode)
    assert_right(one_client, tmp_path)


def test_rows_that_somebody_adds_twice_are_noticed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", mapping={"f": "v", "g": "w"})
    run(one_connect(), tmp_path, "merge")
    there = DeltaTable(tmp_path / "hashes")
    write_deltalake(there, there.to_pyarrow_table().slice(0, 1), mode="append")
    before = Version.last(tmp_path, "hashes")
    for value in ("w", "x"):
        one_client.hset("h", "g", value)
        with pytest.raises(LakeError, match="1 rows in the lake have the primary key"):
            run(one_connect(), tmp_path, "merge")
        assert Version.last(tmp_path, "hashes") == before
    run(one_connect(), tmp_path, "replace")
    run(one_connect(), tmp_path, "merge")
    assert_right(one_client, tmp_path)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_columns_are_not_added_over_what_another_run_has_committed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    """Or its rows would be taken for ones that were there when this one began."""
    one_client.hset("h", "f", "v")
    one_client.xadd("s", {"f": "v"}, "1-1")
    table = "streams" if mode == "append" else "hashes"
    keys = "key_name,entry_id" if mode == "append" else "key_name,field"
    options = {"columns": keys}
    ingest(one_connect(), tmp_path, [TableSpec(table, mode=mode, options=options)])
    one_client.hset("h", "g", "v")
    one_client.xadd("s", {"f": "v"}, "1-2")

    def overtake(*_: object) -> None:
        if lake.version(tmp_path, table) == 0:
            ingest(one_connect(), tmp_path, [TableSpec(table, mode=mode, options=options)])

    spec = TableSpec(table, mode=mode)
    with pytest.raises(LakeError):
        ingest(one_connect(), tmp_path, [spec], on_progress=overtake, evolve=True)
    assert lake.version(tmp_path, table) == 1
    ingest(one_connect(), tmp_path, [spec], evolve=True)
    if mode == "append":
        assert lake.entries(tmp_path) == [("s", "1-1"), ("s", "1-2")]
    else:
        assert_right(one_client, tmp_path)
