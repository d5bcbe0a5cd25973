"""Streams as Spark reads them on, micro-batch by micro-batch, each entry once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.servers import Server
from tests.spark import entries, finish, streamed
from tests.streams import Entry, add, numbered

Start = Callable[..., StreamingQuery]


@pytest.fixture
def start(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> Iterator[Start]:
    """Starts a query into Parquet, always on the same checkpoint; stopped in the end."""
    queries: list[StreamingQuery] = []

    def start(**options: str) -> StreamingQuery:
        writer = streamed(spark, one_server, **options).writeStream.format("parquet")
        writer = writer.option("checkpointLocation", str(tmp_path / "checkpoint"))
        queries.append(writer.start(str(tmp_path / "sink")))
        return queries[-1]

    yield start
    for query in queries:
        query.stop()


@pytest.fixture
def landed(spark: SparkSession, tmp_path: Path) -> Callable[[], list[Entry]]:
    """The entries that are in the sink by now."""
    return lambda: entries(spark.read.parquet(str(tmp_path / "sink")))


def test_each_micro_batch_has_what_came_since(
    one_client: redis.Redis, start: Start, landed: Callable[[], list[Entry]]
) -> None:
    expected = add(one_client, "a", "1-1", "9-1") + add(one_client, "b", "5-5")
    query = start()
    query.processAllAvailable()
    assert landed() == sorted(expected)
    # Behind in time, and as text; and a stream that was not there before.
    expected += add(one_client, "a", "10-1") + add(one_client, "c", "0-1")
    query.processAllAvailable()
    assert landed() == sorted(expected)


def test_nothing_new_makes_no_micro_batch(one_client: redis.Redis, start: Start) -> None:
    add(one_client, "a", "1-1")
    query = start()
    query.processAllAvailable()
    first = query.lastProgress
    assert first is not None
    query.processAllAvailable()
    query.processAllAvailable()
    last = query.lastProgress
    assert last is not None
    # A trigger that finds nothing is told of as the batch to come.
    assert last["batchId"] <= first["batchId"] + 1
    assert sum(progress["numInputRows"] for progress in query.recentProgress) == 1


def test_a_query_goes_on_where_it_was_stopped(
    one_client: redis.Redis, start: Start, landed: Callable[[], list[Entry]]
) -> None:
    expected = add(one_client, "a", *numbered(1, 20))
    query = start()
    query.processAllAvailable()
    query.stop()
    expected += add(one_client, "a", *numbered(21, 20)) + add(one_client, "b", "1-1")
    again = start()
    again.processAllAvailable()
    assert landed() == sorted(expected)


def test_micro_batches_are_read_in_partitions(
    one_client: redis.Redis, start: Start, landed: Callable[[], list[Entry]]
) -> None:
    expected = [entry for name in "abcdefgh" for entry in add(one_client, name, *numbered(1, 30))]
    query = start(num_partitions="4")
    query.processAllAvailable()
    assert landed() == sorted(expected)
    expected += add(one_client, "a", *numbered(31, 30))
    query.processAllAvailable()
    assert landed() == sorted(expected)


def fail(frame: DataFrame, number: int) -> None:
    """Take a micro-batch in vain."""
    raise RuntimeError(f"batch {number} is not taken")


def attempt(spark: SparkSession, server: Server, folder: Path) -> None:
    """Plan a micro-batch, whose end is noted in the checkpoint, and let it fail."""
    writer = streamed(spark, server).writeStream.foreachBatch(fail)
    query = writer.option("checkpointLocation", str(folder / "checkpoint")).start()
    with pytest.raises(PySparkException, match="is not taken"):
        finish(query)


def replay(spark: SparkSession, server: Server, folder: Path, **options: str) -> list[list[Entry]]:
    """Go on from the checkpoint; gives the entries of each micro-batch."""
    batches: list[list[Entry]] = []
    writer = streamed(spark, server, **options).writeStream.foreachBatch(
        lambda frame, _: batches.append(entries(frame))
    )
    query = writer.option("checkpointLocation", str(folder / "checkpoint")).start()
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    return batches


def test_a_failed_micro_batch_is_replayed_to_the_row(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    expected = add(one_client, "a", *numbered(1, 20))
    attempt(spark, one_server, tmp_path)
    later = add(one_client, "a", *numbered(21, 5)) + add(one_client, "b", "1-1")
    assert replay(spark, one_server, tmp_path) == [sorted(expected), sorted(later)]


def test_entries_trimmed_before_a_replay_are_a_loss(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    expected = add(one_client, "a", *numbered(1, 20))
    attempt(spark, one_server, tmp_path)
    one_client.xtrim("a", maxlen=5, approximate=False)
    with pytest.raises(PySparkException) as caught:
        replay(spark, one_server, tmp_path)
    assert "DataLossError" in str(caught.value)
    assert "15" in str(caught.value)
    left = sorted(expected[-5:])
    assert replay(spark, one_server, tmp_path, fail_on_data_loss="false") == [left]


def test_other_tables_cannot_be_streamed(spark: SparkSession, one_server: Server) -> None:
    reader = spark.readStream.format("redis").options(**one_server.options(tableName="hashes"))
    with pytest.raises(PySparkException) as caught:
        finish(reader.load().writeStream.format("noop").start())
    assert "table `hashes` is a snapshot and cannot be streamed" in str(caught.value)


def test_a_streaming_view_in_sql(
    spark: SparkSession, one_client: redis.Redis, one_server: Server, tmp_path: Path
) -> None:
    expected = add(one_client, "a", "1-1", "1-2")
    add(one_client, "b", "1-1")
    streamed(spark, one_server).createOrReplaceTempView("entries_as_they_come")
    chosen = spark.sql("SELECT * FROM entries_as_they_come WHERE key_name = 'a'")
    query = chosen.writeStream.format("memory").queryName("taken").start()
    try:
        query.processAllAvailable()
        assert entries(spark.table("taken")) == expected
    finally:
        query.stop()
        spark.catalog.dropTempView("entries_as_they_come")
