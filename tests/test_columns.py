"""`columns` and `fields`: what is asked for comes, exactly, and nothing is fetched for the rest."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import ConfigurationError

from tests import data, oracle
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES

KEY_TABLES = [*CONTENT_TABLES, "keys"]


def choices(table: str) -> Iterator[list[str]]:
    """Each column alone, each pair of neighbours turned round, and all but each."""
    names = TABLES[table].names
    yield from ([name] for name in names)
    yield from ([second, first] for first, second in pairwise(names))
    yield from (list(most) for most in combinations(names, len(names) - 1))


@pytest.mark.parametrize("table", KEY_TABLES)
def test_any_columns_are_those_of_the_whole_table(
    connect: Connect, client: redis.Redis, table: str
) -> None:
    content = "hashes" if table == "keys" else table
    for number in range(3):
        data.add_one(client, content, f"key {number}")
    client.expire("key 1", 1000)
    if table == "strings":
        client.set("empty", "")
    whole = list(connect().read_table(table)[0])
    assert_same_rows(table, whole, oracle.read(client, table))
    moving = {"scanned_at", "idle_time_seconds", "ttl_seconds"}
    for columns in choices(table):
        records, _ = connect().read_table(table, None, {"columns": ",".join(columns)})
        assert pa.schema(records.schema).names == columns
        rows = list(records)
        assert len(rows) == len(whole)

        def still(row: dict[str, object], columns: list[str] = columns) -> str:
            return repr([row[name] for name in columns if name not in moving])

        assert sorted(map(still, rows)) == sorted(map(still, whole)), columns


@pytest.mark.parametrize("table", ["hashes", "lists", "sets", "sorted_sets", "strings"])
def test_columns_of_large_keys(connect: Connect, client: redis.Redis, table: str) -> None:
    count = 20_000
    match table:
        case "hashes":
            client.hset("k", mapping={f"f{n}": n for n in range(count)})
        case "lists":
            client.rpush("k", *range(count))
        case "sets":
            client.sadd("k", *(f"m{n}" for n in range(count)))
        case "sorted_sets":
            client.zadd("k", {f"m{n}": n for n in range(count)})
        case _:
            client.set("k", b"x" * 3_000_000)
    whole = list(connect().read_table(table)[0])
    assert_same_rows(table, whole, oracle.read(client, table))
    for columns in choices(table):
        records, _ = connect().read_table(table, None, {"columns": ",".join(columns)})
        rows = list(records)
        assert len(rows) == len(whole)
        for name in set(columns) - {"scanned_at"}:
            got, expected = ([row[name] for row in each] for each in (rows, whole))
            assert sorted(map(repr, got)) == sorted(map(repr, expected)), columns


def commands(client: redis.Redis) -> set[str]:
    """The commands that were sent since the statistics were reset."""
    sent = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    return sent - {"info", "ping", "client|setname", "config|resetstat", "select", "hello"}


@pytest.mark.parametrize(
    ("table", "columns", "expected"),
    [
        ("strings", "key_name", {"scan"}),
        ("strings", "key_name,value_length", {"scan", "strlen"}),
        ("strings", "key_name,ttl_seconds", {"scan", "ttl"}),
        ("strings", "value", {"scan", "strlen", "mget"}),
        ("hashes", "key_name,field", {"scan", "memory|usage", "hkeys"}),
        ("hashes", "key_name", {"scan", "hlen"}),
        ("hashes", "value", {"scan", "memory|usage", "hgetall"}),
        ("lists", "list_index", {"scan", "llen"}),
        ("sets", "set_cardinality", {"scan", "scard"}),
        ("sorted_sets", "member,rank", {"scan", "memory|usage", "zrange"}),
        ("keys", "key_name,encoding", {"scan", "object|encoding"}),
        ("keys", "key_name,key_type", {"scan", "type"}),
    ],
)
def test_nothing_is_fetched_for_other_columns(
    one_connect: Connect, one_client: redis.Redis, table: str, columns: str, expected: set[str]
) -> None:
    data.add_one(one_client, "strings" if table == "keys" else table, "k")
    one_client.set("expires", "v", ex=1000)
    one_client.config_resetstat()
    records, _ = one_connect().read_table(table, None, {"columns": columns})
    assert len(records) > 0
    assert commands(one_client) == expected


def test_ttl_is_not_asked_where_no_key_expires(connect: Connect, client: redis.Redis) -> None:
    client.set("s", "v")
    client.hset("h", "f", "v")
    client.config_resetstat()
    for table in ("strings", "hashes", "keys"):
        assert {row["ttl_seconds"] for row in connect().read_table(table)[0]} == {None}
    assert "cmdstat_ttl" not in client.info("commandstats")
    client.expire("h", 1000)
    (row,) = connect().read_table("hashes")[0]
    assert 990 <= row["ttl_seconds"] <= 1000


@pytest.mark.parametrize("count", [1, 200, 3000])
def test_fields_of_hashes(connect: Connect, client: redis.Redis, count: int) -> None:
    for number in range(count):
        client.hset(f"h{number}", mapping={"a": f"a{number}", "b": "", "c": "no"})
    client.hset("other", mapping={"c": "no"})
    client.hset("large", mapping={f"f{n}": str(n) for n in range(20_000)})
    client.hset("large", "b", "of a large one")
    client.expire("large", 1000)
    expected = [
        row for row in oracle.read(client, "hashes") if row["field"] in {"a", "b", "f7", "x,y"}
    ]
    records, _ = connect().read_table("hashes", None, {"fields": '["b", "f7", "a", "x,y"]'})
    assert_same_rows("hashes", list(records), expected)
    rows = list(connect(fields="b").read_table("hashes", None, {"columns": "value,key_name"})[0])
    assert len(rows) == count + 1
    assert {"value": "of a large one", "key_name": "large"} in rows


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": "key_name,feild"}, "`field`"),
        ({"columns": "key_name,key_name"}, "equal"),
        ({"columns": ""}, "columns"),
        ({"fields": "a,,b"}, "fields"),
        ({"columns": "[1]"}, "columns"),
    ],
)
def test_columns_that_are_none_are_refused(
    one_connect: Connect, options: dict[str, str], said: str
) -> None:
    for method in ("read_table_metadata", "get_table_schema"):
        with pytest.raises(ConfigurationError, match=said):
            getattr(one_connect(), method)("hashes", options)
    with pytest.raises(ConfigurationError, match=said):
        one_connect().read_table("hashes", None, options)


def test_rows_without_a_part_of_their_key_have_none(one_connect: Connect) -> None:
    def keys(columns: str) -> list[str]:
        return one_connect().read_table_metadata("hashes", {"columns": columns})["primary_keys"]

    assert keys("value,field,key_name") == ["key_name", "field"]
    assert keys("key_name,value") == []
