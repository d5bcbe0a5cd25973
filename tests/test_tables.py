"""Every table on every server holds the rows that an independent reader finds."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import LakeflowConnect, LakeflowRedisWarning

from tests import data, oracle
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.servers import Server

HEAVY_DB = 1
MANY_DB = 2
MANY = 20_000

MODES = pytest.mark.parametrize("mode", ["string", "binary"])
CONTENT = pytest.mark.parametrize("table", CONTENT_TABLES)


def words(mode: str) -> list[bytes]:
    """The words that a mode can represent."""
    return data.WORDS if mode == "binary" else data.TEXTS


def read(connector: LakeflowConnect, table: str, **options: str) -> list[oracle.Row]:
    """All rows of a table."""
    records, _ = connector.read_table(table, None, options)
    return list(records)


@MODES
@CONTENT
def test_rows_equal_the_oracles_over_unkind_data(
    connect: Connect, client: redis.Redis, table: str, mode: str
) -> None:
    data.fill(client, table, words(mode))
    expected = oracle.read(client, table, binary=mode == "binary")
    assert len(expected) > len(words(mode))
    assert_same_rows(table, read(connect(value_type=mode), table), expected)


@MODES
@CONTENT
def test_the_table_of_keys_equals_the_oracles_over_unkind_data(
    connect: Connect, client: redis.Redis, table: str, mode: str
) -> None:
    data.fill(client, table, words(mode))
    expected = oracle.read(client, "keys", binary=mode == "binary")
    assert len(expected) > len(words(mode))
    assert_same_rows("keys", read(connect(value_type=mode), "keys"), expected)


@MODES
@pytest.mark.parametrize("table", TABLES)
def test_the_rows_have_the_schema_that_was_announced(
    connect: Connect, client: redis.Redis, table: str, mode: str
) -> None:
    for content in CONTENT_TABLES:
        data.add_one(client, content, f"of {content}")
    records, _ = connect(value_type=mode).read_table(table)
    rows = pa.table(records)
    assert rows.schema == TABLES[table].schema(binary=mode == "binary")
    rows.validate(full=True)
    assert rows.num_rows > 0


@pytest.mark.parametrize("table", [*CONTENT_TABLES, "keys"])
def test_an_empty_database_has_an_empty_table(connect: Connect, table: str) -> None:
    records, _ = connect().read_table(table)
    rows = pa.table(records)
    assert rows.num_rows == 0
    assert rows.schema == TABLES[table].schema()


@pytest.mark.parametrize("content", CONTENT_TABLES)
@CONTENT
def test_a_table_holds_only_keys_of_its_type(
    connect: Connect, client: redis.Redis, table: str, content: str
) -> None:
    data.add_one(client, content, "name")
    assert [row["key_name"] for row in read(connect(), table)] == ["name"] * (table == content)


def test_scores_are_exact(connect: Connect, client: redis.Redis) -> None:
    client.zadd("z", data.SCORES)
    scores = {row["member"]: row["score"] for row in read(connect(), "sorted_sets")}
    assert scores == data.SCORES


def test_a_repeated_field_of_a_stream_entry_holds_an_array(
    connect: Connect, client: redis.Redis
) -> None:
    oracle.Raw(client)("XADD", "s", "1-1", *("b", "1", "a", "2", "b", "3"))
    (row,) = read(connect(), "streams")
    assert list(oracle.parse_fields(row["fields"]).items()) == [("b", ["1", "3"]), ("a", "2")]


def test_binary_fields_of_a_stream_entry_are_lossless(
    connect: Connect, client: redis.Redis
) -> None:
    oracle.Raw(client)("XADD", "s", "1-1", *data.WORDS, *data.WORDS[: len(data.WORDS) % 2])
    (row,) = read(connect(value_type="binary"), "streams")
    assert isinstance(row["fields"], bytes)
    found = oracle.parse_fields(row["fields"])
    pairs = [text.encode("utf-8", "surrogateescape") for pair in found.items() for text in pair]
    assert pairs[: len(data.WORDS)] == data.WORDS


def test_parts_of_an_id_that_fit_no_long_are_null(connect: Connect, client: redis.Redis) -> None:
    for entry_id in (*data.ENTRY_IDS, data.LAST_ENTRY_ID):
        client.xadd("s", {"f": "v"}, entry_id)
    rows = {row["entry_id"]: row for row in read(connect(), "streams")}
    assert list(rows) == [*data.ENTRY_IDS, data.LAST_ENTRY_ID]
    assert rows["9223372036854775807-9223372036854775808"]["timestamp_ms"] == 2**63 - 1
    assert rows["9223372036854775807-9223372036854775808"]["sequence"] is None
    assert rows["9223372036854775808-0"]["timestamp_ms"] is None
    assert rows["9223372036854775808-0"]["sequence"] == 0
    assert rows[data.LAST_ENTRY_ID]["timestamp_ms"] is None
    assert rows[data.LAST_ENTRY_ID]["sequence"] is None


@pytest.mark.parametrize("table", [*CONTENT_TABLES, "keys"])
def test_ttl_is_what_the_server_says_and_null_without_one(
    connect: Connect, client: redis.Redis, table: str
) -> None:
    content = "strings" if table == "keys" else table
    data.add_one(client, content, "stays")
    data.add_one(client, content, "goes")
    # TTL rounds: 20.9 s are 21.
    client.pexpire("goes", 20_900)
    before = client.ttl("goes")
    found = {row["key_name"]: row["ttl_seconds"] for row in read(connect(), table)}
    after = client.ttl("goes")
    assert found["stays"] is None
    assert after <= found["goes"] <= before


def test_keys_shows_the_idle_time_from_before_it_looked(
    connect: Connect, client: redis.Redis
) -> None:
    raw = oracle.Raw(client)
    for table in CONTENT_TABLES:
        data.add_one(client, table, table)
        raw("RESTORE", table, 0, raw("DUMP", table), "REPLACE", "IDLETIME", 5000)
    rows = {row["key_name"]: row for row in read(connect(), "keys")}
    assert rows.keys() == set(CONTENT_TABLES)
    assert all(5000 <= row["idle_time_seconds"] < 5200 for row in rows.values()), rows


def test_keys_has_null_and_one_warning_for_what_the_server_refuses(
    connect: Connect, client: redis.Redis
) -> None:
    data.fill_many(client, 100)
    # Under an LFU policy no idle time is kept, and asking for it is an error.
    client.config_set("maxmemory-policy", "allkeys-lfu")
    try:
        records, _ = connect().read_table("keys")
        with pytest.warns(LakeflowRedisWarning, match=r"(?i)idle") as issued:
            rows = list(records)
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert len(rows) == 100
    assert {row["idle_time_seconds"] for row in rows} == {None}
    assert {row["encoding"] for row in rows} == {"embstr"}
    assert len(issued) == 1
    assert records.receipt["warnings"] == [str(issued[0].message)]


def test_server_info_equals_the_servers_own(connect: Connect, client: redis.Redis) -> None:
    data.add_one(client, "strings", "name")
    rows = read(connect(), "server_info")
    expected = oracle.read(client, "server_info")
    found = {(row["section"], row["property"]): row["value"] for row in rows}
    wanted = {(row["section"], row["property"]): row["value"] for row in expected}
    assert len(found) == len(rows)
    assert named(found) == named(wanted)
    for name in ("run_id", "tcp_port", "redis_version", "process_id", "os"):
        assert found["server", name] == wanted["server", name]
    # But for `avg_ttl`, which the server finds out by and by.
    of_keys = [each["keyspace", "db0"].partition(",avg_ttl=")[0] for each in (found, wanted)]
    assert of_keys == ["keys=1,expires=0"] * 2
    assert found["replication", "role"] == "master"


def named(properties: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Properties that do not come and go with what other clients do."""
    passing = {"commandstats", "latencystats", "errorstats", "keyspace", "debug"}
    return {(section, name) for section, name in properties if section not in passing}


@pytest.fixture(scope="module")
def heavy(server: Server) -> Iterator[Server]:
    """A server with one key of 100 k elements for each table, in a database of its own."""
    with server.client(HEAVY_DB) as client:
        client.flushdb()
        data.fill_heavily(client)
        yield server
        client.flushdb()


@CONTENT
def test_collections_of_100_k_elements_come_whole(heavy: Server, table: str) -> None:
    connector = LakeflowConnect(heavy.options(db=str(HEAVY_DB)))
    with heavy.client(HEAVY_DB) as client:
        expected = oracle.read(client, table)
    assert len(expected) == (1 if table == "strings" else data.HEAVY)
    records, _ = connector.read_table(table)
    assert_same_rows(table, list(records), expected)
    # Such a reply would be too large, and a string of half a megabyte is not.
    if table not in ("strings", "streams"):
        assert records.receipt["keys_paged"] == 1


@pytest.fixture(scope="module")
def many(server: Server) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with 20 k keys in a database of its own, and what they hold."""
    with server.client(MANY_DB) as client:
        client.flushdb()
        yield server, data.fill_many(client, MANY)
        client.flushdb()


@pytest.mark.parametrize("batch_size", ["1", "10", "1000", "100000"])
def test_20_k_keys_come_whole_at_any_batch_size(
    many: tuple[Server, dict[str, str]], batch_size: str
) -> None:
    server, values = many
    connector = LakeflowConnect(server.options(db=str(MANY_DB)))
    rows = read(connector, "strings", batch_size=batch_size)
    assert len(rows) == len(values)
    assert {row["key_name"]: row["value"] for row in rows} == values


def test_the_table_of_keys_has_20_k_keys(many: tuple[Server, dict[str, str]]) -> None:
    server, values = many
    rows = read(LakeflowConnect(server.options(db=str(MANY_DB))), "keys")
    assert len(rows) == len(values)
    assert {row["key_name"] for row in rows} == values.keys()
    assert {row["key_type"] for row in rows} == {"string"}
