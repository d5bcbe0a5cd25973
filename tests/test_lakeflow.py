"""The connector by the contract of the Lakeflow framework: every table, in batches and streams."""

import inspect
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import ConfigurationError, DataLossError, RedisConnectionError
from lakeflow_redis.lakeflow import RedisLakeflowConnect
from pyspark.sql.types import BinaryType, DoubleType, LongType, StringType, StructType

from tests import data, oracle
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.framework import Batch, Driver, LakeflowSource, Row, SupportsPartitionedStream
from tests.servers import HOST, Server, free_port
from tests.streams import Entry, add, numbered

SupportsPartitionedStream.register(RedisLakeflowConnect)


class RedisSource(LakeflowSource):
    """The connector, bound to the format for which connections hand over their options."""

    _lakeflow_connect_cls = RedisLakeflowConnect
    _format_name = "lakeflow_connect"


Drive = Callable[..., Driver]
MODES = pytest.mark.parametrize("mode", ["string", "binary"])
SPARK_TYPES = {
    pa.string(): StringType(),
    pa.binary(): BinaryType(),
    pa.int64(): LongType(),
    pa.float64(): DoubleType(),
}
SNAPSHOTS = [table for table in TABLES if table != "streams"]
STREAMS: Mapping[str, Callable[..., list[Batch]]] = {
    "by partitions": Driver.stream,
    "by the driver": Driver.simple_stream,
}
streamed = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


@pytest.fixture
def drive(one_server: Server, one_client: redis.Redis) -> Drive:
    """Makes drivers for a table of a server whose database 0 is empty at first."""

    def drive(table: str, **options: str) -> Driver:
        return Driver(RedisSource, {"tableName": table, **one_server.options(), **options})

    return drive


@pytest.fixture
def connector(one_server: Server, one_client: redis.Redis) -> RedisLakeflowConnect:
    """A connector for that server."""
    return RedisLakeflowConnect(one_server.options())


def entries(rows: Iterable[Row]) -> list[Entry]:
    """The entries of streams among rows."""
    return [(row["key_name"], row["entry_id"]) for row in rows]


def fill_streams(client: redis.Redis) -> list[Entry]:
    """Ten streams of different lengths, 55 entries in all."""
    return [
        entry
        for number in range(10)
        for entry in add(client, f"s{number}", *numbered(1 + number, number + 1))
    ]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("__init__", ["options"]),
        ("list_tables", []),
        ("get_table_schema", ["table_name", "table_options"]),
        ("read_table_metadata", ["table_name", "table_options"]),
        ("read_table", ["table_name", "start_offset", "table_options"]),
        ("is_partitioned", ["table_name"]),
        ("latest_offset", ["table_name", "table_options", "start_offset"]),
        ("get_partitions", ["table_name", "table_options", "start_offset", "end_offset"]),
        ("read_partition", ["table_name", "partition", "table_options"]),
    ],
)
def test_arguments_stand_where_the_framework_puts_them(method: str, arguments: list[str]) -> None:
    found = inspect.signature(getattr(RedisLakeflowConnect, method)).parameters
    assert list(found) == ["self", *arguments]
    assert not inspect.isgeneratorfunction(getattr(RedisLakeflowConnect, method))


def test_it_lists_the_tables(connector: RedisLakeflowConnect) -> None:
    assert connector.list_tables() == list(TABLES)


@MODES
@pytest.mark.parametrize("table", TABLES)
def test_schemas_are_sparks(connector: RedisLakeflowConnect, table: str, mode: str) -> None:
    found = connector.get_table_schema(table, {"value_type": mode})
    assert isinstance(found, StructType)
    expected = TABLES[table].schema(binary=mode == "binary")
    assert [(field.name, field.dataType, field.nullable) for field in found] == [
        (field.name, SPARK_TYPES[field.type], field.nullable) for field in expected
    ]


@pytest.mark.parametrize("table", TABLES)
def test_metadata_is_a_dict_of_the_contracts(connector: RedisLakeflowConnect, table: str) -> None:
    assert connector.read_table_metadata(table, {}) == {
        "primary_keys": TABLES[table].primary_keys,
        "cursor_field": TABLES[table].cursor_field,
        "ingestion_type": TABLES[table].ingestion_type,
    }
    # What is read on is what is appended.
    assert connector.is_partitioned(table) == (TABLES[table].ingestion_type == "append")


@pytest.mark.parametrize("read", [Driver.batch, Driver.batch_at_once])
@MODES
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_a_batch_has_the_rows_of_the_oracle(
    drive: Drive,
    one_client: redis.Redis,
    table: str,
    mode: str,
    read: Callable[[Driver], list[Row]],
) -> None:
    data.fill(one_client, table, data.WORDS if mode == "binary" else data.TEXTS)
    expected = oracle.read(one_client, table, binary=mode == "binary")
    assert_same_rows(table, read(drive(table, value_type=mode)), expected)


@pytest.mark.parametrize("read", [Driver.batch, Driver.batch_at_once])
def test_a_batch_of_keys_has_the_rows_of_the_oracle(
    drive: Drive, one_client: redis.Redis, read: Callable[[Driver], list[Row]]
) -> None:
    data.fill_many(one_client, 500)
    assert_same_rows("keys", read(drive("keys")), oracle.read(one_client, "keys"))


@pytest.mark.parametrize("read", [Driver.batch, Driver.batch_at_once])
def test_a_batch_of_the_servers_figures_has_all(
    drive: Drive, one_client: redis.Redis, read: Callable[[Driver], list[Row]]
) -> None:
    found = {(row["section"], row["property"]) for row in read(drive("server_info"))}
    expected = {(row["section"], row["property"]) for row in oracle.read(one_client, "server_info")}
    assert expected <= found


@pytest.mark.parametrize("read", [Driver.batch, Driver.batch_at_once])
@pytest.mark.parametrize("table", TABLES)
def test_a_batch_of_an_empty_database_is_empty(
    drive: Drive, table: str, read: Callable[[Driver], list[Row]]
) -> None:
    assert bool(read(drive(table))) == (table == "server_info")


def test_partitions_that_are_asked_for_make_the_same_batch(
    drive: Drive, one_client: redis.Redis
) -> None:
    names = data.fill_many(one_client, 5000)
    found = drive("strings", num_partitions="7").batch()
    assert sorted(row["key_name"] for row in found) == sorted(names)


@pytest.mark.parametrize("read", [Driver.batch, Driver.batch_at_once])
def test_a_batch_is_not_capped(
    drive: Drive, one_client: redis.Redis, read: Callable[[Driver], list[Row]]
) -> None:
    added = fill_streams(one_client)
    found = read(drive("streams", max_records_per_batch="3"))
    assert sorted(entries(found)) == sorted(added)


@streamed
def test_a_stream_has_each_entry_once(
    drive: Drive, one_client: redis.Redis, stream: Callable[..., list[Batch]]
) -> None:
    added = fill_streams(one_client)
    driver = drive("streams")
    [(rows, end)] = stream(driver)
    assert sorted(entries(rows)) == sorted(added)
    assert stream(driver, end) == []
    later = add(one_client, "s0", "900-0") + add(one_client, "new", "1-0")
    [(rows, _)] = stream(driver, json.loads(json.dumps(end)))
    assert sorted(entries(rows)) == sorted(later)


@streamed
@pytest.mark.parametrize("most", [1, 7, 50, 1000])
def test_a_stream_is_capped(
    drive: Drive, one_client: redis.Redis, stream: Callable[..., list[Batch]], most: int
) -> None:
    added = fill_streams(one_client)
    found = stream(drive("streams", max_records_per_batch=str(most)))
    assert all(0 < len(rows) <= most for rows, _ in found)
    assert Counter(e for rows, _ in found for e in entries(rows)) == Counter(added)


def test_a_stream_is_not_capped_by_a_spark_that_does_not_tell_where_it_begins(
    drive: Drive, one_client: redis.Redis
) -> None:
    # Capped from the beginning, the second end would be that of the first.
    added = fill_streams(one_client)
    driver = drive("streams", max_records_per_batch="3")
    [(rows, end)] = driver.stream(tells=False)
    assert sorted(entries(rows)) == sorted(added)
    later = add(one_client, "s0", *numbered(900, 5))
    [(rows, _)] = driver.stream(end, tells=False)
    assert entries(rows) == later


@streamed
def test_a_stream_of_nothing_comes_to_its_end(
    drive: Drive, one_client: redis.Redis, stream: Callable[..., list[Batch]]
) -> None:
    one_client.set("no stream", "v")
    found = stream(drive("streams"))
    assert [rows for rows, _ in found] in ([], [[]])
    end = found[-1][1] if found else {}
    assert end is not None
    added = add(one_client, "a", "1-1")
    [(rows, _)] = stream(drive("streams"), end)
    assert entries(rows) == added


def test_a_micro_batch_can_be_read_again(
    connector: RedisLakeflowConnect, one_client: redis.Redis
) -> None:
    added = fill_streams(one_client)
    end = connector.latest_offset("streams", {}, {})
    add(one_client, "s0", *numbered(900, 5))
    for _ in range(2):
        parts = connector.get_partitions("streams", {}, {}, end)
        rows = [row for part in parts for row in connector.read_partition("streams", part, {})]
        assert sorted(entries(rows)) == sorted(added)


@streamed
def test_entries_that_are_lost_are_an_error_or_a_warning(
    drive: Drive,
    one_client: redis.Redis,
    stream: Callable[..., list[Batch]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    add(one_client, "a", *numbered(1, 3))
    [(_, end)] = stream(drive("streams"))
    later = add(one_client, "a", *numbered(11, 5))
    one_client.xtrim("a", maxlen=2, approximate=False)
    with pytest.raises(DataLossError):
        stream(drive("streams"), end)
    # As the framework spells it that has read `false` out of JSON.
    [(rows, _)] = stream(drive("streams", fail_on_data_loss="False"), end)
    assert entries(rows) == later[-2:]
    assert '"why": "trimmed"' in caplog.text


@pytest.mark.parametrize("table", SNAPSHOTS)
def test_a_snapshot_has_no_offset_and_no_stream(
    connector: RedisLakeflowConnect, one_client: redis.Redis, table: str
) -> None:
    # None says to the framework: all in one batch. Any other would have to stand still.
    starts: list[dict[str, Any] | None] = [None, {}]
    for start in starts:
        records, end = connector.read_table(table, start, {})
        assert all(isinstance(row, dict) for row in records)
        assert end is None
    for earlier in (None, {}, {"scanned_at": 1}):
        with pytest.raises(ConfigurationError, match=f"{table!r} is a snapshot"):
            connector.latest_offset(table, {}, earlier)


def test_unknown_tables_are_refused_by_the_call_itself(connector: RedisLakeflowConnect) -> None:
    for ask in (
        lambda: connector.get_table_schema("hash", {}),
        lambda: connector.read_table_metadata("hash", {}),
        lambda: connector.read_table("hash", None, {}),
        lambda: connector.read_table("hash", {}, {}),
        lambda: connector.is_partitioned("hash"),
        lambda: connector.latest_offset("hash", {}, {}),
        lambda: connector.get_partitions("hash", {}, None, None),
        lambda: connector.read_partition("hash", {}, {}),
    ):
        with pytest.raises(ConfigurationError, match="hash"):
            ask()


def test_it_connects_when_it_is_asked_for_rows() -> None:
    nowhere = RedisLakeflowConnect({"host": HOST, "port": str(free_port())})
    assert nowhere.list_tables()
    assert nowhere.get_table_schema("hashes", {})
    assert nowhere.read_table_metadata("streams", {})
    for ask in (
        lambda: nowhere.read_table("hashes", None, {}),
        lambda: nowhere.latest_offset("streams", {}, None),
        lambda: nowhere.get_partitions("hashes", {}, None, None),
    ):
        with pytest.raises(RedisConnectionError):
            ask()


def read_part(pickled: bytes, table: str, part: str, options: dict[str, str]) -> list[Row]:
    """Read one partition, as another process does."""
    connector: RedisLakeflowConnect = pickle.loads(pickled)
    return list(connector.read_partition(table, json.loads(part), options))


def test_partitions_are_read_by_another_process(
    connector: RedisLakeflowConnect, one_client: redis.Redis
) -> None:
    names = data.fill_many(one_client, 1000)
    options = {"num_partitions": "3"}
    parts = [json.dumps(each) for each in connector.get_partitions("strings", options)]
    pickled = pickle.dumps(connector)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        reads = [elsewhere.submit(read_part, pickled, "strings", part, options) for part in parts]
        found: list[Any] = [row["key_name"] for read in reads for row in read.result()]
    assert sorted(found) == sorted(names)
