"""Columns that come, go or change: refused by default, and with `evolve` taken as far as rows bear it."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from deltalake import DeltaTable
from lakeflow_redis import ConfigurationError, LakeflowConnect
from lakeflow_redis.ingest import (
    Changes,
    Lake,
    LakeError,
    Mode,
    TableResult,
    TableSpec,
    ingest,
    ingest_each,
)
from lakeflow_redis.ingest.model import FileFormat

from tests import lake
from tests.by_database import emptied
from tests.conftest import Connect
from tests.contract import TABLES
from tests.killed import EVOLVE_MOMENTS, run_killed
from tests.oracle import Row
from tests.parquet import files, parquet_rows
from tests.servers import Server
from tests.streams import add

FORMATS = pytest.mark.parametrize("form", ["delta", "parquet"])

WAYS: list[tuple[FileFormat, Mode]] = [
    *(("delta", mode) for mode in ("append", "replace", "merge", "history")),
    *(("parquet", mode) for mode in ("append", "replace")),
]


def in_ways(ways: Iterable[tuple[FileFormat, Mode]]) -> pytest.MarkDecorator:
    """Runs a test in each of them."""
    chosen = list(ways)
    return pytest.mark.parametrize(("form", "mode"), chosen, ids=map(" ".join, chosen))


EVERY_WAY = in_ways(WAYS)
KEEPING = in_ways(way for way in WAYS if way[1] != "replace")
"""Ways in which rows that are there stay."""
REPLACING = in_ways(way for way in WAYS if way[1] == "replace")

FEW = {"append": "key_name,entry_id,fields", "other": "key_name,value"}
MORE = {"append": "key_name,entry_id,fields,timestamp_ms", "other": "key_name,value,value_length"}
CAME = {"append": "timestamp_ms", "other": "value_length"}
"""A column that only the latter have."""
VALUE = {"append": "fields", "other": "value"}


def of(words: dict[str, str], mode: Mode) -> str:
    """What holds for streams, or for the table of strings."""
    return words[mode] if mode in words else words["other"]


def spec(mode: Mode, chosen: dict[str, str] | None = None, **options: str) -> TableSpec:
    """A table to land in a way, with some of its columns or all."""
    table = "streams" if mode == "append" else "strings"
    if chosen is not None:
        options["columns"] = of(chosen, mode)
    return TableSpec(table, "t", mode, options)


def write(client: redis.Redis, mode: Mode, name: str, value: str) -> None:
    """Make a row, or change one."""
    if mode == "append":
        client.xadd(name, {"f": value})
    else:
        client.set(name, value)


def land(
    connector: LakeflowConnect, to: Lake, table: TableSpec, *, evolve: bool = False
) -> TableResult:
    """Land a table."""
    (result,) = ingest(connector, to, [table], evolve=evolve)
    return result


def rows(to: Lake) -> list[Row]:
    """The rows of the table, of its present state, by key."""
    folder = Path(to.to)
    found = lake.rows(folder, "t") if to.format == "delta" else parquet_rows(folder / "t")
    now = [row for row in found if not row.get("valid_to")]
    return sorted(now, key=lambda row: (row["key_name"], row.get("entry_id")))


def columns(to: Lake) -> list[str]:
    """The names of the table's columns, as a reader of all of it sees them."""
    if to.format == "delta":
        found = [field.name for field in DeltaTable(Path(to.to) / "t").schema().fields]
    else:
        found = pq.read_schema(files(Path(to.to) / "t")[-1]).names
    return [name for name in found if not name.startswith("valid_")]


def listing(folder: Path) -> set[Path]:
    """Everything in a folder, at any depth, but for the receipts."""
    return {path for path in folder.rglob("*") if "_lakeflow_runs" not in path.parts}


def assert_refused(
    connector: LakeflowConnect, to: Lake, table: TableSpec, words: str, *, evolve: bool = False
) -> None:
    """Fail unless a table is refused, in words that say what differs, and nothing is touched."""
    before = listing(Path(to.to))
    with pytest.raises(ConfigurationError, match=words) as caught:
        ingest_each(connector, to, ["keys", table], evolve=evolve)
    assert "\n" not in str(caught.value)
    assert listing(Path(to.to)) == before


# A column that comes


@EVERY_WAY
def test_a_column_that_comes_is_null_in_the_rows_that_are_there(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to, connector, came = Lake(tmp_path, form), one_connect(), of(CAME, mode)
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, FEW))
    write(one_client, mode, "new", "value")
    assert_refused(connector, to, spec(mode, MORE), f"`{came}` is missing there and long here")
    assert [row["key_name"] for row in rows(to)] == ["old"]

    result = land(connector, to, spec(mode, MORE), evolve=True)
    assert columns(to) == of(MORE, mode).split(",")
    found = {row["key_name"]: row for row in rows(to)}
    assert found.keys() == {"old", "new"}
    assert found["new"][came] is not None
    # Where rows are compared or replaced, the old one has it by now as well.
    assert (found["old"][came] is None) == (mode == "append")
    if mode in {"merge", "history"}:
        assert result.changes is not None
        assert (result.changes.inserted, result.changes.updated) == (1, 1)
    if mode == "history":
        (former,) = (row for row in lake.rows(tmp_path, "t") if row["valid_to"])
        assert (former["key_name"], former["value"], former[came]) == ("old", "v", None)
    land(connector, to, spec(mode, MORE))


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_a_column_that_no_row_is_changed_by_is_a_commit_all_the_same(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    to, connector = Lake(tmp_path), one_connect()
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, FEW))
    seen = TableSpec("strings", "t", mode, {"columns": "key_name,value,scanned_at"})
    result = land(connector, to, seen, evolve=True)
    assert (result.committed, result.changes) == (True, Changes())
    assert columns(to) == ["key_name", "value", "scanned_at"]
    assert not land(connector, to, seen, evolve=True).committed


@EVERY_WAY
def test_a_column_that_goes_stays_in_the_rows_that_stay(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to, connector, went = Lake(tmp_path, form), one_connect(), of(CAME, mode)
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, MORE))
    (before,) = rows(to)
    write(one_client, mode, "new", "value")
    assert_refused(connector, to, spec(mode, FEW), f"`{went}` is long there and missing here")
    assert rows(to) == [before]

    land(connector, to, spec(mode, FEW), evolve=True)
    found = {row["key_name"]: row for row in rows(to)}
    assert found.keys() == {"old", "new"}
    if mode == "replace":
        assert columns(to) == of(FEW, mode).split(",")
        return
    assert columns(to) == of(MORE, mode).split(",")
    assert found["old"] == before
    assert found["new"][went] is None
    # And comes again.
    write(one_client, mode, "newest", "value")
    land(connector, to, spec(mode, MORE), evolve=True)
    assert {row["key_name"]: row[went] is None for row in rows(to)} == {
        "old": False,
        "new": mode == "append",
        "newest": False,
    }


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_of_a_row_that_changes_a_column_that_is_gone_becomes_null(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    to = Lake(tmp_path)
    one_client.mset({"stays": "v", "changes": "v"})
    land(one_connect(), to, spec(mode, MORE))
    one_client.set("changes", "value")
    land(one_connect(), to, spec(mode, FEW), evolve=True)
    assert {row["key_name"]: row["value_length"] for row in rows(to)} == {
        "stays": 1,
        "changes": None,
    }


@EVERY_WAY
def test_a_column_comes_while_another_one_goes(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to, connector = Lake(tmp_path, form), one_connect()
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, MORE))
    other = "sequence" if mode == "append" else "ttl_seconds"
    swapped: dict[str, str] = {mode: f"{of(FEW, mode)},{other}"}
    write(one_client, mode, "new", "value")
    words = rf"`{of(CAME, mode)}` is long there and missing here, `{other}` is missing there"
    assert_refused(connector, to, spec(mode, swapped), words)
    land(connector, to, spec(mode, swapped), evolve=True)
    expected = f"{of(FEW if mode == 'replace' else MORE, mode)},{other}"
    assert columns(to) == expected.split(",")
    assert [row["key_name"] for row in rows(to)] == ["new", "old"]


@EVERY_WAY
def test_columns_in_another_order_are_the_same_columns(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to, connector = Lake(tmp_path, form), one_connect()
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, MORE))
    write(one_client, mode, "new", "value")
    turned: dict[str, str] = {mode: ",".join(reversed(of(MORE, mode).split(",")))}
    land(connector, to, spec(mode, turned))
    assert [row["key_name"] for row in rows(to)] == ["new", "old"]
    assert all(row[of(CAME, mode)] is not None for row in rows(to))


@EVERY_WAY
def test_where_no_column_changes_nothing_is_done_for_them(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to, connector = Lake(tmp_path, form), one_connect()
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, FEW), evolve=True)
    write(one_client, mode, "new", "value")
    assert land(connector, to, spec(mode, FEW), evolve=True).version == 1


# Several databases


@EVERY_WAY
def test_several_databases_are_a_column_that_comes(
    one_server: Server, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to = Lake(tmp_path, form)
    with emptied(one_server, (0, 1)) as clients:
        write(clients[0], mode, "key", "v")
        land(LakeflowConnect(one_server.options()), to, spec(mode))
        write(clients[0], mode, "other", "v")
        write(clients[1], mode, "key", "w")
        both = LakeflowConnect(one_server.options(db="0,1"))
        assert_refused(both, to, spec(mode), "`db` is missing there and long not null here")
        results = [land(both, to, spec(mode), evolve=True) for _ in range(2)]
        assert [result.committed for result in results] == [True, mode == "replace"]
    # An entry that landed when nobody asked for its database has none.
    first = None if mode == "append" else 0
    found = [(row["key_name"], row["db"]) for row in rows(to)]
    assert sorted(found, key=str) == sorted([("key", first), ("key", 1), ("other", 0)], key=str)


# Other types, and nulls


@KEEPING
@pytest.mark.parametrize("evolve", [True, False])
def test_another_type_is_refused_where_rows_stay(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    form: FileFormat,
    mode: Mode,
    evolve: bool,
) -> None:
    to = Lake(tmp_path, form)
    write(one_client, mode, "key", "v")
    land(one_connect(), to, spec(mode))
    binary = spec(mode, value_type="binary")
    words = f"`{of(VALUE, mode)}` is string there and binary here"
    assert_refused(one_connect(), to, binary, words, evolve=evolve)


@REPLACING
def test_another_type_is_taken_where_rows_are_replaced(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to = Lake(tmp_path, form)
    one_client.set("key", b"v")
    land(one_connect(), to, spec(mode))
    binary = spec(mode, value_type="binary")
    words = "`value` is string there and binary here"
    assert_refused(one_connect(), to, binary, words)
    for _ in range(2):
        land(one_connect(), to, binary, evolve=True)
    assert [(row["key_name"], row["value"]) for row in rows(to)] == [(b"key", b"v")]
    if form == "delta":
        schemas = [DeltaTable(tmp_path / "t", version=number).schema() for number in range(3)]
        tables = TABLES["strings"]
        assert [pa.schema(schema) for schema in schemas] == [
            *(tables.schema(), tables.schema(binary=True), tables.schema(binary=True))
        ]
        before = DeltaTable(tmp_path / "t", version=0).to_pyarrow_table().to_pylist()
        assert [(row["key_name"], row["value"]) for row in before] == [("key", "v")]
    land(one_connect(), to, spec(mode), evolve=True)
    assert [(row["key_name"], row["value"]) for row in rows(to)] == [("key", "v")]


@FORMATS
@pytest.mark.parametrize("evolve", [True, False])
def test_nulls_are_refused_where_rows_stay_that_have_none(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    form: FileFormat,
    evolve: bool,
) -> None:
    to = Lake(tmp_path, form)
    add(one_client, "key", "1-0")
    land(one_connect(), to, spec("append"))
    nulls = spec("append", invalid_utf8="null")
    words = "`key_name` is string not null there and string here"
    assert_refused(one_connect(), to, nulls, words, evolve=evolve)


@REPLACING
def test_nulls_are_taken_where_rows_are_replaced(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to = Lake(tmp_path, form)
    one_client.set("key", "v")
    land(one_connect(), to, spec(mode))
    one_client.delete("key")
    one_client.set(b"\xff", "v")
    nulls = spec(mode, invalid_utf8="null")
    assert_refused(one_connect(), to, nulls, "`key_name` is string not null there")
    land(one_connect(), to, nulls, evolve=True)
    assert [row["key_name"] for row in rows(to)] == [None]


@FORMATS
def test_where_nulls_may_be_there_need_not_be_any(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat
) -> None:
    to = Lake(tmp_path, form)
    one_client.xadd(b"\xff", {"f": "v"})
    land(one_connect(), to, spec("append", invalid_utf8="null"))
    add(one_client, "key", "1-0")
    land(one_connect(), to, spec("append", invalid_utf8="skip"))
    one_client.xadd(b"\xfe", {"f": "v"})
    land(one_connect(), to, spec("append", invalid_utf8="null"))
    found = lake.rows(tmp_path, "t") if form == "delta" else parquet_rows(tmp_path / "t")
    assert sorted(str(row["key_name"]) for row in found) == ["None", "None", "key"]


@KEEPING
def test_a_column_that_takes_no_nulls_cannot_go(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat, mode: Mode
) -> None:
    to = Lake(tmp_path, form)
    write(one_client, mode, "key", "v")
    land(one_connect(), to, spec(mode))
    without = spec(mode, {"append": "key_name,fields", "other": "value"})
    assert_refused(one_connect(), to, without, "entry_id|primary key", evolve=True)


@FORMATS
def test_a_column_that_went_comes_again_only_as_what_it_was(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat
) -> None:
    to = Lake(tmp_path, form)
    all_columns = TableSpec("streams", "t")
    without = TableSpec("streams", "t", options={"columns": "key_name,entry_id"})
    write(one_client, "append", "key", "v")
    land(one_connect(), to, all_columns)
    write(one_client, "append", "key", "v")
    land(one_connect(), to, without, evolve=True)
    other = TableSpec("streams", "t", options={"value_type": "binary"})
    words = "`fields` is string there and binary here"
    assert_refused(one_connect(), to, other, words, evolve=True)


@FORMATS
def test_readers_see_all_columns_in_every_file(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat
) -> None:
    to = Lake(tmp_path, form)
    for chosen in (FEW, MORE, FEW, None):
        write(one_client, "append", "key", "v")
        land(one_connect(), to, spec("append", chosen), evolve=True)
    names = [set(pq.read_schema(file).names) for file in files(tmp_path / "t")]
    if form == "parquet":
        assert all(earlier <= later for earlier, later in pairwise(names))
    found = rows(to)
    assert len(found) == 4
    assert sorted(row["timestamp_ms"] is None for row in found) == [False, False, True, True]
    assert sorted(row["sequence"] is None for row in found) == [False, True, True, True]


# While others are at work


@pytest.mark.parametrize("others", [FEW, MORE], ids=["with the old columns", "with the new ones"])
@EVERY_WAY
def test_of_two_runs_at_once_one_stops(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    form: FileFormat,
    mode: Mode,
    others: dict[str, str],
) -> None:
    to, connector = Lake(tmp_path, form), one_connect()
    write(one_client, mode, "old", "v")
    land(connector, to, spec(mode, FEW))
    write(one_client, mode, "new", "value")

    def run_another(*_: object) -> None:
        write(one_client, mode, "newest", "value")
        land(connector, to, spec(mode, others), evolve=True)

    with pytest.raises(LakeError, match="another run"):
        ingest(connector, to, [spec(mode, MORE)], evolve=True, on_progress=run_another)
    assert [row["key_name"] for row in rows(to)] == ["new", "newest", "old"]
    assert columns(to) == of(others, mode).split(",")
    write(one_client, mode, "again", "value")
    land(connector, to, spec(mode, MORE), evolve=True)
    assert [row["key_name"] for row in rows(to)] == ["again", "new", "newest", "old"]
    assert columns(to) == of(MORE, mode).split(",")


@pytest.mark.parametrize("moment", EVOLVE_MOMENTS)
def test_a_run_that_is_killed_over_its_columns_loses_and_repeats_nothing(
    one_server: Server, one_connect: Connect, one_client: redis.Redis, tmp_path: Path, moment: str
) -> None:
    wanted = add(one_client, "a", "1-0")
    few = TableSpec("streams", options={"columns": of(FEW, "append")})
    land(one_connect(), Lake(tmp_path), few)
    wanted += add(one_client, "a", "2-0")
    run_killed(moment, one_server.options(), tmp_path, evolve=True)
    wanted += add(one_client, "a", "3-0")
    land(one_connect(), Lake(tmp_path), TableSpec("streams"), evolve=True)
    assert lake.entries(tmp_path) == wanted
    found: list[Any] = [row["timestamp_ms"] for row in lake.rows(tmp_path, "streams")]
    assert sorted(found, key=str) == [2, 3, None]
