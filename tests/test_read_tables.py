"""Several tables out of one scan: each as it is alone."""

import json
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import ConfigurationError, ConsumedError, DecodeError, LakeflowConnect

from tests import data, oracle
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES

ALL = list(TABLES)
KEY_TABLES = [*CONTENT_TABLES, "keys"]


def read(connector: LakeflowConnect, tables: list[str], **options: str) -> dict[str, list[Any]]:
    """The rows of each table."""
    batches, _ = connector.read_tables(tables, None, options)
    rows: dict[str, list[Any]] = defaultdict(list)
    for table, batch in batches:
        assert isinstance(batch, pa.RecordBatch)
        rows[table] += batch.to_pylist()
    return rows


@pytest.mark.parametrize("mode", ["string", "binary"])
@pytest.mark.parametrize(
    "tables",
    [KEY_TABLES, CONTENT_TABLES[::-1], ["hashes", "keys"]],
    ids=",".join,
)
def test_each_table_is_as_it_is_alone(
    connect: Connect, client: redis.Redis, tables: list[str], mode: str
) -> None:
    words = (data.WORDS if mode == "binary" else data.TEXTS)[::6]
    pipe = client.pipeline(transaction=False)
    for table in CONTENT_TABLES:
        for word in words:
            data.add_one(pipe, table, f"{table}:".encode() + word, word)
    pipe.execute()
    data.fill_many(client, 700)
    rows = read(connect(), tables, value_type=mode)
    # What the oracle reads of strings, it touches.
    for table in sorted(tables, key=lambda table: table != "keys"):
        expected = oracle.read(client, table, binary=mode == "binary")
        assert_same_rows(table, rows[table], expected)


def test_idle_time_is_that_before_the_read(connect: Connect, client: redis.Redis) -> None:
    client.hset("h", "f", "v")
    client.set("s", "v")
    # Seconds pass only by waiting.
    while client.object("idletime", "h") < 2:
        pass
    rows = read(connect(), ["hashes", "strings", "keys"])
    assert min(row["idle_time_seconds"] for row in rows["keys"]) >= 2


def test_large_keys_come_in_pages_beside_small_ones(connect: Connect, client: redis.Redis) -> None:
    client.hset("large", mapping={f"f{n}": n for n in range(30_000)})
    client.rpush("list", *range(30_000))
    client.set("string", "x" * 3_000_000)
    data.fill_many(client, 700)
    rows = read(connect(), KEY_TABLES)
    for table in KEY_TABLES:
        assert_same_rows(table, rows[table], oracle.read(client, table))


def test_receipts_schemas_and_offsets_are_by_table(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    for table in CONTENT_TABLES:
        data.add_one(one_client, table, f"of {table}")
    connector = one_connect()
    batches, offsets = connector.read_tables(ALL)
    assert list(offsets) == list(batches.schemas) == list(batches.receipts) == ALL
    for table in ALL:
        assert pa.schema(batches.schemas[table]) == TABLES[table].schema()
        assert json.dumps(offsets[table], sort_keys=True) == json.dumps(offsets[table])
        assert not batches.receipts[table]["complete"]
    tables = batches.read_all()
    assert list(tables) == ALL
    for table in ALL:
        assert tables[table].schema == TABLES[table].schema()
        receipt = batches.receipts[table]
        assert receipt["complete"]
        assert receipt["table"] == table
        assert receipt["rows"] == tables[table].num_rows > 0
    assert offsets["streams"] == connector.read_table("streams")[1]
    again, _ = connector.read_tables(["streams", "keys"], {"streams": offsets["streams"]})
    rows = again.read_all()
    assert rows["streams"].num_rows == 0
    assert rows["keys"].num_rows == len(CONTENT_TABLES)


def test_there_is_one_pass(one_connect: Connect, one_client: redis.Redis) -> None:
    one_client.set("a", "v")
    batches, _ = one_connect().read_tables(["strings"])
    assert [table for table, _ in batches] == ["strings"]
    assert next(batches, None) is None
    for again in (iter, list, type(batches).read_all):
        with pytest.raises(ConsumedError, match="read_tables"):
            again(batches)


def test_the_table_that_fails_is_named(one_connect: Connect, one_client: redis.Redis) -> None:
    one_client.hset("h", "f", "v")
    one_client.set("s", b"\xff")
    batches, _ = one_connect().read_tables(["hashes", "strings"])
    for _ in range(2):
        with pytest.raises(DecodeError, match=r'table strings: key_name "s"'):
            list(batches)
    assert not batches.receipts["hashes"]["complete"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["strings", "hash"],), "`hashes`"),
        (([],), "no table"),
        (("strings",), "list"),
        ((["strings", "strings"],), "twice"),
        (([1],), "strings"),
        ((["strings"], {"streams": {}}), "streams"),
        ((["streams"], {"streams": {"x": 1}}), "offset"),
        ((["strings"], 3), "mapping"),
        ((["strings", "sets"], None, {"columns": "member"}), "strings"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(
    one_connect: Connect, arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        one_connect().read_tables(*arguments)


def test_a_pause_between_flights_loses_nothing(connect: Connect, client: redis.Redis) -> None:
    for table in CONTENT_TABLES:
        data.add_one(client, table, f"of {table}")
    client.hset("large", mapping={f"f{n}": n for n in range(20_000)})
    names = data.fill_many(client, 700)
    rows = read(connect(), KEY_TABLES, max_server_share="0.5")
    assert len(names) < len(rows["strings"])
    for table in KEY_TABLES:
        assert_same_rows(table, rows[table], oracle.read(client, table))
