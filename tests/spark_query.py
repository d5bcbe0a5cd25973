"""A streaming query into Parquet that may be killed at any moment; run by `test_spark_killed`.

`python -m tests.spark_query FOLDER OPTIONS` starts Spark, says `ready`, and starts the query when
a line comes: `go` for a query without an end, `finish` for one that reads what is there. The latter
writes what has landed by then to `landed.json`.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from tests.spark import start

QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}
"""A process that lives for seconds had better not compile what it runs, and not twice."""


def main(folder: Path, options: dict[str, str]) -> None:
    """Run the query, always on the same checkpoint."""
    spark = start(folder, **QUICK)
    frame = spark.readStream.format("redis").options(tableName="streams", **options).load()
    writer = frame.writeStream.format("parquet")
    writer = writer.option("checkpointLocation", str(folder / "checkpoint"))
    sink = str(folder / "sink")
    print("ready", flush=True)
    last = sys.stdin.readline().strip() == "finish"
    query = writer.trigger(availableNow=True).start(sink) if last else writer.start(sink)
    query.awaitTermination()
    if last:
        # Only Spark reads what the query has committed, and not what else lies there.
        rows = spark.read.parquet(sink).select("key_name", "entry_id").collect()
        counts = Counter((row["key_name"], row["entry_id"]) for row in rows)
        (folder / "landed.json").write_text(json.dumps([[*each, n] for each, n in counts.items()]))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
