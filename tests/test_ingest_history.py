"""By `history` a table tells what was there at each moment at which it was read."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import redis
from deltalake import DeltaTable
from lakeflow_redis import ConfigurationError, LakeflowConnect
from lakeflow_redis.ingest import (
    Changes,
    LakeError,
    TableResult,
    TableSpec,
    delta_merge,
    ingest,
    ingest_each,
    positions,
    reads,
    run,
)
from lakeflow_redis.ingest.delta_merge import DeltaHistory

from tests import changing, lake, snapshots
from tests.by_database import emptied
from tests.conftest import Connect
from tests.contract import TABLES
from tests.oracle import Row
from tests.servers import Server
from tests.snapshots import KEY_TABLES, Version

MODES = pytest.mark.parametrize("mode", ["string", "binary"])
ROUNDS = 8

BOUNDS = ("valid_from", "valid_to")

Clients = dict[int, redis.Redis]


@pytest.fixture(params=["as they are", "small"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and batches as they are, or so small that there are many of them."""
    if request.param == "small":
        monkeypatch.setattr(DeltaHistory, "target_bytes", 1)
        monkeypatch.setattr(positions, "BATCH_ROWS", 7)


def keep(connector: LakeflowConnect, to: Path, *tables: str) -> list[TableResult]:
    """Land tables."""
    return ingest(connector, to, [TableSpec(table, mode="history") for table in tables])


def keep_one(connector: LakeflowConnect, to: Path, table: str) -> Changes | None:
    """Land a table; gives what was different."""
    (result,) = keep(connector, to, table)
    return result.changes


def now() -> datetime:
    """This moment, as a history has it."""
    return datetime.now(UTC)


def without_bounds(row: Row) -> Row:
    """A row as it was read."""
    return {name: value for name, value in row.items() if name not in BOUNDS}


def valid_at(rows: list[Row], moment: datetime) -> list[Row]:
    """The rows of a moment, by the words of the documentation."""
    return [
        without_bounds(row)
        for row in rows
        if row["valid_from"] <= moment and (row["valid_to"] is None or row["valid_to"] > moment)
    ]


def versions(table: str, rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of each primary key, in the order of time."""

    def place(row: Row) -> str:
        return repr(snapshots.key(table, row))

    for _, found in groupby(sorted(rows, key=place), place):
        yield sorted(found, key=lambda row: row["valid_from"])


def assert_sound(table: str, rows: list[Row], moments: list[datetime]) -> None:
    """Fail unless the intervals of each key follow each other, and each of them was a change.

    Args:
        table: the table.
        rows: its history.
        moments: one after each run.
    """
    for each in versions(table, rows):
        for row in each:
            assert row["valid_to"] is None or row["valid_from"] < row["valid_to"], row
        for row, after in pairwise(each):
            assert row["valid_to"] is not None, (row, after)
            assert row["valid_to"] <= after["valid_from"], (row, after)
            if row["valid_to"] == after["valid_from"]:
                assert snapshots.content(without_bounds(row)) != snapshots.content(
                    without_bounds(after)
                ), "nothing changed"
            else:
                between = [m for m in moments if row["valid_to"] <= m < after["valid_from"]]
                assert between, "a gap in which no run saw that the row was gone"


def check_rounds(connector: LakeflowConnect, clients: Clients, to: Path, mode: str) -> None:
    """Change all databases again and again, and see that each moment can be looked up."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    words = changing.BYTES if mode == "binary" else changing.TEXTS
    changings = [changing.Changing(client, rng, words) for client in clients.values()]
    moments: list[datetime] = []
    seen: list[dict[str, list[Row]]] = []
    for number in range(ROUNDS):
        before = {table: Version.last(to, table) for table in KEY_TABLES if moments}
        for each in changings:
            each.add(rng.choice([0, 5]))
            each.change(200 if number == 0 else 0 if number % 3 == 2 else rng.choice([3, 60]))
        results = keep(connector, to, *KEY_TABLES)
        moments.append(now())
        seen.append(
            {
                table: snapshots.expected(clients, table, binary=mode == "binary")
                for table in KEY_TABLES
            }
        )
        for result in results:
            if before:
                after = Version.last(to, result.table)
                assert_only_what_ended_was_written(
                    result.table, before[result.table], after, result.changes
                )
    for table in KEY_TABLES:
        rows = lake.rows(to, table)
        assert_sound(table, rows, moments)
        for moment, wanted in zip(moments, seen, strict=True):
            snapshots.assert_same(table, valid_at(rows, moment), wanted[table])


def assert_only_what_ended_was_written(
    table: str, before: Version, after: Version, changes: Changes | None
) -> None:
    """Fail unless those files were written anew that held a row that ended, and nothing else changed."""
    old, new = before.rows, after.rows
    current = [[row for row in rows if row["valid_to"] is None] for rows in (old, new)]
    differences = snapshots.differences(
        table, *([without_bounds(row) for row in rows] for rows in current)
    )
    assert changes == Changes(*map(len, differences))
    if changes == Changes():
        assert after == before, "a commit that changes nothing"
        return
    assert after.number == before.number + 1
    _, changed, gone = differences
    ended = {
        name
        for name, rows in before.files.items()
        if any(
            row["valid_to"] is None and snapshots.key(table, row) in changed | gone for row in rows
        )
    }
    assert before.files.keys() - after.files.keys() == ended
    assert len(new) == len(old) + changes.inserted + changes.updated
    there = {(snapshots.key(table, row), row["valid_from"]): row for row in new}
    for row in old:
        now = there[snapshots.key(table, row), row["valid_from"]]
        if row["valid_to"] is None and snapshots.key(table, row) in changed | gone:
            assert {**now, "valid_to": None} == row
            assert now["valid_to"] > row["valid_from"]
        else:
            assert now == row


@MODES
def test_each_moment_can_be_looked_up(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, sizes: None, mode: str
) -> None:
    check_rounds(one_connect(value_type=mode), {0: one_client}, tmp_path, mode)


def test_each_moment_of_several_databases_can_be_looked_up(
    one_server: Server, tmp_path: Path
) -> None:
    with emptied(one_server, (0, 1, 3)) as clients:
        connector = LakeflowConnect(one_server.options(value_type="binary", db="0,1,3"))
        check_rounds(connector, clients, tmp_path, "binary")


def test_it_lands_from_every_server(connect: Connect, client: redis.Redis, tmp_path: Path) -> None:
    client.hset("h", mapping={"f": "v", "g": "w"})
    assert keep_one(connect(), tmp_path, "hashes") == Changes(inserted=2)
    landed = pa.schema(DeltaTable(tmp_path / "hashes").schema())
    moment = pa.timestamp("us", tz="UTC")
    assert landed == pa.schema(
        [
            *TABLES["hashes"].schema(),
            pa.field("valid_from", moment, nullable=False),
            pa.field("valid_to", moment),
        ]
    )
    assert keep_one(connect(), tmp_path, "hashes") == Changes()
    assert lake.version(tmp_path, "hashes") == 0
    client.hset("h", "f", "changed")
    client.hdel("h", "g")
    assert keep_one(connect(), tmp_path, "hashes") == Changes(updated=1, deleted=1)
    rows = lake.rows(tmp_path, "hashes")
    began, ended = min(row["valid_from"] for row in rows), max(row["valid_from"] for row in rows)
    assert sorted(
        (row["field"], row["value"], row["valid_from"], row["valid_to"]) for row in rows[:2]
    ) + [(row["field"], row["value"], row["valid_from"], row["valid_to"]) for row in rows[2:]] == [
        ("f", "v", began, ended),
        ("g", "w", began, ended),
        ("f", "changed", ended, None),
    ]


def test_a_row_that_comes_again_begins_anew(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    moments = []
    for value in ("a", None, "a", "b", None, None, "b"):
        one_client.delete("s")
        if value is not None:
            one_client.set("s", value)
        keep(one_connect(), tmp_path, "strings")
        moments.append(now())
    rows = lake.rows(tmp_path, "strings")
    assert_sound("strings", rows, moments)
    found = [[row["value"] for row in valid_at(rows, moment)] for moment in moments]
    assert found == [["a"], [], ["a"], ["b"], [], [], ["b"]]


def test_files_in_which_all_rows_have_ended_are_not_read_again(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    """Or a night would take the longer the more nights there were."""
    one_client.mset({"s": 0, "t": 0})
    keep(one_connect(), tmp_path, "strings")
    one_client.delete("s", "t")
    keep(one_connect(), tmp_path, "strings")
    (ended,) = Version.last(tmp_path, "strings").files
    path = tmp_path / "strings" / ended
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    for value in (1, 2, 2):
        one_client.set("s", value)
        keep(one_connect(), tmp_path, "strings")
    path.write_bytes(content)
    assert len(lake.rows(tmp_path, "strings")) == 4


@pytest.mark.parametrize("last", ["comes", "goes"])
def test_a_clock_that_went_back_is_noticed(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: str,
) -> None:
    one_client.set("s", "a")
    keep(one_connect(), tmp_path, "strings")
    if last == "goes":
        one_client.delete("s")
        keep(one_connect(), tmp_path, "strings")
    before = Version.last(tmp_path, "strings")

    class Behind(datetime):
        """A clock that says once more what it said to the last run."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            """The moment."""
            (row,) = before.rows
            moment: datetime = row["valid_to"] or row["valid_from"]
            return moment.astimezone(tz)

    one_client.set("s", "b")
    with monkeypatch.context() as patched:
        patched.setattr(delta_merge, "datetime", Behind)
        with pytest.raises(LakeError, match="clock is behind"):
            keep(one_connect(), tmp_path, "strings")
    assert Version.last(tmp_path, "strings") == before
    keep(one_connect(), tmp_path, "strings")
    assert [row["value"] for row in valid_at(lake.rows(tmp_path, "strings"), now())] == ["b"]


def test_rows_begin_when_their_own_read_does(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = []

    class Noted(reads.Read):
        def __init__(self, *given: Any) -> None:
            begun.append(now())
            super().__init__(*given)

    monkeypatch.setattr(run, "Read", Noted)
    one_client.set("s", "v")
    past = TableSpec("strings", "past", "history", {"batch_size": "100"})
    results = ingest_each(one_connect(), tmp_path, ["hashes", past])
    assert next(results).table == "hashes"
    before = now()
    assert next(results).name == "past"
    (row,) = lake.rows(tmp_path, "past")
    assert before <= row["valid_from"] <= begun[1]


def test_a_table_that_is_no_history_does_not_become_one(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.set("s", "v")
    ingest(one_connect(), tmp_path, ["strings"], mode="merge")
    for evolve in (False, True):
        with pytest.raises(ConfigurationError, match=r"lacks `valid_from`, .* under another name"):
            ingest(one_connect(), tmp_path, ["strings"], mode="history", evolve=evolve)
    ingest(one_connect(), tmp_path, [TableSpec("strings", name="past", mode="history")])
    for evolve in (False, True):
        for mode in ("merge", "replace"):
            spec = TableSpec("strings", name="past", mode=mode)
            if mode == "replace" and evolve:
                continue  # Which is what it is for.
            with pytest.raises(ConfigurationError):
                ingest(one_connect(), tmp_path, [spec], evolve=evolve)
    assert len(lake.rows(tmp_path, "past")) == 1
