"""What a dry run says is what a run then reads, or near it, and it says which."""

import json

import pytest
import redis
from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import TableSpec
from lakeflow_redis.pipeline.estimate import Estimate, estimate

from tests import data
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES
from tests.oracle import TYPES, Raw
from tests.servers import Server
from tests.streams import add, read


def one(connector: LakeflowConnect, table: str, **options: str) -> Estimate:
    """The estimate for one table."""
    (found,) = estimate(connector, [TableSpec(table, options=options)]).tables
    return found


@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_what_is_looked_at_as_a_whole_is_counted(
    connect: Connect, client: redis.Redis, table: str
) -> None:
    # So few that all are looked into, and names only that options can hold.
    words = [word for word in data.TEXTS if 0 < len(word) < 1000][:40]
    data.fill(client, table, words)
    connector = connect()
    rows = list(connector.read_table(table)[0])
    found = one(connector, table)
    assert found.is_counted
    assert not found.is_least
    assert found.fewer_than is None
    # A stream may be there without an entry.
    kinds = [Raw(client)("TYPE", name).decode() for name in client.scan_iter()]
    assert found.keys == (len(kinds) if table == "keys" else kinds.count(TYPES[table]))
    assert found.rows == len(rows)
    assert found.memory_bytes is not None
    assert found.memory_bytes > 0


def test_rows_are_estimated_from_some_keys(one_connect: Connect, one_client: redis.Redis) -> None:
    pipe = one_client.pipeline(transaction=False)
    for number in range(3000):
        pipe.rpush(f"l:{number}", *range(7))
    pipe.execute()
    found = one(one_connect(), "lists", key_pattern="l:1*")
    assert (found.keys, found.rows) == (1111, 7777)
    assert found.pattern == "l:1*"


def test_of_some_keys_it_says_so(one_connect: Connect, one_client: redis.Redis) -> None:
    data.fill_many(one_client, 20_000)
    one_client.sadd("only", "member")
    tables = [TableSpec("strings"), TableSpec("hashes"), TableSpec("keys")]
    found = estimate(one_connect(), tables, most=2000)
    assert found.total_keys == 20_001
    assert found.sampled_keys == 2000
    strings, hashes, keys = found.tables
    assert not strings.is_counted
    assert strings.keys == pytest.approx(20_001, rel=0.01)
    assert keys.keys == pytest.approx(20_001, abs=1)
    # By the rule of three.
    assert (hashes.keys, hashes.rows, hashes.fewer_than) == (0, 0, 30)


def test_too_many_rows_are_not_counted_to_the_end(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.rpush("long", *range(100_000))
    found = one(one_connect(), "lists")
    assert found.is_least
    assert found.rows == 20_000


def test_of_streams_what_is_new_counts(one_connect: Connect, one_client: redis.Redis) -> None:
    for key in "ab":
        add(one_client, key, *(f"{number}-0" for number in range(1, 101)))
    connector = one_connect()
    spec = TableSpec("streams", name="events")
    (first,) = estimate(connector, [spec], starts={"events": None}).tables
    assert (first.keys, first.rows, first.start) == (2, 200, None)
    start = read(connector).offset
    add(one_client, "a", "200-0", "200-1", "200-2")
    add(one_client, "new", "1-0")
    (then,) = estimate(connector, [spec], starts={"events": start}).tables
    assert (then.keys, then.rows, then.start) == (3, 4, start)


@pytest.mark.parametrize("where", ["connector", "table"])
def test_no_more_entries_than_a_run_reads(
    one_connect: Connect, one_client: redis.Redis, where: str
) -> None:
    add(one_client, "a", *(f"{number}-0" for number in range(1, 101)))
    options = {"max_records_per_batch": "30"}
    if where == "connector":
        (found,) = estimate(one_connect(**options), [TableSpec("streams")], options).tables
    else:
        found = one(one_connect(), "streams", **options)
    assert found.rows == 30


def test_the_options_that_choose_keys_are_followed(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WHO", "user")
    for name in ("user:1", "user:2", "cache:1"):
        one_client.hset(name, "f", "v")
    with one_server.client(4) as other:
        other.flushdb()
        other.hset("user:4", mapping={"f": "v", "g": "v"})
        other.sadd("user:5", "m")
        rules = json.dumps(
            [
                {"database": 4, "key_pattern": "user:*", "_type": "HASH"},
                {"database": 0, "key_pattern": "cache:*"},
            ]
        )
        defaults = {"key_pattern": "{{ WHO }}:*"}
        tables = [
            TableSpec("hashes"),
            TableSpec("hashes", "cached", options={"key_pattern": "cache:*"}),
            TableSpec("hashes", "ruled", options={"sync_rules": rules}),
        ]
        found = estimate(one_connect(**defaults), tables, defaults)
        other.flushdb()
    assert [(each.keys, each.rows) for each in found.tables] == [(2, 2), (1, 1), (2, 3)]
    assert found.tables[0].pattern == "user:*"


def test_fields_that_are_not_read_are_no_rows(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.hset("h", mapping={"a": "1", "b": "2", "c": "3"})
    assert one(one_connect(), "hashes", fields="a,b").rows == 2


def test_what_is_not_made_of_keys_has_no_number(one_connect: Connect) -> None:
    found = one(one_connect(), "server_info")
    assert (found.keys, found.rows, found.memory_bytes) == (None, None, None)


def test_an_empty_server_has_nothing(one_connect: Connect) -> None:
    found = one(one_connect(), "hashes")
    assert (found.keys, found.rows, found.memory_bytes) == (0, 0, 0)
    assert found.is_counted


def test_nothing_is_written(one_connect: Connect, one_client: redis.Redis) -> None:
    for table in CONTENT_TABLES:
        data.add_one(one_client, table, f"of {table}")
    before = one_client.info("persistence")["rdb_changes_since_last_save"]
    estimate(one_connect(), [TableSpec(table) for table in CONTENT_TABLES])
    assert one_client.info("persistence")["rdb_changes_since_last_save"] == before
