# Databricks notebook source
# MAGIC %md
# MAGIC # Redis on Databricks
# MAGIC
# MAGIC Redis as a Spark data source: tables in batch, SQL over them, and streams read on into a table, with a checkpoint.
# MAGIC
# MAGIC 1. Install the wheel
# MAGIC 2. The server's address, from a secret
# MAGIC 3. Read a table, and ask it something in SQL
# MAGIC 4. Streams into a table, each entry once
# MAGIC
# MAGIC There are two of this notebook: `05_databricks.ipynb`, and `05_databricks.py` in Databricks' own format, which *Workspace,
# MAGIC Import* takes as it is. Two cells, those that say *Databricks only*, need Databricks; everything else runs on any Spark
# MAGIC from 4.0 on, and is tested on open-source Spark, not on Databricks itself.

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. Install the wheel
# MAGIC
# MAGIC Put it into a Volume, as by `databricks fs cp lakeflow_redis-….whl dbfs:/Volumes/main/default/wheels/`. (Databricks only;
# MAGIC elsewhere: `pip install 'lakeflow-redis[spark]' redis matplotlib`. `redis` is for the sample data.)

# COMMAND ----------

# DBTITLE 1,Databricks only
# MAGIC %pip install /Volumes/main/default/wheels/lakeflow_redis-0.1.0-cp311-abi3-manylinux_2_28_x86_64.whl redis
# MAGIC dbutils.library.restartPython()

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. The server's address, from a secret
# MAGIC
# MAGIC Keep the address, with user and password, in a secret: `redis://<user>:<password>@<host>:6379`, or `rediss://` for TLS. In
# MAGIC the compute's settings, under *Advanced*, *Environment variables*, write `REDIS_URL={{secrets/<scope>/<key>}}`. In options,
# MAGIC `{{ REDIS_URL }}` stands for that variable. It is looked up on the driver and the executors when they connect, so that
# MAGIC neither a plan nor a checkpoint nor a log has the password.
# MAGIC
# MAGIC On serverless compute, which has no environment variables of one's own, put `dbutils.secrets.get("<scope>", "<key>")` in the
# MAGIC place of the reference, and of `os.environ["REDIS_URL"]` in the cell with the sample data: the executors get it in their
# MAGIC tasks, and plans and checkpoints have it redacted.
# MAGIC
# MAGIC What is written goes into a folder of a Volume (the checkpoint) and into a table. (Databricks only; elsewhere,
# MAGIC set `REDIS_URL` before Spark starts, and give `FOLDER` and `ENTRIES` values of your own.)

# COMMAND ----------

# DBTITLE 1,Databricks only
spark.sql("CREATE VOLUME IF NOT EXISTS main.default.lakeflow_redis")
FOLDER = "/Volumes/main/default/lakeflow_redis"
ENTRIES = "main.default.redis_entries"

# COMMAND ----------

import os

SAMPLE = "lakeflow-databricks:"
KEY_PATTERN = f"{SAMPLE}*"  # "*" for all keys of the database
OPTIONS = {"url": "{{ REDIS_URL }}", "key_pattern": KEY_PATTERN, "num_partitions": "4"}

# COMMAND ----------

# MAGIC %md
# MAGIC ### Sample data
# MAGIC
# MAGIC As it is, this notebook **writes sample data** to that server: about 2,400 keys (1 MB) whose names begin with
# MAGIC `lakeflow-databricks:`, which its last cell deletes. It touches no other keys. To read **your own keys**, set `KEY_PATTERN`
# MAGIC above, such as to `"*"`, leave out the cells that begin with `# Sample data`, and put your own names into the SQL.
# MAGIC
# MAGIC A furniture shop: articles as hashes, sessions that expire, and a stream of orders for each warehouse. Ids of entries are
# MAGIC times; here they are given, so that everything happens on the morning of 2 March 2026.

# COMMAND ----------

# Sample data: leave this cell out to read your own keys.
import json
import random
from datetime import UTC, datetime, timedelta

import redis

draw = random.Random(5)
server = redis.Redis.from_url(os.environ["REDIS_URL"])
OPENING = datetime(2026, 3, 2, 8, tzinfo=UTC)
PRICES = {"sofa": 900, "bed": 600, "table": 350, "shelf": 160, "chair": 120, "lamp": 60}
WAREHOUSES = {"berlin": 9, "lagos": 6, "osaka": 4}  # orders per minute


def add_orders(begin: int, end: int) -> int:
    """Add the orders of some minutes after the opening; returns how many there were."""
    with server.pipeline(transaction=False) as to:
        for minute in range(begin, end):
            at = int((OPENING + timedelta(minutes=minute)).timestamp() * 1_000)
            for warehouse, usual in WAREHOUSES.items():
                # It is a busy morning in Berlin, and Osaka closes early.
                busy = 2 if warehouse == "berlin" and 60 <= minute < 90 else 1
                closed = warehouse == "osaka" and minute >= 150
                many = 0 if closed else max(1, round(draw.gauss(usual * busy, 2)))
                for moment in sorted(draw.sample(range(60_000), k=many)):
                    kind = draw.choice([*PRICES])
                    order = {"kind": kind, "quantity": draw.randint(1, 3), "euros": PRICES[kind]}
                    to.xadd(f"{SAMPLE}orders:{warehouse}", order, id=f"{at + moment}-0")
        return len(to.execute())


names = list(server.scan_iter(f"{SAMPLE}*", count=1_000))
if names:
    server.unlink(*names)  # Of an earlier run that did not come to its end.
with server.pipeline(transaction=False) as to:
    for number in range(900):
        kind = draw.choices([*PRICES], weights=[6, 8, 10, 15, 20, 14])[0]
        price = PRICES[kind] * draw.lognormvariate(0, 0.35)
        article = {"kind": kind, "price": f"{price:.2f}", "stock": draw.randrange(120)}
        to.hset(f"{SAMPLE}article:{number}", mapping=article)
    for number in range(1_500):
        session = {"user": f"user-{number}", "basket": ["x" * 20] * draw.randrange(8)}
        to.set(f"{SAMPLE}session:{number}", json.dumps(session), ex=draw.randrange(600, 7_200))
    to.execute()
print(f"2,400 articles and sessions, {add_orders(0, 180):,} orders")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Read a table, and ask it something in SQL
# MAGIC
# MAGIC Databricks brings `spark`; elsewhere `getOrCreate` makes it. The data source is registered once per session. Options are
# MAGIC those of the connector, and `tableName`. A task reads each of the `num_partitions` parts of the keys, and record batches go
# MAGIC to Spark as they are.

# COMMAND ----------

from lakeflow_redis.spark import RedisDataSource
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.dataSource.register(RedisDataSource)

hashes = spark.read.format("redis").options(**OPTIONS, tableName="hashes").load()
display(hashes.limit(6))

# COMMAND ----------

# MAGIC %md
# MAGIC A row is a field of a hash. Pivoted, it is an article; `cache` keeps what would otherwise be read anew by each query.

# COMMAND ----------

articles = (
    hashes.groupBy("key_name").pivot("field", ["kind", "price", "stock"]).agg({"value": "max"})
)
articles.cache().createOrReplaceTempView("articles")

display(
    spark.sql("""
        SELECT
            kind, count(*) AS articles, sum(int(stock)) AS pieces,
            round(sum(double(price) * int(stock))) AS euros
        FROM articles GROUP BY kind ORDER BY euros DESC
    """)
)

# COMMAND ----------

# MAGIC %md
# MAGIC In SQL alone it is a view. (It has a `key_pattern` of its own.) The reference is what stands in the statement, and no password.

# COMMAND ----------

spark.sql("""
    CREATE OR REPLACE TEMPORARY VIEW keyspace USING redis
    OPTIONS (url '{{ REDIS_URL }}', tableName 'keys', key_pattern 'lakeflow-databricks:*')
""")
memory = spark.sql("""
    SELECT
        regexp_extract(key_name, '^(lakeflow-databricks:)?([^:]*)', 2) AS prefix,
        ttl_seconds IS NULL AS stays, count(*) AS keys, sum(memory_bytes) / 1e3 AS kilobytes
    FROM keyspace GROUP BY ALL ORDER BY kilobytes
""")
display(memory)

# COMMAND ----------

import matplotlib.pyplot as plt

found = memory.toPandas()
figure, axes = plt.subplots(figsize=(8, 1 + 0.6 * len(found)), layout="constrained")
colours = ["#3b7dbf" if stays else "#e8963c" for stays in found["stays"]]
axes.barh(found["prefix"], found["kilobytes"], color=colours)
for row in found.itertuples():
    what = "stay" if row.stays else "expire"
    text = f"  {row.kilobytes:,.0f} kB in {row.keys:,} keys, which {what}"
    axes.text(row.kilobytes, row.Index, text, va="center")
axes.set_xlim(right=1.7 * found["kilobytes"].max())
axes.set_xlabel("memory (kB)")
axes.set_title("Memory by key prefix", loc="left", fontweight="bold")
axes.spines[["top", "right"]].set_visible(False)
axes.tick_params(axis="y", length=0)
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. Streams into a table, each entry once
# MAGIC
# MAGIC `readStream` of the table `streams` reads on from the checkpoint, which holds the offset: a position for each stream.
# MAGIC `availableNow` takes what is there when the query begins, and ends; run so by a job every few minutes, it costs what the new
# MAGIC entries cost. (A query that is always on has `processingTime="10 seconds"` instead.) `max_records_per_batch` limits a
# MAGIC micro-batch, from Spark 4.2 on also here.

# COMMAND ----------

def take_what_is_new() -> None:
    """Append the entries since the last run to the table."""
    entries = (
        spark.readStream.format("redis")
        .options(**OPTIONS, tableName="streams", max_records_per_batch="2000")
        .load()
    )
    query = (
        entries.writeStream.option("checkpointLocation", f"{FOLDER}/checkpoints/entries")
        .trigger(availableNow=True)
        .toTable(ENTRIES)
    )
    query.awaitTermination()
    batches = [progress["numInputRows"] for progress in query.recentProgress]
    print(f"{sum(batches):,} new entries, in micro-batches of {batches}")


take_what_is_new()

# COMMAND ----------

# MAGIC %md
# MAGIC Half an hour later there are more orders. The second run finds these, and the third finds nothing.

# COMMAND ----------

# Sample data
print(f"{add_orders(180, 210):,} orders added")

# COMMAND ----------

take_what_is_new()
take_what_is_new()

landed = spark.table(ENTRIES)
once = landed.select("key_name", "entry_id").distinct().count()
print(f"{landed.count():,} rows, of which {once:,} are different entries")
assert landed.count() == once

# COMMAND ----------

# MAGIC %md
# MAGIC `fields` is a JSON object in the entry's own order.

# COMMAND ----------

landed.createOrReplaceTempView("entries")
five_minutes = spark.sql("""
    SELECT
        element_at(split(key_name, ':'), -1) AS warehouse,
        timestamp_ms div 300000 * 300000 AS at,
        count(*) AS orders,
        sum(int(get_json_object(fields, '$.quantity')) * int(get_json_object(fields, '$.euros'))) AS euros
    FROM entries GROUP BY ALL ORDER BY at, warehouse
""")
display(five_minutes)

# COMMAND ----------

import matplotlib.dates as mdates
import pandas as pd

found = (
    five_minutes.toPandas().pivot_table(index="at", columns="warehouse", values="euros").fillna(0)
)
found = found[found.sum().sort_values(ascending=False).index] / 5
times = pd.to_datetime(found.index, unit="ms")
figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
colours = ["#3b7dbf", "#4aa586", "#e8963c", "#c8577a", "#8a76c4"]
axes.stackplot(times, found.T, labels=found.columns, colors=colours, step="post")
axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(mdates.AutoDateLocator()))
axes.yaxis.set_major_formatter(lambda euros, _: f"{euros:,.0f}")
axes.margins(x=0)
axes.set_xlabel("time (UTC)")
axes.set_ylabel("orders (euros per minute)")
axes.set_title("What was ordered, by warehouse", loc="left", fontweight="bold")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, reverse=True, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Clean up
# MAGIC
# MAGIC The table goes, with its checkpoint, and the sample data; nothing else does. (Keep table and checkpoint together: one without
# MAGIC the other would repeat entries, or miss them.)

# COMMAND ----------

import shutil

articles.unpersist()
spark.sql(f"DROP TABLE {ENTRIES}")
shutil.rmtree(f"{FOLDER}/checkpoints/entries")

# COMMAND ----------

# Sample data: leave this cell out, too.
names = list(server.scan_iter(f"{SAMPLE}*", count=1_000))
print(f"{server.unlink(*names):,} keys deleted")

# COMMAND ----------

# MAGIC %md
# MAGIC ## From here
# MAGIC
# MAGIC - As a pipeline that Databricks runs, with a connection in Unity Catalog that keeps the credentials:
# MAGIC   `docs/how-to/databricks.md`.
# MAGIC - As a declarative pipeline on any Spark: [examples/pipeline](../examples/pipeline).
# MAGIC - The other notebooks beside this one need no Spark; they run here as well.
