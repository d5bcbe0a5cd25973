"""Redis as a Spark data source: `spark.dataSource.register(RedisDataSource)`, then `format("redis")`.

The one part of the package that needs pyspark, 4.0 or newer; nothing else imports it.
"""

from lakeflow_redis.spark.source import RedisDataSource

__all__ = ["RedisDataSource"]
