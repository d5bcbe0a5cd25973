"""`format("redis")`."""

from pyspark import __version__ as spark_version
from pyspark.sql.datasource import DataSource, DataSourceReader
from pyspark.sql.types import StructType

from lakeflow_redis import ConfigurationError
from lakeflow_redis.spark.batch import RedisReader
from lakeflow_redis.spark.options import SourceOptions
from lakeflow_redis.spark.streaming import RedisStreamReader
from lakeflow_redis.spark.table import SparkTable, connector_schema


class RedisDataSource(DataSource):
    """A table of Redis for Spark, in batch and, where it is `streams`, streaming.

    Options are the connector's, `tableName`, and `pushdown`. A schema that is given chooses among
    the table's columns.
    """

    @classmethod
    def name(cls) -> str:
        """Name the format."""
        return "redis"

    def schema(self) -> StructType:
        """Say what columns the table has under these options."""
        return connector_schema(self._parsed())

    def reader(self, schema: StructType) -> DataSourceReader:
        """Read the table as it is now."""
        options = self._parsed()
        table = SparkTable.of(options, schema)
        if not options.pushdown:
            return RedisReader(table)
        try:
            from lakeflow_redis.spark.pushdown import RedisPushdownReader  # noqa: PLC0415 - its own ImportError
        except ImportError as error:
            raise ConfigurationError(
                f"option `pushdown` needs Spark 4.1, and this is {spark_version}: leave it out"
            ) from error
        return RedisPushdownReader(table, options.connector)

    def streamReader(self, schema: StructType) -> RedisStreamReader:
        """Read entries of streams as they come."""
        options = self._parsed()
        if options.pushdown:
            raise ConfigurationError(
                "option `pushdown` is for batch reads, as Spark hands no filters to streams: "
                "leave it out, and choose by `key_pattern` or `start_timestamp`"
            )
        return RedisStreamReader(SparkTable.of(options, schema), options.cap)

    def _parsed(self) -> SourceOptions:
        return SourceOptions.parse(self.options)
