"""Every table lands as it is read, whole or not at all, and every stream entry once."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from lakeflow_redis import (
    ConfigurationError,
    DataLossError,
    DecodeError,
    LakeflowConnect,
    RedisConnectionError,
)
from lakeflow_redis.ingest import LakeError, Mode, TableResult, TableSpec, ingest, ingest_each

from tests import data, lake
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.killed import MOMENTS
from tests.servers import Server, free_port
from tests.streams import Offset, add

MODES = pytest.mark.parametrize("mode", ["string", "binary"])
SNAPSHOTS = [name for name, table in TABLES.items() if table.ingestion_type == "snapshot"]


def one(results: list[TableResult]) -> TableResult:
    """The only result."""
    (result,) = results
    return result


def listing(folder: Path) -> set[Path]:
    """Everything in a folder, at any depth, but for the receipts."""
    return {path for path in folder.rglob("*") if "_lakeflow_runs" not in path.parts}


# Every table lands as it is read


@MODES
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_a_table_lands_as_read_table_gives_it(
    connect: Connect, client: redis.Redis, tmp_path: Path, table: str, mode: str
) -> None:
    data.fill(client, table, data.WORDS if mode == "binary" else data.TEXTS)
    connector = connect(value_type=mode)
    result = one(ingest(connector, tmp_path, [table]))
    expected = list(connector.read_table(table)[0])
    assert len(expected) > len(data.TEXTS)
    assert result.rows == len(expected)
    assert_same_rows(table, lake.rows(tmp_path, table), expected)


def test_all_tables_land_unless_some_are_named(
    connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    for table in CONTENT_TABLES:
        data.add_one(client, table, f"of {table}")
    connector = connect()
    results = ingest(connector, tmp_path)
    assert {result.table for result in results} == set(TABLES)
    assert len(results) == len(TABLES)
    for result in results:
        landed = DeltaTable(tmp_path / result.table)
        assert pa.schema(landed.schema()) == TABLES[result.table].schema()
        assert result.rows == landed.to_pyarrow_table().num_rows > 0
        assert result.version == landed.version() == 0
        assert result.committed
        assert result.receipt["complete"]
        assert result.receipt["rows"] == result.rows
    assert_same_rows("keys", lake.rows(tmp_path, "keys"), list(connector.read_table("keys")[0]))


def test_named_tables_land_once_each_and_in_that_order(
    one_connect: Connect, tmp_path: Path
) -> None:
    results = ingest(one_connect(), tmp_path, ["sets", "hashes", "sets"])
    assert [result.table for result in results] == ["sets", "hashes"]


def test_table_options_go_over_the_connectors(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({"user:1": "a", "user:2": "b", "cache:1": "c"})
    connector = one_connect(key_pattern="cache:*")
    ingest(connector, tmp_path, ["strings"], {"key_pattern": "user:*"})
    assert {row["key_name"] for row in lake.rows(tmp_path, "strings")} == {"user:1", "user:2"}


@pytest.mark.parametrize("table", [*CONTENT_TABLES, "keys"])
def test_a_table_without_rows_lands_with_its_columns(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str
) -> None:
    assert one(ingest(one_connect(), tmp_path, [table])).rows == 0
    landed = DeltaTable(tmp_path / table)
    assert pa.schema(landed.schema()) == TABLES[table].schema()
    assert landed.to_pyarrow_table().num_rows == 0
    data.add_one(one_client, "streams" if table == "keys" else table, "name")
    assert one(ingest(one_connect(), tmp_path, [table])).rows == 1
    assert [row["key_name"] for row in lake.rows(tmp_path, table)] == ["name"]


def test_readers_skip_files_by_numbers_and_not_by_names(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    for number in range(1, 4):
        add(one_client, f"s{number}", f"{number}-0")
        ingest(one_connect(), tmp_path, ["streams"])
    landed = DeltaTable(tmp_path / "streams")
    actions = pa.table(landed.get_add_actions(flatten=True)).to_pylist()
    assert sorted((each["min.timestamp_ms"], each["max.timestamp_ms"]) for each in actions) == [
        (number, number) for number in range(1, 4)
    ]
    assert all(each["num_records"] == 1 for each in actions)
    assert all(each["null_count.ttl_seconds"] == 1 for each in actions)
    for condition in (
        "key_name = 's2'",
        "timestamp_ms = 2",
        "ttl_seconds IS NULL AND sequence = 0",
    ):
        query = f"SELECT entry_id FROM t WHERE {condition} ORDER BY timestamp_ms"
        found = pa.table(QueryBuilder().register("t", landed).execute(query))
        assert "2-0" in found.column("entry_id").to_pylist()


# Snapshots


@pytest.mark.parametrize("table", ["strings", "hashes", "keys"])
def test_a_snapshot_is_replaced_in_one_commit(
    connect: Connect, client: redis.Redis, tmp_path: Path, table: str
) -> None:
    content = "strings" if table == "keys" else table
    data.add_one(client, content, "goes")
    data.add_one(client, content, "stays")
    ingest(connect(), tmp_path, [table])
    client.delete("goes")
    data.add_one(client, content, "comes")
    result = one(ingest(connect(), tmp_path, [table]))
    assert (result.mode, result.version, result.committed) == ("replace", 1, True)
    assert {row["key_name"] for row in lake.rows(tmp_path, table)} == {"stays", "comes"}
    before = DeltaTable(tmp_path / table, version=0).to_pyarrow_table()
    assert set(before.column("key_name").to_pylist()) == {"goes", "stays"}


def test_a_snapshot_of_nothing_replaces_what_was_there(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    data.add_one(one_client, "strings", "name")
    ingest(one_connect(), tmp_path, ["strings"])
    one_client.flushdb()
    assert one(ingest(one_connect(), tmp_path, ["strings"])).version == 1
    assert lake.rows(tmp_path, "strings") == []


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_compaction_meanwhile_doubles_nothing(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    """It removes the files that are to be replaced, and adds one that nobody knows."""
    one_client.set("a", "1")
    ingest(one_connect(), tmp_path, ["strings"], mode=mode)
    # A file more, as other writers make them, so that there is something to compact.
    more, _ = one_connect().read_table("strings")
    write_deltalake(tmp_path / "strings", pa.table(more), mode="append")
    DeltaTable(tmp_path / "strings").delete("false")

    def compact(*_: object) -> None:
        if len(lake.data_files(tmp_path, "strings")) == 2:
            DeltaTable(tmp_path / "strings").optimize.compact()

    one_client.set("a", "2")
    with pytest.raises(LakeError):
        ingest(one_connect(), tmp_path, ["strings"], on_progress=compact, mode=mode)
    if mode == "replace":
        ingest(one_connect(), tmp_path, ["strings"], mode=mode)
        assert [row["value"] for row in lake.rows(tmp_path, "strings")] == ["2"]


# Streams


def test_only_new_entries_are_appended(
    connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    first = add(client, "a", "9-1", "10-1") + add(client, "b", "5-0")
    assert one(ingest(connect(), tmp_path, ["streams"])).rows == 3
    files = lake.data_files(tmp_path, "streams")
    second = add(client, "a", "10-2") + add(client, "c", "1-0")
    result = one(ingest(connect(), tmp_path, ["streams"]))
    assert (result.mode, result.rows, result.version) == ("append", 2, 1)
    assert lake.entries(tmp_path) == sorted(first + second)
    assert files < lake.data_files(tmp_path, "streams"), "what had landed was written again"


def test_where_nothing_is_new_nothing_is_committed(
    connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    add(client, "a", "1-0")
    ingest(connect(), tmp_path, ["streams"])
    before = listing(tmp_path)
    result = one(ingest(connect(), tmp_path, ["streams"]))
    assert (result.rows, result.version, result.committed) == (0, 0, False)
    assert listing(tmp_path) == before


def test_a_stream_that_was_seen_to_be_gone_is_a_new_one_when_it_comes_again(
    connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    client.xadd("s", {"f": "old"}, id="5-0")
    assert one(ingest(connect(), tmp_path, ["streams"])).rows == 1
    client.delete("s")
    with pytest.raises(DataLossError, match="gone"):
        ingest(connect(), tmp_path, ["streams"])
    accepted = {"fail_on_data_loss": "false"}
    assert one(ingest(connect(), tmp_path, ["streams"], accepted)).rows == 0
    client.xadd("s", {"f": "new"}, id="1-0")
    assert one(ingest(connect(), tmp_path, ["streams"])).rows == 1
    assert {row["entry_id"] for row in lake.rows(tmp_path, "streams")} == {"5-0", "1-0"}


def test_rows_that_are_skipped_do_not_hold_up_those_behind_them(
    connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    for number in range(1, 4):
        client.xadd("s", {"f": b"\xff"}, id=f"{number}-0")
    for number in range(10, 13):
        client.xadd("s", {"f": "good"}, id=f"{number}-0")
    connector = connect(invalid_utf8="skip", max_records_per_batch="2")
    landed = [one(ingest(connector, tmp_path, ["streams"])).rows for _ in range(4)]
    assert landed == [0, 1, 2, 0]


def test_a_run_takes_no_more_than_it_is_told_and_the_next_goes_on(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    wanted = add(one_client, "a", *(f"{number}-0" for number in range(1, 8)))
    connector = one_connect(max_records_per_batch="3")
    runs = [one(ingest(connector, tmp_path, ["streams"])) for _ in range(4)]
    assert [run.rows for run in runs] == [3, 3, 1, 0]
    assert lake.entries(tmp_path) == sorted(wanted)


def test_the_commit_names_the_entry_of_the_log_that_says_what_it_holds(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    connector = one_connect()
    offsets: list[Offset | None] = [None]
    for number in range(1, 4):
        add(one_client, "a", f"{number}-0")
        ingest(connector, tmp_path, ["streams"])
        offsets.append(connector.read_table("streams", offsets[-1])[1])
        entry = lake.offset_log(tmp_path)[number - 1]
        assert entry["version"] == lake.transaction(tmp_path) == number - 1
        assert entry["start"] == offsets[-2]
        assert entry["end"] == offsets[-1]
        assert entry["written_at"]


# Crashes


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_is_killed_loses_and_repeats_nothing(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    moment: str,
    landed_before: bool,
) -> None:
    wanted = add(one_client, "a", "1-0", "2-0") + add(one_client, "b", "7-0")
    if landed_before:
        ingest(one_connect(), tmp_path, ["streams"])
        wanted += add(one_client, "a", "3-0")
    options = json.dumps(one_server.options())
    command = [sys.executable, "-m", "tests.killed", moment, options, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    wanted += add(one_client, "a", "4-0") + add(one_client, "c", "1-0")
    ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == sorted(wanted)
    ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == sorted(wanted)


def test_an_entry_of_the_log_without_its_commit_is_never_used(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    wanted = add(one_client, "a", "1-0")
    ingest(one_connect(), tmp_path, ["streams"])
    left = tmp_path / "_lakeflow" / "streams" / "1.json"
    left.write_text("cut off in the mid")
    wanted += add(one_client, "a", "2-0")
    ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == wanted
    assert lake.transaction(tmp_path) == 2
    assert left.read_text() == "cut off in the mid"


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
def test_of_two_runs_at_once_one_stops_and_nothing_lands_twice(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    landed_before: bool,
) -> None:
    wanted = add(one_client, "a", "1-0")
    if landed_before:
        ingest(one_connect(), tmp_path, ["streams"])
        wanted += add(one_client, "a", "2-0")

    def run_another(*_: object) -> None:
        wanted.extend(add(one_client, "a", "3-0"))
        ingest(one_connect(), tmp_path, ["streams"])

    with pytest.raises(LakeError, match="another run"):
        ingest(one_connect(), tmp_path, ["streams"], on_progress=run_another)
    assert lake.entries(tmp_path) == sorted(wanted)
    wanted += add(one_client, "a", "4-0")
    ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == sorted(wanted)


# Where the last run ended must be known


def damaged(path: Path) -> None:
    """Cut a file off."""
    path.write_bytes(path.read_bytes()[:40])


def of_another_version(path: Path) -> None:
    """Let an entry say that it is another."""
    path.write_text(path.read_text().replace('"version": 0', '"version": 9', 1))


@pytest.mark.parametrize("break_it", [Path.unlink, damaged, of_another_version])
def test_without_its_entry_in_the_log_a_run_stops_and_says_what_to_do(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    break_it: Callable[[Path], None],
) -> None:
    add(one_client, "a", "1-0")
    ingest(one_connect(), tmp_path, ["streams"])
    path = tmp_path / "_lakeflow" / "streams" / "0.json"
    break_it(path)
    add(one_client, "a", "2-0")
    before = listing(tmp_path)
    with pytest.raises(LakeError, match=r"0\.json .*(?s:.*)Restore .* or land into another folder"):
        ingest(one_connect(), tmp_path, ["streams"])
    assert listing(tmp_path) == before
    assert lake.entries(tmp_path) == [("a", "1-0")]


def test_tables_beside_one_whose_offset_log_is_lost_land(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "a", "1-0")
    ingest(one_connect(), tmp_path, ["streams"])
    (tmp_path / "_lakeflow" / "streams" / "0.json").unlink()
    one_client.set("s", "v")
    failed, landed = ingest_each(one_connect(), tmp_path, ["streams", "strings"])
    assert isinstance(failed.error, LakeError)
    assert (failed.name, failed.mode, failed.committed) == ("streams", "append", False)
    assert (landed.name, landed.rows, landed.error) == ("strings", 1, None)
    runs = lake.rows(tmp_path, "_lakeflow_runs")
    assert {(run["name"], run["status"]) for run in runs} == {
        ("streams", "landed"),
        ("streams", "failed"),
        ("strings", "landed"),
    }


def test_rows_that_no_run_of_ours_appended_are_not_appended_to(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "a", "1-0")
    records, _ = one_connect().read_table("streams")
    write_deltalake(tmp_path / "streams", pa.table(records))
    with pytest.raises(LakeError, match="no commit that says where they ended"):
        ingest(one_connect(), tmp_path, ["streams"])
    assert lake.version(tmp_path, "streams") == 0


# Targets that are not for us


def folder_of_another(target: Path) -> None:
    """A folder with something in it."""
    target.mkdir()
    (target / "notes.csv").write_text("mine")


def plain_file(target: Path) -> None:
    """A file where the folder would be."""
    target.write_text("mine")


def delta_with_change_feed(target: Path) -> None:
    """A Delta table with a feature that a plain commit would break."""
    schema = TABLES["strings"].schema()
    DeltaTable.create(target, schema, configuration={"delta.enableChangeDataFeed": "true"})


def delta_with_partitions(target: Path) -> None:
    """A Delta table of our columns whose files are sorted into folders."""
    DeltaTable.create(target, TABLES["strings"].schema(), partition_by=["key_name"])


def delta_with_other_columns(target: Path) -> None:
    """A Delta table of something else."""
    write_deltalake(target, pa.table({"id": [1]}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (folder_of_another, "not a Delta table"),
        (plain_file, "not a folder"),
        (delta_with_change_feed, "features that lakeflow-redis does not write"),
        (delta_with_partitions, "partitions"),
        (delta_with_other_columns, "`id` is long there and missing here"),
    ],
)
def test_a_target_that_is_not_ours_is_found_before_anything_is_written(
    one_connect: Connect, tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / "strings")
    before = listing(tmp_path)
    with pytest.raises(ConfigurationError, match=words):
        ingest_each(one_connect(), tmp_path, ["keys", "hashes", "strings"])
    assert listing(tmp_path) == before


def test_a_table_of_others_does_not_evolve(one_connect: Connect, tmp_path: Path) -> None:
    delta_with_other_columns(tmp_path / "strings")
    with pytest.raises(ConfigurationError, match="no run of ours was before"):
        ingest(one_connect(), tmp_path, ["strings"], evolve=True)
    assert lake.rows(tmp_path, "strings") == [{"id": 1}]


def test_a_lake_that_is_a_delta_table_is_refused(one_connect: Connect, tmp_path: Path) -> None:
    delta_with_other_columns(tmp_path)
    with pytest.raises(ConfigurationError, match="is itself a Delta table"):
        ingest(one_connect(), tmp_path)


@pytest.mark.parametrize(
    "to",
    [
        *("", "gs://bucket/lake", "file:///tmp/lake", "dbfs:/lake", "a%20lake"),
        # deltalake panics at these, or takes them for others.
        *("[lake]", "a|lake", "a^lake", "a\\lake", "a\nlake", "\udcff"),
    ],
)
def test_a_lake_that_is_no_plain_local_folder_is_refused(
    one_connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        ingest(one_connect(), to)
    assert listing(tmp_path) == set()


@pytest.mark.parametrize("mode", ["replace", "merge", "history"])
def test_a_table_that_may_only_grow_is_only_appended_to(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    data.add_one(one_client, "strings", "name")
    add(one_client, "a", "1-0")
    specs = [TableSpec("strings", mode=mode), TableSpec("streams")]
    ingest(one_connect(), tmp_path, specs)
    for spec in specs:
        DeltaTable(tmp_path / spec.table).alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(ConfigurationError, match=f"appendOnly.*`{mode}`"):
        ingest(one_connect(), tmp_path, specs)
    add(one_client, "a", "2-0")
    ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == [("a", "1-0"), ("a", "2-0")]


def test_a_full_disk_is_an_error_that_says_where(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.set("large", os.urandom(1_000_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(OSError, match=rf"too large: '{tmp_path}/strings/.*\.parquet'"):
            ingest(one_connect(value_type="binary"), tmp_path, ["strings"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["a lake", "sée", "a#b", "deep/er"])
def test_a_lake_may_have_any_other_name(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, name: str
) -> None:
    add(one_client, "a", "1-0")
    for _ in range(2):
        ingest(one_connect(), tmp_path / name, ["streams", "hashes"])
    assert lake.entries(tmp_path / name) == [("a", "1-0")]


@pytest.mark.parametrize("table", ["strings", "streams"])
def test_other_columns_than_what_has_landed_are_refused(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str
) -> None:
    data.add_one(one_client, table, "name")
    ingest(one_connect(), tmp_path, [table])
    before = listing(tmp_path)
    words = "`key_name` is string not null there and binary not null here(?s:.*)value_type"
    with pytest.raises(ConfigurationError, match=words):
        ingest(one_connect(value_type="binary"), tmp_path, [table])
    assert listing(tmp_path) == before


def test_nulls_do_not_land_in_columns_that_take_none(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.set(b"\xff", "value")
    nulls = one_connect(invalid_utf8="null")
    ingest(one_connect(invalid_utf8="skip"), tmp_path / "without", ["strings"])
    with pytest.raises(ConfigurationError, match="`key_name` is string not null there and string"):
        ingest(nulls, tmp_path / "without", ["strings"])
    ingest(nulls, tmp_path / "with", ["strings"])
    assert [row["key_name"] for row in lake.rows(tmp_path / "with", "strings")] == [None]
    ingest(one_connect(invalid_utf8="skip"), tmp_path / "with", ["strings"])
    ingest(nulls, tmp_path / "with", ["strings"])
    assert lake.version(tmp_path / "with", "strings") == 2


@pytest.mark.parametrize("tables", [["strings", "hash"], ["nope"], [""]])
def test_a_table_that_does_not_exist_is_found_before_anything_is_written(
    one_connect: Connect, tmp_path: Path, tables: list[str]
) -> None:
    with pytest.raises(ConfigurationError):
        ingest(one_connect(), tmp_path / "lake", tables)
    assert listing(tmp_path) == set()


# Reads that fail


MANY = 100_000
"""Elements of a list that needs more than one batch."""


def fill_list(client: redis.Redis, last: bytes) -> None:
    """Make a list of which the last element comes in a later batch than the first."""
    client.rpush("l", *range(MANY - 1), last)


def test_a_read_that_fails_in_its_middle_commits_nothing_and_leaves_no_files(
    connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    fill_list(client, b"\xff")
    heard: list[int] = []
    with pytest.raises(DecodeError):
        ingest(connect(), tmp_path, ["lists"], on_progress=lambda *call: heard.append(call[1]))
    assert heard, "it failed before anything was written"
    assert not DeltaTable.is_deltatable(str(tmp_path / "lists"))
    assert lake.data_files(tmp_path, "lists") == set()

    client.lset("l", -1, "mended")
    ingest(connect(), tmp_path, ["lists"])
    assert len(lake.rows(tmp_path, "lists")) == MANY
    files = lake.data_files(tmp_path, "lists")
    client.rpop("l")
    client.rpush("l", b"\xff")
    with pytest.raises(DecodeError):
        ingest(connect(), tmp_path, ["lists"])
    assert lake.version(tmp_path, "lists") == 0
    assert lake.data_files(tmp_path, "lists") == files


def test_where_one_table_cannot_be_read_none_of_the_same_read_lands(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", "v")
    one_client.set("s", b"\xff")
    add(one_client, "a", "1-0")
    results = list(ingest_each(one_connect(), tmp_path, ["hashes", "strings", "streams", "keys"]))
    assert [result.table for result in results] == ["hashes", "strings", "keys", "streams"]
    for result in results[:-1]:
        assert isinstance(result.error, DecodeError)
        assert "table strings" in str(result.error)
        assert (result.rows, result.version, result.committed) == (0, None, False)
    assert lake.entries(tmp_path) == [("a", "1-0")], "of a read of its own"
    for table in ("hashes", "strings", "keys"):
        assert not DeltaTable.is_deltatable(str(tmp_path / table))
        assert lake.data_files(tmp_path, table) == set()


def test_tables_beside_the_one_whose_commit_fails_land(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", "v")
    one_client.set("s", "v")
    results = ingest_each(one_connect(), tmp_path, ["hashes", "strings", "keys"])
    assert next(results).table == "hashes"
    write_deltalake(tmp_path / "strings", pa.table({"x": [1]}))
    failed = next(results)
    assert isinstance(failed.error, LakeError)
    assert failed.table == "strings"
    assert next(results).committed
    assert len(lake.rows(tmp_path, "hashes")) == 1
    assert len(lake.rows(tmp_path, "keys")) == 2


def test_what_is_not_asked_for_does_not_land_and_leaves_no_files(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({"a": "1", "b": "2"})
    results = ingest_each(one_connect(), tmp_path, ["strings", "keys"])
    assert next(results).rows == 2
    results.close()  # type: ignore[attr-defined]
    assert lake.version(tmp_path, "strings") == 0
    assert lake.data_files(tmp_path, "keys") == set()


def test_one_run_scans_the_keys_once(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    for table in CONTENT_TABLES:
        data.add_one(one_client, table, f"of {table}")
    one_client.config_resetstat()
    ingest(one_connect(), tmp_path, [*CONTENT_TABLES, "keys"])
    calls = one_client.info("commandstats")
    scans = calls["cmdstat_scan"]["calls"]
    assert scans == 2, "one for the plan of streams, and one for all others"
    keys = len(CONTENT_TABLES)
    assert calls["cmdstat_type"]["calls"] == keys


def test_an_exception_of_the_one_who_listens_ends_the_run(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "a", "1-0")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(one_connect(), tmp_path, ["streams"], on_progress=interrupt)
    assert lake.data_files(tmp_path, "streams") == set()
    ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == [("a", "1-0")]


def test_a_server_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    connector = LakeflowConnect({"host": "127.0.0.1", "port": str(free_port())})
    with pytest.raises(RedisConnectionError):
        ingest(connector, tmp_path, ["strings"])


# Progress and memory


def test_progress_is_heard_batch_by_batch(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    fill_list(one_client, b"last")
    heard: list[tuple[str, int, float | None]] = []
    result = one(
        ingest(one_connect(), tmp_path, ["lists"], on_progress=lambda *call: heard.append(call))
    )
    assert len(heard) > 1
    assert [table for table, _, _ in heard] == ["lists"] * len(heard)
    counts = [count for _, count, _ in heard]
    assert counts == sorted(counts)
    assert counts[-1] == result.rows == MANY


MEGABYTES = 300
MOST_MEGABYTES = 120
"""By how much landing these may raise the peak of memory: some batches of 16 MiB."""

MEASURE = """
import json, resource, sys
from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import ingest
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
options, lake = sys.argv[1:]
ingest(LakeflowConnect(json.loads(options)), lake, ["hashes"])
before = peak()
(result,) = ingest(LakeflowConnect(json.loads(options)), lake, ["strings"])
print(json.dumps({"rows": result.rows, "raised": peak() - before}))
"""


def test_memory_is_bounded_however_large_the_values(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    for number in range(MEGABYTES):
        one_client.set(f"{number}", data.MEGABYTE)
    command = [sys.executable, "-c", MEASURE, json.dumps(one_server.options()), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    one_client.flushdb()
    measured = json.loads(done.stdout)
    assert measured["rows"] == MEGABYTES
    unit = 1 if sys.platform == "darwin" else 1024
    assert measured["raised"] * unit < MOST_MEGABYTES * 2**20, done.stdout
