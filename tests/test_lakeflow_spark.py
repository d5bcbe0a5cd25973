"""The connector, bound to a format of Spark's as the Lakeflow framework does it, in a real Spark."""

from collections import Counter
from pathlib import Path

import pytest
import redis
from pyspark.sql import SparkSession

from tests import data, oracle
from tests.compare import assert_same_rows
from tests.servers import Server
from tests.spark import entries, finish, rows
from tests.streams import Entry, add, numbered
from tests.test_lakeflow import RedisSource

FORMAT = RedisSource.name()


@pytest.fixture
def bound(spark: SparkSession) -> SparkSession:
    """A session that knows the format."""
    spark.dataSource.register(RedisSource)
    return spark


@pytest.mark.parametrize("mode", ["string", "binary"])
@pytest.mark.parametrize("table", ["hashes", "sorted_sets", "streams"])
def test_a_batch_has_the_rows_of_the_oracle(
    bound: SparkSession, one_server: Server, one_client: redis.Redis, table: str, mode: str
) -> None:
    data.fill(one_client, table, data.WORDS if mode == "binary" else data.TEXTS)
    options = one_server.options(tableName=table, value_type=mode, num_partitions="3")
    found = rows(bound.read.format(FORMAT).options(**options).load())
    assert_same_rows(table, found, oracle.read(one_client, table, binary=mode == "binary"))


def test_a_stream_that_is_capped_has_each_entry_once(
    bound: SparkSession, one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    sink, checkpoint = str(tmp_path / "sink"), str(tmp_path / "checkpoint")
    options = one_server.options(tableName="streams", max_records_per_batch="20")
    added: list[Entry] = []
    for first in (1, 1000):
        for name in ("a", "b", "c"):
            added += add(one_client, name, *numbered(first, 15))
        stream = bound.readStream.format(FORMAT).options(**options).load()
        writer = stream.writeStream.format("parquet").option("checkpointLocation", checkpoint)
        query = writer.trigger(availableNow=True).start(sink)
        finish(query)
        sizes = [progress["numInputRows"] for progress in query.recentProgress]
        assert max(sizes) <= 20
        found = entries(bound.read.parquet(sink))
        assert Counter(found) == Counter(added)
