"""Quarantine: rows that are no text go to a table of their own, as bytes; each row lands once, in one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import redis
from deltalake import DeltaTable, write_deltalake
from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import Lake, LakeError, Mode, TableSpec, ingest, ingest_each
from lakeflow_redis.ingest.model import FileFormat
from lakeflow_redis.ingest.rejects import SCHEMA

from tests import data, lake, oracle
from tests.by_database import emptied
from tests.clusters import Cluster
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.killed import REJECT_MOMENTS, run_killed
from tests.oracle import Row
from tests.parquet import parquet_rows
from tests.servers import Server
from tests.streams import add

BAD = b"bad \xff"
WORSE = b"\xc3("
TABLES_OF_KEYS = [*CONTENT_TABLES, "keys"]
FORMATS = pytest.mark.parametrize("form", ["delta", "parquet"])


def rejects(folder: Path, name: str | None = None) -> list[Row]:
    """The rejected rows, of one table or of all; their cells by column."""
    if not DeltaTable.is_deltatable(str(folder / "_lakeflow_rejects")):
        return []
    found = lake.rows(folder, "_lakeflow_rejects")
    rows = [{**row, "row": dict(row["row"])} for row in found]
    return [row for row in rows if name in {None, row["name"]}]


def landed(folder: Path, table: str, form: str = "delta") -> list[Row]:
    """The rows that landed."""
    return lake.rows(folder, table) if form == "delta" else parquet_rows(folder / table)


def quarantined(connector: LakeflowConnect, to: Path | Lake, *tables: str | TableSpec) -> Any:
    """The result of a run of one table, or those of several."""
    results = ingest(connector, to, tables, quarantine=True)
    return results[0] if len(tables) == 1 else results


def is_text(value: bytes) -> bool:
    """Whether bytes are UTF-8, by Python."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def cells(table: str, row: Row) -> dict[str, Any]:
    """A row of the oracle's, in bytes, by those columns that stand still; a stream's fields by name."""
    still = {"key_name", "field", "value", "member", "fields", "entry_id", "list_index", "rank"}
    found = {name: value for name, value in row.items() if name in still}
    return {name: found[name] for name in TABLES[table].names if name in found}


def as_bytes(table: str, cell: Mapping[str, bytes | None]) -> dict[str, Any]:
    """A rejected row, in the same form."""
    found: dict[str, Any] = dict(cell)
    for name in ("list_index", "rank"):
        if name in found:
            found[name] = int(found[name])
    if "fields" in found:
        found["fields"] = oracle.parse_fields(found["fields"])
        found["entry_id"] = found["entry_id"].decode()
    return cells(table, found)


def raw_cells(table: str, row: Row) -> list[bytes]:
    """All bytes in an oracle's row that have to be text."""
    names = {column.name for column in TABLES[table].columns if column.raw}
    words: list[bytes] = []
    for name in names:
        value = row[name]
        if isinstance(value, dict):
            for field, content in value.items():
                words += [field, *(content if isinstance(content, list) else [content])]
        else:
            words.append(value)
    return [
        word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words
    ]


# Good rows land as read_table gives them, and the others are rejected


@FORMATS
@pytest.mark.parametrize("table", TABLES_OF_KEYS)
def test_good_rows_land_and_the_others_are_rejected_as_bytes(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str, form: FileFormat
) -> None:
    data.fill(one_client, "strings" if table == "keys" else table, data.WORDS)
    connector = one_connect()
    result = quarantined(connector, Lake(tmp_path, form), table)
    expected, _ = connector.read_table(table, None, {"invalid_utf8": "skip"})
    good = list(expected)
    assert_same_rows(table, landed(tmp_path, table, form), good)

    everything = oracle.read(one_client, table, binary=True)
    bad = [row for row in everything if not all(map(is_text, raw_cells(table, row)))]
    found = rejects(tmp_path)
    assert len(bad) > len(data.BYTES) / 3
    assert sorted(map(repr, (as_bytes(table, row["row"]) for row in found))) == sorted(
        map(repr, (cells(table, row) for row in bad))
    )
    assert len(good) + len(found) == len(everything)
    assert (result.rows, result.rejected) == (len(good), len(bad))
    assert result.receipt["rows"] == len(everything)
    assert expected.receipt["rows_skipped"] == len(bad)
    for row in found:
        assert list(row["row"]) == TABLES[table].names
        assert row["row"]["key_name"] == row["key_name"]
        cell = row["row"][row["column"]]
        assert not is_text(cell)
        assert row["cause"].startswith("not UTF-8: ")
        assert f"byte {first_bad(cell)}" in row["cause"]


def first_bad(value: bytes) -> int:
    """Where bytes cease to be UTF-8."""
    with pytest.raises(UnicodeDecodeError) as caught:
        value.decode()
    return caught.value.start


def test_a_reject_says_all_that_is_known_of_it(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.zadd("z", {BAD: 1.5})
    (result,) = ingest(one_connect(), tmp_path, ["sorted_sets"], quarantine=True)
    (row,) = lake.rows(tmp_path, "_lakeflow_rejects")
    assert list(row) == SCHEMA.names
    scanned = str(result.end and result.end["scanned_at"]).encode()
    assert row["row"] == [
        *(("key_name", b"z"), ("member", BAD), ("score", b"1.5"), ("rank", b"0")),
        *(("zset_cardinality", b"1"), ("ttl_seconds", None), ("scanned_at", scanned)),
    ]
    assert (row["name"], row["column"], row["after_version"]) == ("sorted_sets", "member", -1)
    (run,) = lake.rows(tmp_path, "_lakeflow_runs")
    assert (row["run_id"], row["rejected_at"]) == (run["run_id"], run["started_at"])
    assert run["rows_rejected"] == 1


def test_the_first_column_that_is_no_text_is_named(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset(BAD, mapping={BAD: BAD})
    one_client.hset("h", mapping={BAD: WORSE, b"f": WORSE, b"g": b"v"})
    quarantined(one_connect(), tmp_path, "hashes")
    found = {(row["key_name"], row["column"]): row["row"] for row in rejects(tmp_path)}
    assert set(found) == {(BAD, "key_name"), (b"h", "field"), (b"h", "value")}
    assert found[b"h", "field"]["value"] == WORSE
    assert [row["field"] for row in landed(tmp_path, "hashes")] == ["g"]


@pytest.mark.parametrize("table", TABLES_OF_KEYS)
def test_where_all_is_text_nothing_is_rejected(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str
) -> None:
    data.fill(one_client, "strings" if table == "keys" else table, data.TEXTS)
    result = quarantined(one_connect(), tmp_path, table)
    assert result.rejected == 0
    assert_same_rows(table, landed(tmp_path, table), list(one_connect().read_table(table)[0]))
    assert not (tmp_path / "_lakeflow_rejects").exists()


def test_where_nothing_is_text_an_empty_table_lands(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.rpush("l", *[BAD] * 30_000)
    result = quarantined(one_connect(), tmp_path, "lists")
    assert (result.rows, result.rejected) == (0, 30_000)
    assert landed(tmp_path, "lists") == []
    assert {row["row"]["list_index"] for row in rejects(tmp_path)} == {
        str(number).encode() for number in range(30_000)
    }


def test_a_bad_row_in_a_long_table_is_alone_in_going(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.rpush("l", *[b"good"] * 150_000, BAD, *[b"good"] * 10)
    result = quarantined(one_connect(), tmp_path, "lists")
    assert (result.rows, result.rejected) == (150_010, 1)
    (row,) = rejects(tmp_path)
    assert row["row"]["list_index"] == b"150000"


def test_tables_of_one_read_keep_their_rejects_apart(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    for table in CONTENT_TABLES:
        data.add_one(one_client, table, f"good {table}")
        data.add_one(one_client, table, f"bad {table}", BAD)
    one_client.set(b"name \xff", "v")
    results = quarantined(one_connect(), tmp_path, *TABLES)
    rejected = {result.name: result.rejected for result in results}
    assert rejected == dict.fromkeys(CONTENT_TABLES, 1) | {
        "strings": 2,
        "keys": 1,
        "server_info": 0,
    }
    for name, count in rejected.items():
        assert len(rejects(tmp_path, name)) == count
        assert (tmp_path / name).is_dir()


# The JSON of streams


TRICKY = [
    *data.TEXTS,
    *(bytes([byte]) for byte in range(128)),
    *(
        text.encode()
        for text in (
            *("\u2028", "\u2029", "\x85", "\ufffd", "\U0001f600", "\U0010ffff", "\ud7ff"),
            *('"', '\\"', '\\\\"', "\\\\", "\\u0041", "\\ud83d", "/", "</script>", "\b\f\n\r\t"),
            *('"}', '":"', "[", '["a","b"]', "null", "\x7f", "\u200b\u202e", "\ue000"),
        )
    ),
]


def test_entries_that_are_text_are_the_same_text_in_both_modes(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    pipe = one_client.pipeline(transaction=False)
    for word in TRICKY:
        pipe.xadd("names", {word: "v"})
        pipe.xadd("values", {"f": word, "g": word})
        pipe.xadd("both", {word: word, b"bad" + word: b"v"})
        pipe.execute_command("XADD", "repeated", "*", word, "1", "f", word, word, word)  # type: ignore[no-untyped-call]
        pipe.xadd(word, {"f": "v"})
    pipe.xadd("wide", dict.fromkeys(TRICKY, b"v"))
    one_client.xadd("names", {BAD: "v"})
    pipe.execute()
    connector = one_connect()
    quarantined(connector, tmp_path, "streams")
    expected = list(connector.read_table("streams", None, {"invalid_utf8": "skip"})[0])
    assert len(expected) == 5 * len(TRICKY) + 1
    by_id = {(row["key_name"], row["entry_id"]): row for row in expected}
    found = {(row["key_name"], row["entry_id"]): row for row in landed(tmp_path, "streams")}
    assert found == by_id
    for row in found.values():
        assert isinstance(json.loads(row["fields"]), dict)


# Streams: each reject once


def entry_ids(folder: Path) -> list[str]:
    """The ids of rejected entries, in order, repeated ones too."""
    return sorted(row["row"]["entry_id"].decode() for row in rejects(folder))


@FORMATS
def test_rejects_of_streams_are_appended(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, form: FileFormat
) -> None:
    to = Lake(tmp_path, form)
    one_client.xadd("a", {"f": BAD}, "1-0")
    wanted = add(one_client, "a", "2-0")
    first = quarantined(one_connect(), to, "streams")
    unchanged = quarantined(one_connect(), to, "streams")
    one_client.xadd("a", {"f": BAD}, "3-0")
    second = quarantined(one_connect(), to, "streams")
    wanted += add(one_client, "a", "4-0")
    third = quarantined(one_connect(), to, "streams")
    assert [each.rejected for each in (first, unchanged, second, third)] == [1, 0, 1, 0]
    assert [each.committed for each in (first, unchanged, second, third)] == [
        True,
        False,
        True,
        True,
    ]
    assert entry_ids(tmp_path) == ["1-0", "3-0"]
    assert [row["after_version"] for row in rejects(tmp_path)] in ([-1, 0], [0, -1])
    found = [(row["key_name"], row["entry_id"]) for row in landed(tmp_path, "streams", form)]
    assert sorted(found) == wanted


def test_rejects_do_not_hold_up_what_is_behind_them(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    for number in range(1, 8):
        one_client.xadd("a", {"f": BAD if number % 3 else "v"}, f"{number}-0")
    connector = one_connect(max_records_per_batch="2")
    results = [quarantined(connector, tmp_path, "streams") for _ in range(5)]
    assert [(result.rows, result.rejected) for result in results] == [
        *((0, 2), (1, 1), (1, 1), (0, 1), (0, 0))
    ]
    assert entry_ids(tmp_path) == ["1-0", "2-0", "4-0", "5-0", "7-0"]


KILLS = [
    *(([moment], False) for moment in REJECT_MOMENTS),
    # One run after the other.
    ([*REJECT_MOMENTS], True),
]


@FORMATS
@pytest.mark.parametrize(("moments", "landed_before"), KILLS, ids=[*REJECT_MOMENTS, "all"])
def test_whenever_runs_are_killed_each_reject_is_there_once(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    form: FileFormat,
    moments: list[str],
    landed_before: bool,
) -> None:
    to = Lake(tmp_path, form)
    good = add(one_client, "a", "1-0")
    one_client.xadd("a", {"f": BAD}, "2-0")
    bad = ["2-0"]
    if landed_before:
        quarantined(one_connect(), to, "streams")
    for number, moment in enumerate(moments, 3):
        one_client.xadd("a", {"f": BAD}, f"{number}-1")
        good += add(one_client, "a", f"{number}-2")
        bad.append(f"{number}-1")
        run_killed(moment, one_server.options(), tmp_path, format=form, quarantine=True)
    one_client.xadd("b", {"f": BAD}, "1-0")
    bad.append("1-0")
    for _ in range(2):
        quarantined(one_connect(), to, "streams")
        assert entry_ids(tmp_path) == sorted(bad)
        found = [(row["key_name"], row["entry_id"]) for row in landed(tmp_path, "streams", form)]
        assert sorted(found) == good


@FORMATS
@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
def test_of_two_runs_at_once_the_rejects_of_the_one_that_lands_stay(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    form: FileFormat,
    landed_before: bool,
) -> None:
    to = Lake(tmp_path, form)
    one_client.xadd("a", {"f": BAD}, "1-0")
    add(one_client, "a", "2-0")
    bad = ["1-0"]
    if landed_before:
        quarantined(one_connect(), to, "streams")
        one_client.xadd("a", {"f": BAD}, "3-0")
        add(one_client, "a", "4-0")
        bad.append("3-0")

    def run_another(*_: object) -> None:
        one_client.xadd("a", {"f": BAD}, "5-0")
        quarantined(one_connect(), to, "streams")

    with pytest.raises(LakeError):
        ingest(one_connect(), to, ["streams"], on_progress=run_another, quarantine=True)
    one_client.xadd("a", {"f": BAD}, "6-0")
    for _ in range(2):
        quarantined(one_connect(), to, "streams")
        assert entry_ids(tmp_path) == [*bad, "5-0", "6-0"]


# Snapshots: those of the last landing


@pytest.mark.parametrize("mode", ["replace", "merge", "history"])
def test_rejects_of_snapshots_are_those_of_the_last_landing(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Mode
) -> None:
    spec = TableSpec("hashes", "h", mode)
    one_client.hset("key", mapping={"stays": BAD, "mends": BAD, "breaks": "v", "good": "v"})
    first = quarantined(one_connect(), tmp_path, spec)
    assert (first.rows, first.rejected) == (2, 2)
    one_client.hset("key", mapping={"mends": "v", "breaks": BAD})
    second = quarantined(one_connect(), tmp_path, spec)
    assert (second.rows, second.rejected) == (2, 2)
    assert {row["row"]["field"] for row in rejects(tmp_path)} == {b"stays", b"breaks"}
    now = [row["field"] for row in landed(tmp_path, "h") if not row.get("valid_to")]
    assert sorted(now) == ["good", "mends"]
    if mode != "replace":
        assert (second.changes.inserted, second.changes.deleted) == (1, 1)
    third = quarantined(one_connect(), tmp_path, spec)
    assert third.committed == (mode == "replace")
    assert {row["run_id"] for row in rejects(tmp_path)} == {run_ids(tmp_path)[-1]}
    assert {row["row"]["field"] for row in rejects(tmp_path)} == {b"stays", b"breaks"}
    one_client.delete("key")
    quarantined(one_connect(), tmp_path, spec)
    assert rejects(tmp_path) == []


def run_ids(folder: Path) -> list[str]:
    """The runs that there were, in order."""
    rows = lake.rows(folder, "_lakeflow_runs")
    return [row["run_id"] for row in sorted(rows, key=lambda row: row["started_at"])]


def test_rejects_of_a_snapshot_that_did_not_land_go_with_the_next_that_does(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("key", mapping={"bad": BAD, "good": "v"})
    quarantined(one_connect(), tmp_path, "hashes")

    def run_another(*_: object) -> None:
        one_client.hset("key", "worse", WORSE)
        quarantined(one_connect(), tmp_path, "hashes")

    with pytest.raises(LakeError):
        ingest(one_connect(), tmp_path, ["hashes"], on_progress=run_another, quarantine=True)
    assert {b"bad", b"worse"} <= {row["row"]["field"] for row in rejects(tmp_path)}
    quarantined(one_connect(), tmp_path, "hashes")
    assert sorted(row["row"]["field"] for row in rejects(tmp_path)) == [b"bad", b"worse"]


def test_where_rejects_cannot_land_the_table_does_not_either(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({"bad": BAD, "good": b"v"})
    write_deltalake(tmp_path / "_lakeflow_rejects", pa.table({"name": pa.array([1], pa.int64())}))
    (result,) = ingest_each(one_connect(), tmp_path, ["strings"], quarantine=True)
    assert isinstance(result.error, LakeError)
    assert "_lakeflow_rejects" in str(result.error)
    assert not DeltaTable.is_deltatable(str(tmp_path / "strings"))


# With other options


def test_columns_that_are_not_read_reject_nothing(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("key", mapping={"f": BAD, BAD: "v"})
    spec = TableSpec("hashes", options={"columns": "field,key_name"})
    result = quarantined(one_connect(), tmp_path, spec)
    assert (result.rows, result.rejected) == (1, 1)
    assert landed(tmp_path, "hashes") == [{"field": "f", "key_name": "key"}]
    (row,) = rejects(tmp_path)
    assert row["row"] == {"field": BAD, "key_name": b"key"}


def test_without_its_key_a_reject_has_none(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("key", mapping={"f": BAD})
    quarantined(one_connect(), tmp_path, TableSpec("hashes", options={"columns": "value"}))
    (row,) = rejects(tmp_path)
    assert (row["key_name"], row["column"], row["row"]) == (None, "value", {"value": BAD})


def test_fields_of_hashes_are_chosen_as_ever(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("key", mapping={"a": BAD, "b": "v", "c": BAD})
    result = quarantined(one_connect(), tmp_path, TableSpec("hashes", options={"fields": "a,b"}))
    assert (result.rows, result.rejected) == (1, 1)
    (row,) = rejects(tmp_path)
    assert row["row"]["field"] == b"a"


def test_of_binary_columns_nothing_is_rejected(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({b"key": BAD, WORSE: b"v"})
    connector = one_connect(value_type="binary")
    result = quarantined(connector, tmp_path, "strings")
    assert (result.rows, result.rejected) == (2, 0)
    assert {row["value"] for row in landed(tmp_path, "strings")} == {BAD, b"v"}


@pytest.mark.parametrize("invalid_utf8", ["error", "replace", "null", "skip"])
@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_quarantine_goes_over_what_else_is_said_of_such_bytes(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    invalid_utf8: str,
    mode: Mode,
) -> None:
    one_client.mset({b"key": BAD, WORSE: b"v", b"good": b"v"})
    connector = one_connect(invalid_utf8=invalid_utf8)
    spec = TableSpec("strings", mode=mode)
    result = quarantined(connector, tmp_path, spec)
    assert (result.rows, result.rejected) == (1, 2)
    assert pa.schema(DeltaTable(tmp_path / "strings").schema()) == TABLES["strings"].schema()
    assert result.receipt["values_replaced"] == result.receipt["rows_skipped"] == 0


def test_several_databases_have_a_column_each_reject_shows(
    one_server: Server, tmp_path: Path
) -> None:
    with emptied(one_server, (0, 1)) as clients:
        for number, client in clients.items():
            client.mset({f"bad {number}": BAD, f"good {number}": b"v"})
        connector = LakeflowConnect(one_server.options(db="0,1"))
        quarantined(connector, tmp_path, "strings")
        assert {(row["db"], row["key_name"]) for row in landed(tmp_path, "strings")} == {
            *((0, "good 0"), (1, "good 1"))
        }
        assert {(row["row"]["db"], row["key_name"]) for row in rejects(tmp_path)} == {
            *((b"0", b"bad 0"), (b"1", b"bad 1"))
        }


def test_a_cluster_is_no_exception(one_cluster: Cluster, tmp_path: Path) -> None:
    one_cluster.flush()
    client = one_cluster.client()
    for number in range(30):
        client.set(f"good {number}", "v")
        client.set(f"bad {number}", BAD)
        client.set(b"\xff %d" % number, "v")
    result = quarantined(LakeflowConnect(one_cluster.options()), tmp_path, "strings")
    assert (result.rows, result.rejected) == (30, 60)
    one_cluster.flush()
    assert len({row["key_name"] for row in rejects(tmp_path)}) == 60
    assert {row["value"] for row in landed(tmp_path, "strings")} == {"v"}


def test_without_quarantine_rejects_of_former_runs_stay(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.xadd("a", {"f": BAD}, "1-0")
    quarantined(one_connect(), tmp_path, "streams")
    one_client.xadd("a", {"f": BAD}, "2-0")
    ingest(one_connect(invalid_utf8="replace"), tmp_path, ["streams"])
    one_client.xadd("a", {"f": BAD}, "3-0")
    quarantined(one_connect(), tmp_path, "streams")
    assert entry_ids(tmp_path) == ["1-0", "3-0"]
    assert lake.entries(tmp_path) == [("a", "2-0")]
