"""What a read came to can be passed over once, or kept, and goes into every Arrow library."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
import redis
from deltalake import DeltaTable, write_deltalake
from lakeflow_redis import (
    ConsumedError,
    DecodeError,
    LakeflowConnect,
    LakeflowRedisError,
    Records,
)

from tests import data
from tests.conftest import Connect
from tests.contract import TABLES
from tests.servers import Server

COUNT = 250
LARGE_DB = 3
LARGE_KEYS = 256
"""Megabytes: more than a reader may hold, so that a read that has begun is not at its end."""


@pytest.fixture
def values(one_client: redis.Redis) -> dict[str, str]:
    """What the strings in the database hold."""
    return data.fill_many(one_client, COUNT)


@pytest.fixture
def records(one_connect: Connect, values: dict[str, str]) -> Records:
    """A read of these strings, of which nothing was consumed."""
    assert values
    return one_connect().read_table("strings")[0]


def pairs(table: Any) -> dict[str, str]:
    """The names and values in an Arrow table; fails where a name occurs twice."""
    names = table.column("key_name").to_pylist()
    assert len(set(names)) == len(names)
    return dict(zip(names, table.column("value").to_pylist(), strict=True))


def stream(records: Records) -> list[dict[str, Any]]:
    """One pass; unlike `list(records)` it does not ask for the length first."""
    return [row for row in records]  # noqa: C416


def test_one_pass_gives_each_row_as_a_dict_in_the_columns_order(
    records: Records, values: dict[str, str]
) -> None:
    rows = stream(records)
    assert all(type(row) is dict and list(row) == TABLES["strings"].names for row in rows)
    assert len(rows) == COUNT
    assert {row["key_name"]: row["value"] for row in rows} == values


CONSUMERS: dict[str, Callable[[Records], Any]] = {
    "iterating": stream,
    "batches": lambda records: [batch for batch in records.batches()],  # noqa: C416
    "pyarrow": pa.table,
}
consumers = pytest.mark.parametrize("consume", CONSUMERS.values(), ids=CONSUMERS.keys())


@consumers
def test_a_second_pass_is_an_error(records: Records, consume: Callable[[Records], Any]) -> None:
    consume(records)
    with pytest.raises(ConsumedError):
        stream(records)
    with pytest.raises(ConsumedError):
        list(records.batches())
    with pytest.raises(Exception, match=r".+"):
        pa.table(records)


@consumers
def test_after_len_every_pass_can_be_made_as_often_as_one_likes(
    records: Records, values: dict[str, str], consume: Callable[[Records], Any]
) -> None:
    assert len(records) == COUNT
    for _ in range(2):
        assert len(consume(records)) > 0
        assert {row["key_name"]: row["value"] for row in records} == values
        assert pairs(pa.table(records)) == values
        assert len(records) == COUNT


def test_list_keeps_the_rows(records: Records, values: dict[str, str]) -> None:
    assert {row["key_name"]: row["value"] for row in list(records)} == values
    assert {row["key_name"]: row["value"] for row in list(records)} == values


def test_asking_whether_there_is_a_row_loses_none(records: Records, values: dict[str, str]) -> None:
    assert bool(records)
    assert bool(records)
    assert {row["key_name"]: row["value"] for row in stream(records)} == values


def test_no_rows_are_false(one_connect: Connect) -> None:
    records, _ = one_connect().read_table("strings")
    assert not records
    assert stream(records) == []


def test_batches_are_record_batches_of_the_schema(records: Records, values: dict[str, str]) -> None:
    batches = list(records.batches())
    assert all(isinstance(batch, pa.RecordBatch) for batch in batches)
    assert all(batch.schema == TABLES["strings"].schema() for batch in batches)
    assert pairs(pa.Table.from_batches(batches)) == values


def test_batches_are_bounded(large: LakeflowConnect) -> None:
    sizes = [batch.nbytes for batch in large.read_table("strings")[0].batches()]
    assert sum(sizes) > LARGE_KEYS * 1_000_000
    # "About" 16 MiB: the row that passes the mark is still in it.
    assert max(sizes) < 20 * 2**20


def test_schema_reads_nothing(records: Records, values: dict[str, str]) -> None:
    schema = records.schema
    assert pa.schema(schema) == TABLES["strings"].schema()
    assert pa.schema(records) == TABLES["strings"].schema()
    assert records.receipt["complete"] is False
    assert {row["key_name"]: row["value"] for row in stream(records)} == values


def test_pyarrow_reads_it(records: Records, values: dict[str, str]) -> None:
    assert pairs(pa.table(records)) == values


def test_pyarrow_streams_it(records: Records, values: dict[str, str]) -> None:
    reader = pa.RecordBatchReader.from_stream(records)
    assert reader.schema == TABLES["strings"].schema()
    assert pairs(reader.read_all()) == values


def test_polars_reads_it(records: Records, values: dict[str, str]) -> None:
    frame = pl.DataFrame(records)
    assert frame.columns == TABLES["strings"].names
    assert pairs(frame.to_arrow()) == values


def test_polars_reads_it_as_a_series_of_structs(records: Records, values: dict[str, str]) -> None:
    # What `from_arrow` makes of any stream that it does not know by its class.
    found = pl.from_arrow(records)
    frame = found if isinstance(found, pl.DataFrame) else found.struct.unnest()
    assert pairs(frame.to_arrow()) == values


def test_duckdb_queries_it(records: Records, values: dict[str, str]) -> None:
    assert records is not None  # duckdb finds the variable by its name
    relation = duckdb.sql("SELECT key_name, value FROM records")
    assert relation is not None
    found = relation.fetchall()
    assert len(found) == COUNT
    assert dict(found) == values


def test_pandas_reads_it(records: Records, values: dict[str, str]) -> None:
    frame = pa.table(records).to_pandas()
    assert list(frame.columns) == TABLES["strings"].names
    assert dict(zip(frame["key_name"], frame["value"], strict=True)) == values


def test_deltalake_writes_it(records: Records, values: dict[str, str], tmp_path: Path) -> None:
    write_deltalake(tmp_path / "table", records)
    assert pairs(pa.table(DeltaTable(tmp_path / "table").to_pyarrow_table())) == values


def test_libraries_take_a_kept_read_more_than_once(
    records: Records, values: dict[str, str]
) -> None:
    assert len(records) == COUNT
    assert pairs(pl.DataFrame(records).to_arrow()) == values
    assert pairs(pl.DataFrame(records).to_arrow()) == values


RECEIPT_KEYS = {
    *("table", "complete", "seconds", "share_scanned", "rows", "bytes", "keys_scanned"),
    "duplicates_dropped",
    *("keys_gone", "keys_changed_type", "keys_denied", "keys_paged", "keys_inconsistent"),
    *("rows_skipped", "values_replaced", "retries", "warnings", "gaps"),
}


def test_the_receipt_is_final_once_the_rows_were_read(
    records: Records, values: dict[str, str]
) -> None:
    before = records.receipt
    assert before.keys() == RECEIPT_KEYS
    assert before["complete"] is False
    stream(records)
    receipt = records.receipt
    assert receipt.keys() == RECEIPT_KEYS
    assert receipt["table"] == "strings"
    assert receipt["complete"] is True
    assert receipt["rows"] == receipt["keys_scanned"] == COUNT
    assert receipt["bytes"] >= sum(len(value) for value in values.values())
    assert isinstance(receipt["seconds"], float)
    assert receipt["seconds"] > 0
    assert receipt["share_scanned"] == 1.0
    quiet = RECEIPT_KEYS - {
        "table",
        "complete",
        "seconds",
        "share_scanned",
        "rows",
        "bytes",
        "keys_scanned",
        "warnings",
        "gaps",
    }
    assert {name: receipt[name] for name in quiet} == dict.fromkeys(quiet, 0)
    assert receipt["warnings"] == receipt["gaps"] == []
    time.sleep(0.01)
    assert records.receipt == receipt


def test_repr_says_what_it_is_and_reads_nothing(records: Records, values: dict[str, str]) -> None:
    assert "strings" in repr(records)
    assert {row["key_name"]: row["value"] for row in stream(records)} == values


def test_html_shows_columns_and_escaped_rows_and_loses_none(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.set("<script>alert(1)</script>", "a & \"b\" <img src=x onerror='alert(2)'>")
    records, _ = one_connect().read_table("strings")
    html = records._repr_html_()
    assert all(name in html for name in TABLES["strings"].names)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "a &amp; " in html
    assert len(stream(records)) == 1


def test_html_of_many_rows_is_short(records: Records, values: dict[str, str]) -> None:
    html = records._repr_html_()
    assert sum(name in html for name in values) < COUNT
    assert "many:" in html
    assert len(stream(records)) == COUNT


def test_an_error_behind_the_stream_interface_is_kept(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.set("bad", b"\xff")
    records, _ = one_connect().read_table("strings")
    with pytest.raises(Exception, match="bad"):
        pa.table(records)
    assert isinstance(records.error, DecodeError)
    assert "bad" in str(records.error)
    assert records.receipt["complete"] is False


def test_an_error_of_our_own_iterators_is_kept_too(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.set("bad", b"\xff")
    records, _ = one_connect().read_table("strings")
    with pytest.raises(DecodeError):
        stream(records)
    assert isinstance(records.error, DecodeError)


def test_there_is_no_error_where_all_went_well(records: Records) -> None:
    assert records.error is None
    stream(records)
    assert records.error is None


@pytest.fixture(scope="module")
def large(one_server: Server) -> Iterator[LakeflowConnect]:
    """A connector to a database of 256 MB in strings."""
    with one_server.client(LARGE_DB) as client:
        client.flushdb()
        for number in range(LARGE_KEYS):
            client.set(f"large:{number}", data.MEGABYTE)
        yield LakeflowConnect(one_server.options(db=str(LARGE_DB), batch_size="10"))
        client.flushdb()


def connections(server: Server) -> int:
    """How many of the connector's connections the server has."""
    with server.client() as client:
        clients = client.client_list()
    return sum(entry["name"] == "lakeflow-redis" for entry in clients)


def assert_all_connections_end(server: Server) -> None:
    """Wait, generously, until the server has lost sight of the connector."""
    deadline = time.monotonic() + 20
    while connections(server) > 0:
        assert time.monotonic() < deadline, "a connection stays open"
        time.sleep(0.02)


@pytest.mark.parametrize("begin", ["iterating", "batches", "pyarrow"])
def test_dropping_a_half_read_stream_ends_its_connection(
    one_server: Server, large: LakeflowConnect, begin: str
) -> None:
    assert_all_connections_end(one_server)
    records, _ = large.read_table("strings")
    passing: Any
    match begin:
        case "iterating":
            passing = iter(records)
        case "batches":
            passing = records.batches()
        case _:
            passing = pa.RecordBatchReader.from_stream(records)
    next(iter(passing))
    assert connections(one_server) > 0
    del passing, records
    assert_all_connections_end(one_server)


def test_a_consumer_that_pauses_burdens_the_server_little(
    one_server: Server, large: LakeflowConnect
) -> None:
    batches = large.read_table("strings", None, {"batch_size": "1000"})[0].batches()
    next(batches)
    # Time for the reader to ask for all that it will.
    time.sleep(0.5)
    with one_server.client() as client:
        (ours,) = (each for each in client.client_list() if each["name"] == "lakeflow-redis")
    assert int(ours["omem"]) < 24 * 2**20


def test_a_read_to_the_end_ends_its_connection(one_server: Server, records: Records) -> None:
    assert len(stream(records)) == COUNT
    assert_all_connections_end(one_server)


def test_records_never_touched_end_their_connection(
    one_server: Server, large: LakeflowConnect
) -> None:
    records, _ = large.read_table("strings")
    del records
    assert_all_connections_end(one_server)


def test_two_reads_at_once_do_not_mix(one_connect: Connect, one_client: redis.Redis) -> None:
    data.fill_many(one_client, 1000)
    connector = one_connect(batch_size="10")
    first, _ = connector.read_table("strings")
    second, _ = connector.read_table("keys")
    left, right = iter(first), iter(second)
    for _ in range(1000):
        assert "value" in next(left)
        assert "encoding" in next(right)
    assert next(left, None) is None
    assert next(right, None) is None


@pytest.mark.parametrize("wait", ["connecting", "reading"])
def test_other_threads_run_while_a_read_waits(
    one_server: Server, large: LakeflowConnect, wait: str
) -> None:
    batches = large.read_table("strings")[0].batches()
    next(batches)
    waiting = threading.Event()
    waiting.set()
    turns = 0

    def count() -> None:
        nonlocal turns
        while waiting.is_set():
            turns += 1
            time.sleep(0.005)

    counter = threading.Thread(target=count)
    with one_server.client() as client:
        # The pause ends by itself: were the GIL held, nothing in this process could end it.
        client.client_pause(1500)
    began = time.monotonic()
    counter.start()
    if wait == "connecting":
        large.test_connection()
    else:
        for _ in batches:
            pass
    seconds = time.monotonic() - began
    waiting.clear()
    counter.join()
    assert seconds > 0.5, "there was nothing to wait for"
    assert turns > 20


def test_a_fork_does_not_wait_for_a_thread_that_it_has_not(large: LakeflowConnect) -> None:
    records, _ = large.read_table("strings")
    batches = records.batches()
    next(batches)
    child = os.fork()
    if child == 0:
        try:
            next(batches)
        except LakeflowRedisError:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert sum(batch.num_rows for batch in batches) > 0
