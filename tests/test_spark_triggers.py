"""What Spark asks of streams since 4.2: limits, triggers that end, and where streams are."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import redis
from lakeflow_redis import ConfigurationError
from lakeflow_redis.spark import RedisDataSource
from lakeflow_redis.spark.streaming import RedisStreamReader
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxFiles, ReadMaxRows

from tests.servers import Server
from tests.spark import entries, finish, streamed
from tests.streams import Entry, add, numbered


def stream_reader(server: Server, **options: str) -> RedisStreamReader:
    """What Spark calls, without Spark."""
    source = RedisDataSource(server.options(tablename="streams", **options))
    return source.streamReader(source.schema())


def read(reader: RedisStreamReader, start: dict[str, Any], end: dict[str, Any]) -> list[Entry]:
    """The entries of a micro-batch."""
    return sorted(
        (row["key_name"], row["entry_id"])
        for partition in reader.partitions(start, end)
        for batch in reader.read(partition)
        for row in batch.to_pylist()
    )


def test_the_engines_limit_goes_before_the_option(
    one_server: Server, one_client: redis.Redis
) -> None:
    expected = add(one_client, "a", *numbered(11, 10))
    reader = stream_reader(one_server, max_records_per_batch="3")
    assert reader.getDefaultReadLimit() == ReadMaxRows(3)
    start = reader.initialOffset()
    for limit, rows in ((ReadMaxRows(3), 3), (ReadMaxRows(5), 5), (ReadAllAvailable(), 10)):
        end = reader.latestOffset(start, limit)
        assert read(reader, start, end) == expected[:rows]


def test_without_an_option_there_is_no_limit(one_server: Server) -> None:
    assert stream_reader(one_server).getDefaultReadLimit() == ReadAllAvailable()


def test_a_limit_by_files_is_an_error(one_server: Server) -> None:
    reader = stream_reader(one_server)
    with pytest.raises(ConfigurationError, match="max_records_per_batch"):
        reader.latestOffset({}, ReadMaxFiles(1))


def test_older_spark_says_neither_start_nor_limit(
    one_server: Server, one_client: redis.Redis
) -> None:
    found = add(one_client, "a", *numbered(1, 10))
    reader = stream_reader(one_server, max_records_per_batch="4")
    # It asks for the first end before anything else.
    end = reader.latestOffset()
    assert read(reader, reader.initialOffset(), end) == sorted(found)
    expected = add(one_client, "a", *numbered(11, 10))
    for first in (0, 4, 8):
        start, end = end, reader.latestOffset()
        assert read(reader, start, end) == expected[first : first + 4]
    assert reader.latestOffset() == end


def test_older_spark_goes_on_from_a_checkpoint_without_going_back(
    one_server: Server, one_client: redis.Redis
) -> None:
    add(one_client, "a", *numbered(1, 10))
    start = stream_reader(one_server).latestOffset({})
    later = add(one_client, "a", *numbered(11, 10))
    # Nobody has told it where the query was.
    reader = stream_reader(one_server, max_records_per_batch="4")
    assert read(reader, start, reader.latestOffset()) == sorted(later)


def test_a_cap_divides_what_is_there(
    spark: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    expected = [entry for name in "abc" for entry in add(one_client, name, *numbered(1, 10))]
    found: list[list[Entry]] = []
    frame = streamed(spark, one_server, max_records_per_batch="8")
    query = frame.writeStream.foreachBatch(lambda batch, _: found.append(entries(batch))).start()
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    assert sorted(chain(*found)) == sorted(expected)
    assert max(len(batch) for batch in found) <= 8


@pytest.mark.parametrize("cap", [None, "2", "7"])
def test_available_now_ends_where_streams_were_when_it_began(
    one_server: Server, one_client: redis.Redis, cap: str | None
) -> None:
    expected = add(one_client, "a", *numbered(1, 10)) + add(one_client, "b", *numbered(1, 3))
    reader = stream_reader(one_server, **({} if cap is None else {"max_records_per_batch": cap}))
    reader.prepareForTriggerAvailableNow()
    start = reader.initialOffset()
    found: list[Entry] = []
    for turn in range(50):
        # A busy writer, to one of these streams and to a new one each time.
        add(one_client, "a", *numbered(100 * (turn + 1), 20))
        add(one_client, f"new {turn}", "1-1")
        end = reader.latestOffset(start, reader.getDefaultReadLimit())
        if end == start:
            break
        found += read(reader, start, end)
        start = end
    assert Counter(found) == Counter(expected)


def test_available_now_lands_what_was_there_in_spark(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    expected = add(one_client, "a", *numbered(1, 10))
    found: list[list[Entry]] = []

    def take(frame: DataFrame, number: int) -> None:
        found.append(entries(frame))
        add(one_client, "a", *numbered(100 * (number + 1), 10))
        add(one_client, f"new {number}", "1-1")

    def run() -> None:
        """Run a query to its end, on the same checkpoint each time."""
        frame = streamed(spark, one_server, max_records_per_batch="4")
        writer = frame.writeStream.foreachBatch(take).trigger(availableNow=True)
        finish(writer.option("checkpointLocation", str(tmp_path / "checkpoint")).start())

    run()
    assert sorted(chain(*found)) == sorted(expected)
    # The next run has what was written during this one.
    written = 11 * len(found)
    assert max(len(batch) for batch in found) <= 4
    del found[:]
    run()
    assert len(list(chain(*found))) == written


def test_the_progress_tells_where_the_streams_end(
    spark: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    add(one_client, "a", *numbered(1, 10))
    frame = streamed(spark, one_server, max_records_per_batch="4")
    query = frame.writeStream.format("noop").start()
    try:
        query.processAllAvailable()
        first = query.recentProgress[0]["sources"][0]
    finally:
        query.stop()
    ends = [json.loads(first[name]) for name in ("endOffset", "latestOffset")]
    assert [end["streams"]["0"]["a"]["id"] for end in ends] == ["4-0", "10-0"]
