"""Ways to get the hashes of a server into Spark, in one session: `python -m benches.spark URL`.

Prints the seconds that each way took, as JSON. Everything goes into Spark's sink that drops rows.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
from lakeflow_redis.lakeflow import RedisLakeflowConnect
from pyspark.sql import DataFrame, SparkSession

from tests.framework import LakeflowSource
from tests.spark import start

TURNS = 3
KEYS_PER_PAGE = 1_000

Way = Callable[[SparkSession, str], DataFrame]


class AsDicts(LakeflowSource):
    """The framework's adapter, by what stands in for the framework."""

    _lakeflow_connect_cls = RedisLakeflowConnect
    _format_name = "redis_dicts"


def source(name: str, parts: int) -> Way:
    """Read by a data source, in so many partitions."""

    def read(spark: SparkSession, url: str) -> DataFrame:
        reader = spark.read.format(name).option("url", url).option("num_partitions", str(parts))
        return reader.option("tableName", "hashes").load()

    return read


def by_hand(spark: SparkSession, url: str) -> DataFrame:
    """Read with redis-py, a pipeline per page of SCAN, and make a frame of the rows."""
    rows: list[tuple[str, str, str, int | None]] = []
    with redis.Redis.from_url(url, decode_responses=True) as client:
        cursor = 0
        while True:
            cursor, names = client.scan(cursor, count=KEYS_PER_PAGE, _type="hash")
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
                pipe.ttl(name)
            replies = pipe.execute()
            for name, fields, ttl in zip(names, replies[::2], replies[1::2], strict=True):
                left = ttl if ttl >= 0 else None
                rows += [(name, field, value, left) for field, value in fields.items()]
            if cursor == 0:
                break
    return spark.createDataFrame(
        rows, "key_name string, field string, value string, ttl_seconds long"
    )


WAYS: dict[str, tuple[Way, int]] = {
    **{f"ours, num_partitions {n}": (source("redis", n), TURNS) for n in (1, 2, 4, 8)},
    "as dicts, one partition": (source(AsDicts.name(), 1), 1),
    "as dicts, num_partitions 2": (source(AsDicts.name(), 2), 1),
    "redis-py and createDataFrame": (by_hand, 1),
}
"""Each with how often it is measured; the best counts."""


def seconds(spark: SparkSession, url: str, way: Way) -> float:
    """Read once."""
    started = time.monotonic()
    way(spark, url).write.format("noop").mode("overwrite").save()
    return time.monotonic() - started


def main(url: str) -> None:
    """Measure each way."""
    with tempfile.TemporaryDirectory() as folder:
        # The JVM's words are not the answer.
        answer, sys.stdout = sys.stdout, sys.stderr
        spark = start(Path(folder), **{"spark.driver.memory": "4g"})
        spark.dataSource.register(AsDicts)
        # Once before the clock starts: what a session's first query takes is Spark's own.
        seconds(spark, url, source("redis", 2))
        took = {
            name: min(seconds(spark, url, way) for _ in range(turns))
            for name, (way, turns) in WAYS.items()
        }
        spark.stop()
    answer.write(json.dumps(took))


if __name__ == "__main__":
    # Data sources of a script are pickled whole, and the module they are in must be found.
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH")))
    )
    main(sys.argv[1])
