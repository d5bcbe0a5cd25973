"""Redis as a Spark data source: `spark.dataSource.register(RedisDataSource)`, then `format("redis")`.

Of the package only this and `lakeflow`, which builds on it, need pyspark, 4.0 or newer.
"""

from lakeflow_redis.spark.source import RedisDataSource

__all__ = ["RedisDataSource"]
