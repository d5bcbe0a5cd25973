"""A Spark application with two executors of their own; run by `test_spark_cluster`.

`python -m tests.spark_job FOLDER TASK` reads by each set of options in the task, in the ways that
it names, each of which leaves traces; what was found or what failed is in `told.json`. The task is
JSON: names of pairs of options and ways.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spark import start

MASTER = "local-cluster[2,1,1024]"


def executor_of(_: Iterable[Any]) -> Iterator[str]:
    """Where the process runs that reads a partition."""
    yield os.environ.get("SPARK_EXECUTOR_DIRS", "the driver")


def batch(spark: SparkSession, options: dict[str, str]) -> dict[str, Any]:
    """Read a table, and show plans of it."""
    frame = spark.read.format("redis").options(**options).load()
    frame.where("key_name <> 'a'").explain(extended=True)
    frame.explain("formatted")
    executors = set(frame.rdd.mapPartitions(executor_of).collect())
    return {"rows": [row.asDict() for row in frame.collect()], "executors": sorted(executors)}


def view(spark: SparkSession, options: dict[str, str]) -> int:
    """Read a table as a view made in SQL."""
    spelt = ", ".join(f"{name} '{value}'" for name, value in options.items())
    statement = f"CREATE OR REPLACE TEMPORARY VIEW found USING redis OPTIONS ({spelt})"
    spark.sql(statement)
    spark.sql(f"EXPLAIN EXTENDED {statement}").show(truncate=False)
    spark.sql("SELECT * FROM found").explain(extended=True)
    return spark.table("found").count()


def stream(spark: SparkSession, options: dict[str, str], folder: Path) -> int:
    """Read streams into files, on a checkpoint."""
    frame: DataFrame = spark.readStream.format("redis").options(**options).load()
    writer = frame.writeStream.format("parquet").trigger(processingTime="0 seconds")
    query = writer.option("checkpointLocation", str(folder / "checkpoint")).start(
        str(folder / "sink")
    )
    try:
        query.processAllAvailable()
        query.explain(extended=True)
        print(query.lastProgress, query.status)
    finally:
        query.stop()
    return spark.read.parquet(str(folder / "sink")).count()


def read(spark: SparkSession, way: str, options: dict[str, str], folder: Path) -> Any:
    """Read in one way; gives what was found, or the text of what failed."""
    table = "streams" if way == "stream" else "strings"
    options = options | {"tableName": table}
    try:
        match way:
            case "batch":
                return batch(spark, options)
            case "view":
                return view(spark, options)
            case _:
                return stream(spark, options, folder)
    except PySparkException as error:
        # As an application would that does not expect it.
        traceback.print_exc()
        return str(error)


def main(folder: Path, task: dict[str, tuple[dict[str, str], list[str]]]) -> None:
    """Do all of a task."""
    events = folder / "events"
    events.mkdir()
    conf = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.executor.memory": "512m",
        # Both are to be there before anything is read.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    }
    spark = start(folder, MASTER, **conf)
    spark.sparkContext.setLogLevel("INFO")
    told = {
        name: {way: read(spark, way, options, folder / "streams" / name) for way in ways}
        for name, (options, ways) in task.items()
    }
    spark.stop()
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
