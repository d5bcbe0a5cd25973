"""The option `db`: one database, several, or all that hold keys; of several, each row says which."""

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import ConfigurationError, DataLossError, LakeflowConnect
from lakeflow_redis.ingest import ingest

from tests import data, lake, oracle
from tests.by_database import apart, assert_same_by_database, emptied
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.monitor import Monitor
from tests.oracle import Raw, Row
from tests.servers import REDIS_7_0, Server
from tests.streams import add
from tests.test_cli import at, run
from tests.test_connector import NOWHERE

Clients = dict[int, redis.Redis]

KEY_TABLES = [*CONTENT_TABLES, "keys"]
DB = pa.field("db", pa.int64(), nullable=False)

FILLED = (0, 1, 3)
"""Databases that the tests fill, with one between them that stays empty."""

SPELLINGS = {
    "0": (0,),
    "1": (1,),
    "0,1,2": (0, 1, 2),
    "3, 0": (0, 3),
    "*": FILLED,
}
"""What the option says, and which databases it means then."""


@pytest.fixture
def clients(server: Server) -> Iterator[Clients]:
    """Clients on some databases of `server`, which is empty."""
    with emptied(server, range(4)) as clients:
        yield clients


@pytest.fixture
def one_clients(one_server: Server) -> Iterator[Clients]:
    """Clients on some databases of one server, which is empty."""
    with emptied(one_server, range(4)) as clients:
        yield clients


def fill(clients: Clients, table: str) -> None:
    """Put keys for a table, and some others, into databases; all share some of their names."""
    for place, db in enumerate(FILLED):
        data.fill(clients[db], table, data.TEXTS[place :: 2 + place])
        data.add_one(clients[db], table, "in all", f"in {db}")
        clients[db].expire("in all", data.TTL_SECONDS * (db + 1))


def read(server: Server, table: str, **options: str) -> list[Row]:
    """All rows of a table."""
    return list(LakeflowConnect(server.options(**options)).read_table(table)[0])


def expected(clients: Clients, table: str, databases: Sequence[int]) -> dict[int, list[Row]]:
    """The rows of each database."""
    return {db: oracle.read(clients[db], table) for db in databases}


# Which databases


@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("table", KEY_TABLES)
def test_the_rows_of_each_database_equal_the_oracles(
    server: Server, clients: Clients, table: str, spelled: str
) -> None:
    fill(clients, "hashes" if table == "keys" else table)
    databases = SPELLINGS[spelled]
    rows = read(server, table, db=spelled)
    wanted = expected(clients, table, databases)
    if len(databases) == 1:
        assert_same_rows(table, rows, wanted[databases[0]])
    else:
        assert_same_by_database(table, rows, wanted)


def test_all_databases_are_those_that_hold_keys(server: Server, clients: Clients) -> None:
    with server.client(15) as last:
        last.set("a", "of the last")
        clients[2].set("a", "of another")
        with Monitor(server) as monitor:
            rows = read(server, "strings", db="*")
        assert {(row["db"], row["value"]) for row in rows} == {
            (2, "of another"),
            (15, "of the last"),
        }
        # Database 0 may be named by what comes with the connection, but is not scanned.
        assert {scan.db for scan in monitor.named("scan")} == {2, 15}
        last.delete("a")
        clients[0].set("a", "of the first")
        assert {row["db"] for row in read(server, "strings", db="*")} == {0, 2}


@pytest.mark.parametrize("spelled", ["*", "0,1", "5,7"])
@pytest.mark.parametrize("table", KEY_TABLES)
def test_where_no_database_holds_a_key_tables_are_empty_and_have_the_column(
    server: Server, clients: Clients, table: str, spelled: str
) -> None:
    records, _ = LakeflowConnect(server.options(db=spelled)).read_table(table)
    rows = pa.table(records)
    assert rows.num_rows == 0
    assert rows.schema == TABLES[table].schema().append(DB)
    assert records.receipt["complete"]


def test_the_same_name_in_two_databases_is_two_keys(server: Server, clients: Clients) -> None:
    clients[0].set("name", "first", ex=1000)
    clients[1].set("name", "second")
    clients[3].rpush("name", "third", "fourth")
    clients[3].expire("name", 2000)
    found = {(row["db"], row["value"]): row for row in read(server, "strings", db="*")}
    assert found.keys() == {(0, "first"), (1, "second")}
    assert 990 <= found[0, "first"]["ttl_seconds"] <= 1000
    assert found[1, "second"]["ttl_seconds"] is None
    keys = {row["db"]: row for row in read(server, "keys", db="0,1,3")}
    types = {db: row["key_type"] for db, row in keys.items()}
    assert types == {0: "string", 1: "string", 3: "list"}
    assert 1990 <= keys[3]["ttl_seconds"] <= 2000
    assert keys[1]["ttl_seconds"] is None


def test_times_to_live_are_asked_only_where_keys_expire(server: Server, clients: Clients) -> None:
    clients[0].set("stays", "v")
    clients[1].mset({"goes": "v", "stays": "v"})
    clients[1].expire("goes", 1000)
    with Monitor(server) as monitor:
        read(server, "strings", db="0,1")
        read(server, "keys", db="*")
    assert {(command.db, command.words[1]) for command in monitor.named("ttl")} == {
        *((1, b"goes"), (1, b"stays"))
    }


def test_a_url_names_one_database(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "lists")
    place = f"{one_server.host}:{one_server.port}"
    for url in (f"redis://{place}/1", f"unix://{one_server.unix_socket}?db=1"):
        rows = list(LakeflowConnect({"url": url}).read_table("lists")[0])
        assert_same_rows("lists", rows, oracle.read(one_clients[1], "lists"))
    with pytest.raises(ConfigurationError, match="`url`"):
        LakeflowConnect({"url": f"redis://{place}/0,1"})


def test_a_connector_for_several_databases_can_be_pickled(
    one_server: Server, one_clients: Clients
) -> None:
    fill(one_clients, "sets")
    connector = pickle.loads(pickle.dumps(LakeflowConnect(one_server.options(db="*"))))
    rows = list(connector.read_table("sets")[0])
    assert_same_by_database("sets", rows, expected(one_clients, "sets", FILLED))


# What there is not


@pytest.fixture(scope="module")
def narrow_server() -> Iterator[Server]:
    """A server of four databases."""
    with Server(REDIS_7_0, "--databases", "4") as server:
        yield server


@pytest.mark.parametrize("spelled", ["4", "0,9", "3,4,5"])
@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_database_past_the_last_is_an_error_at_once(
    narrow_server: Server, table: str, spelled: str
) -> None:
    connector = LakeflowConnect(narrow_server.options(db=spelled))
    for call in (
        lambda: connector.read_table(table),
        lambda: connector.read_tables([table, "server_info"]),
        connector.inspect,
    ):
        with pytest.raises(ConfigurationError, match="`db`") as caught:
            call()
        assert f"database {9 if '9' in spelled else 4}" in str(caught.value)


def test_the_last_database_can_be_read(narrow_server: Server) -> None:
    with narrow_server.client(3) as client:
        client.set("a", "v")
        assert [row["key_name"] for row in read(narrow_server, "strings", db="3")] == ["a"]
        assert [row["db"] for row in read(narrow_server, "strings", db="2,3")] == [3]


@pytest.mark.parametrize("spelled", ["4", "0,9"])
def test_a_test_of_the_connection_notices_that_a_database_is_not_there(
    narrow_server: Server, spelled: str
) -> None:
    told = LakeflowConnect(narrow_server.options(db=spelled)).test_connection()
    assert told["status"] == "error"
    assert "`db`" in told["message"]


def test_a_test_of_the_connection_names_the_databases(one_server: Server) -> None:
    for spelled, said in (("0,2", "databases 0, 2"), ("*", "all databases"), ("1", "database 1")):
        told = LakeflowConnect(one_server.options(db=spelled)).test_connection()
        assert told["status"] == "success"
        assert said in told["message"]


# Columns


@pytest.mark.parametrize("spelled", ["0", "7", "0,1", "*"])
@pytest.mark.parametrize("table", TABLES)
def test_the_column_is_there_and_part_of_the_key_where_there_may_be_several(
    table: str, spelled: str
) -> None:
    connector = LakeflowConnect(NOWHERE | {"db": spelled})
    schema = pa.schema(connector.get_table_schema(table))
    keys = connector.read_table_metadata(table)["primary_keys"]
    several = spelled in ("0,1", "*") and table != "server_info"
    assert schema == (TABLES[table].schema().append(DB) if several else TABLES[table].schema())
    assert keys == [*TABLES[table].primary_keys, *(["db"] if several else [])]


@pytest.mark.parametrize("table", KEY_TABLES)
def test_the_column_comes_like_any_other_where_it_is_asked_for(
    server: Server, clients: Clients, table: str
) -> None:
    fill(clients, "hashes" if table == "keys" else table)
    whole = read(server, table, db="*")
    for columns in (["db"], ["db", "key_name"], ["key_name"]):
        connector = LakeflowConnect(server.options(db="*", columns=",".join(columns)))
        rows = list(connector.read_table(table)[0])
        assert all(list(row) == columns for row in rows)
        assert sorted(tuple(map(str, row.values())) for row in rows) == sorted(
            tuple(str(row[name]) for name in columns) for row in whole
        )
        complete = {*TABLES[table].primary_keys, "db"} <= set(columns)
        keys = connector.read_table_metadata(table)["primary_keys"]
        assert keys == ([*TABLES[table].primary_keys, "db"] if complete else [])


@pytest.mark.parametrize("table", KEY_TABLES)
def test_there_is_no_such_column_of_one_database(table: str) -> None:
    with pytest.raises(ConfigurationError, match='"db"'):
        LakeflowConnect(NOWHERE).get_table_schema(table, {"columns": "key_name,db"})


@pytest.mark.parametrize("spelled", ["0,1", "*"])
def test_what_the_server_says_of_itself_comes_once_and_without_the_column(
    server: Server, clients: Clients, spelled: str
) -> None:
    fill(clients, "strings")
    connector = LakeflowConnect(server.options(db=spelled))
    records, _ = connector.read_table("server_info")
    assert pa.schema(records.schema) == TABLES["server_info"].schema()
    rows = list(records)
    wanted = oracle.read(clients[0], "server_info")
    assert len({(row["section"], row["property"]) for row in rows}) == len(rows)
    assert {row["section"] for row in rows} == {row["section"] for row in wanted}
    beside = connector.read_tables(["keys", "server_info"])[0].read_all()["server_info"]
    assert beside.schema == TABLES["server_info"].schema()
    assert len(beside.group_by(["section", "property"]).aggregate([])) == len(beside) > 0


# Several tables at once


@pytest.mark.parametrize("spelled", ["1", "0,1,2", "*"])
def test_several_tables_come_of_each_database(
    server: Server, clients: Clients, spelled: str
) -> None:
    fill(clients, "sorted_sets")
    databases = SPELLINGS[spelled]
    tables = ["keys", *CONTENT_TABLES[::-1]]
    batches, _ = LakeflowConnect(server.options(db=spelled)).read_tables(tables)
    found = {table: rows.to_pylist() for table, rows in batches.read_all().items()}
    # What the oracle reads of strings, it touches.
    for table in tables:
        wanted = expected(clients, table, databases)
        if len(databases) == 1:
            assert_same_rows(table, found[table], wanted[databases[0]])
        else:
            assert_same_by_database(table, found[table], wanted)


def test_each_database_is_gone_through_once(server: Server, clients: Clients) -> None:
    for client in clients.values():
        client.set("a", "v")
        client.hset("h", "f", "v")
    with Monitor(server) as monitor:
        batches, _ = LakeflowConnect(server.options(db="*")).read_tables(["keys", "hashes"])
        batches.read_all()
    assert sorted(scan.db for scan in monitor.named("scan")) == list(range(4))
    assert len({command.words for command in monitor.named("select")}) == 4


def test_large_keys_come_whole_from_each_database(server: Server, clients: Clients) -> None:
    for db in FILLED:
        clients[db].hset("large", mapping={f"f{n}": f"{n} in {db}" for n in range(3000)})
        clients[db].hset("small", "f", "v")
        clients[db].set("large string", f"in {db} " * 20_000)
    for table in ("hashes", "strings"):
        rows = read(server, table, db="*", max_in_flight_bytes="65536")
        assert_same_by_database(table, rows, expected(clients, table, FILLED))


# Streams


def entries(rows: Sequence[Row]) -> list[tuple[int, str, str]]:
    """Database, key and id of entries, in an order."""
    return sorted((row["db"], row["key_name"], row["entry_id"]) for row in rows)


def test_streams_are_read_on_in_each_database(server: Server, clients: Clients) -> None:
    connector = LakeflowConnect(server.options(db="0,1,2"))
    for db in (0, 1):
        add(clients[db], "s", f"{db + 1}-0")
    add(clients[3], "s", "9-0")
    records, offset = connector.read_table("streams")
    assert entries(list(records)) == [(0, "s", "1-0"), (1, "s", "2-0")]
    ids = {
        db: {key: position["id"] for key, position in positions.items()}
        for db, positions in offset["streams"].items()
    }
    assert ids == {"0": {"s": "1-0"}, "1": {"s": "2-0"}}
    assert json.dumps(offset, sort_keys=True) == json.dumps(offset)

    # In one database it was read already up to an id that is new in the other.
    add(clients[0], "s", "2-0")
    add(clients[2], "s", "0-1")
    records, second = connector.read_table("streams", json.loads(json.dumps(offset)))
    assert entries(list(records)) == [(0, "s", "2-0"), (2, "s", "0-1")]
    records, third = connector.read_table("streams", second)
    assert list(records) == []
    assert third == second


def test_all_databases_read_on_where_others_come_and_go(server: Server, clients: Clients) -> None:
    connector = LakeflowConnect(server.options(db="*"))
    add(clients[1], "s", "1-0")
    records, offset = connector.read_table("streams")
    assert entries(list(records)) == [(1, "s", "1-0")]
    add(clients[3], "s", "1-0")
    records, offset = connector.read_table("streams", offset)
    assert entries(list(records)) == [(3, "s", "1-0")]
    clients[1].flushdb()
    with pytest.raises(DataLossError, match='"s" of database 1'):
        connector.read_table("streams", offset)
    records, offset = connector.read_table("streams", offset, {"fail_on_data_loss": "false"})
    assert list(records) == []
    assert [(gap["db"], gap["why"]) for gap in records.receipt["gaps"]] == [(1, "gone")]
    # A stream that is gone has no position: should it come again, it is a new one.
    add(clients[1], "s", "1-0")
    records, _ = connector.read_table("streams", offset)
    assert entries(list(records)) == [(1, "s", "1-0")]


def test_an_id_to_begin_after_counts_in_each_database(server: Server, clients: Clients) -> None:
    for db in (0, 1):
        add(clients[db], "s", "1-0", "2-0", f"3-{db}")
    connector = LakeflowConnect(server.options(db="0,1"))
    records, _ = connector.read_table("streams", {"entry_id": "2-0"})
    assert entries(list(records)) == [(0, "s", "3-0"), (1, "s", "3-1")]


def test_a_cap_is_one_for_all_databases(server: Server, clients: Clients) -> None:
    for db in (0, 1, 3):
        for key in ("a", "b"):
            add(clients[db], key, *(f"{number}-0" for number in range(1, 6)))
    connector = LakeflowConnect(server.options(db="*", max_records_per_batch="4"))
    offset = None
    found: list[tuple[int, str, str]] = []
    for _ in range(30):
        records, end = connector.read_table("streams", offset)
        rows = list(records)
        assert len(rows) <= 4
        found += entries(rows)
        if end == offset:
            break
        offset = end
    assert sorted(found) == sorted(set(found))
    assert len(found) == 30


def test_an_offset_of_a_database_that_is_not_read_is_an_error() -> None:
    offset = {
        "streams": {"1": {"a": {"id": "1-0"}}, "3": {}},
        "table": "streams",
        "version": 1,
    }
    for spelled in ("0", "0,1", "1,2", "3"):
        with pytest.raises(ConfigurationError, match=r"of database [13]"):
            LakeflowConnect(NOWHERE | {"db": spelled}).read_table("streams", offset)


def test_an_offset_of_one_database_is_read_on_from_by_several(
    server: Server, clients: Clients
) -> None:
    add(clients[0], "s", "1-0")
    add(clients[1], "s", "1-0")
    _, offset = LakeflowConnect(server.options()).read_table("streams")
    for spelled in ("0,1", "*"):
        records, _ = LakeflowConnect(server.options(db=spelled)).read_table("streams", offset)
        assert entries(list(records)) == [(1, "s", "1-0")]


# What is left as it was


def test_nothing_that_writes_is_sent_and_nothing_is_changed(
    server: Server, clients: Clients
) -> None:
    fill(clients, "streams")
    clients[1].hset("large", mapping={f"f{n}": "v" for n in range(3000)})
    state = [contents(client) for client in clients.values()]
    raw = Raw(clients[0])
    before = clients[0].info("persistence")["rdb_changes_since_last_save"]
    with Monitor(server) as monitor:
        connector = LakeflowConnect(server.options(db="*", max_in_flight_bytes="65536"))
        for table in TABLES:
            list(connector.read_table(table)[0])
        connector.read_tables(list(TABLES))[0].read_all()
        connector.test_connection()
        connector.inspect()
    assert clients[0].info("persistence")["rdb_changes_since_last_save"] == before
    assert [contents(client) for client in clients.values()] == state
    names = {name.partition("|")[0] for name in monitor.names()}
    assert {"scan", "hgetall", "select"} <= names
    for name in names:
        ((_, _, flags, *_),) = raw("COMMAND", "INFO", name)
        assert b"write" not in flags, f"{name} writes"


def contents(client: redis.Redis) -> list[str]:
    """All that stands in the keys of a database, in an order."""
    rows = (row for table in CONTENT_TABLES for row in oracle.read(client, table))
    moving = {"scanned_at", "ttl_seconds"}
    return sorted(repr([row[name] for name in row if name not in moving]) for row in rows)


# Through the other doors


def test_the_command_line_reads_several_databases(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "hashes")
    for spelled in ("0,1,2", "*"):
        done = run("read", "hashes", *at(one_server), "--db", spelled, "--format", "json")
        assert (done.code, done.stderr) == (0, "")
        rows = [json.loads(line) for line in done.stdout.split("\n") if line]
        assert_same_by_database("hashes", rows, expected(one_clients, "hashes", SPELLINGS[spelled]))


def test_several_databases_land_in_one_table_and_streams_once(
    server: Server, clients: Clients, tmp_path: Path
) -> None:
    fill(clients, "lists")
    connector = LakeflowConnect(server.options(db="*"))
    ingest(connector, tmp_path)
    for table in KEY_TABLES:
        assert_same_by_database(table, lake.rows(tmp_path, table), expected(clients, table, FILLED))
    add(clients[2], "late", "1-0")
    ingest(connector, tmp_path, ["streams", "lists"])
    found = apart(lake.rows(tmp_path, "streams"))
    assert [row["key_name"] for row in found[2]] == ["late"]
    assert all(len(found[db]) == 1 for db in FILLED)
