"""Batch reads."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition

from lakeflow_redis.spark.table import SparkTable


class RedisReader(DataSourceReader):
    """Reads a table whole, in as many tasks as there are partitions."""

    def __init__(self, table: SparkTable) -> None:
        self._table = table

    def partitions(self) -> list[InputPartition]:
        """By node, database and, where `num_partitions` says so, range of keys or of entries."""
        return self._table.partitions(None, None)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read a partition, in an executor."""
        return self._table.read(partition)
