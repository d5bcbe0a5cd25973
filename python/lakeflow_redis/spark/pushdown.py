"""Batch reads to which Spark hands its filters; Spark 4.1 or newer."""

from typing import TYPE_CHECKING

from lakeflow_redis.spark.batch import RedisReader
from lakeflow_redis.spark.filters import push

if TYPE_CHECKING:  # Spark 4.0 has no `Filter`.
    from pyspark.sql.datasource import Filter

    from lakeflow_redis.spark.table import SparkTable


class RedisPushdownReader(RedisReader):
    """Apart from `RedisReader`, since Spark refuses one that takes filters unless its conf is on."""

    def __init__(self, table: "SparkTable", given: dict[str, str]) -> None:
        super().__init__(table)
        self._given = given

    def pushFilters(self, filters: "list[Filter]") -> "list[Filter]":
        """Turn filters into options; what these do not do exactly is left to Spark."""
        pushed, left = push(filters, self._given)
        # Tasks have the connector, and need no second copy of what it was made of.
        self._given = {}
        self._table = self._table.with_options(pushed)
        return left
