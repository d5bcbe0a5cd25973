# ruff: noqa: INP001 - The pipeline loads this file by its path.
"""What comes out of Redis: entries of streams as they were added, and hashes as they are."""

from lakeflow_redis.spark import RedisDataSource
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

spark = SparkSession.active()
spark.dataSource.register(RedisDataSource)

# The name of an environment variable; what it holds is looked up where Redis is read.
REDIS = {"url": "{{ REDIS_URL }}"}


@dp.table
def stream_entries() -> DataFrame:
    """Every entry of every stream, once; each run appends what came since the last."""
    return spark.readStream.format("redis").options(**REDIS, tableName="streams").load()


@dp.materialized_view
def hash_fields() -> DataFrame:
    """All hashes, read anew by each run."""
    return spark.read.format("redis").options(**REDIS, tableName="hashes").load()
