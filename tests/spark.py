"""Spark for the tests: sessions on this machine alone, and what a read or a query came to."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyspark
from lakeflow_redis.spark import RedisDataSource
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.oracle import Row
from tests.servers import HOST, Server

if TYPE_CHECKING:  # Spark has two kinds of both.
    from pyspark.sql.streaming.readwriter import DataStreamReader

VERSION = tuple(int(part) for part in pyspark.__version__.split(".")[:2])

LOCAL = "local[2]"

CONF = {
    "spark.driver.bindAddress": HOST,
    "spark.driver.host": HOST,
    "spark.driver.memory": "1g",
    "spark.default.parallelism": "2",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}

MOST_SECONDS = 60
"""Until a query that does not end is given up."""


def start(folder: Path, master: str = LOCAL, **conf: str) -> SparkSession:
    """A session that knows the data source.

    The JVM takes its environment from this process, and the workers theirs from the JVM.
    """
    # Otherwise workers would be whatever `python3` is on the PATH.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = HOST
    builder = SparkSession.builder.master(master).appName("lakeflow-redis tests")
    for name, value in (CONF | conf).items():
        builder = builder.config(name, value)
    spark = builder.config("spark.sql.warehouse.dir", str(folder / "warehouse")).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    spark.dataSource.register(RedisDataSource)
    return spark


def home(folder: Path) -> Path:
    """A SPARK_HOME that is pyspark's own, but for a place to write logs of executors to."""
    folder.mkdir()
    for path in Path(pyspark.__file__).parent.iterdir():
        if path.name != "work":
            (folder / path.name).symlink_to(path)
    return folder


@contextmanager
def conf(spark: SparkSession, name: str, value: str) -> Iterator[None]:
    """Set a conf for a while."""
    spark.conf.set(name, value)
    try:
        yield
    finally:
        spark.conf.unset(name)


def frame(spark: SparkSession, server: Server, table: str, **options: str) -> DataFrame:
    """A table as Spark has it."""
    given = server.options(tableName=table, **options)
    return spark.read.format("redis").options(**given).load()


def rows(frame: DataFrame) -> list[Row]:
    """The rows of a frame as the oracle has them."""
    return [
        {name: _plain(value) for name, value in row.asDict().items()} for row in frame.collect()
    ]


def _plain(value: Any) -> Any:
    """Binary values come as bytearrays before Spark 4.1."""
    return bytes(value) if isinstance(value, bytearray) else value


def streamed(spark: SparkSession, server: Server, **options: str) -> DataFrame:
    """The streams of a server as a streaming frame."""
    reader: DataStreamReader = spark.readStream.format("redis")
    return reader.options(**server.options(tableName="streams", **options)).load()


def entries(frame: DataFrame) -> list[tuple[str, str]]:
    """Keys and ids of the entries in a frame, in order."""
    return sorted((row["key_name"], row["entry_id"]) for row in frame.collect())


def finish(query: StreamingQuery) -> None:
    """Wait until a query has ended; its failure is raised."""
    assert query.awaitTermination(MOST_SECONDS), "the query does not end"
