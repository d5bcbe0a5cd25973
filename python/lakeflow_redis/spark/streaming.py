"""Streaming reads."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition

from lakeflow_redis import ConfigurationError
from lakeflow_redis.spark.admission import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)
from lakeflow_redis.spark.table import Offset, SparkTable


class RedisStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads entries of streams, from one offset to the next.

    Args:
        table: the streams.
        cap: the most entries that a micro-batch is to have.

    Raises:
        ConfigurationError: the table is a snapshot, of which nothing can be read on.
    """

    def __init__(self, table: SparkTable, cap: int | None) -> None:
        if table.connector.read_table_metadata(table.name)["ingestion_type"] != "append":
            raise ConfigurationError(
                f"table `{table.name}` is a snapshot and cannot be streamed; read it by "
                "`spark.read`, as often as it is wanted, or stream table `streams`"
            )
        self._table = table
        self._cap = cap
        self._start: Offset | None = None
        self._target: Offset | None = None
        self._planned: Offset | None = None

    def initialOffset(self) -> Offset:
        """Say where a new query begins: before everything."""
        return {}

    def getDefaultReadLimit(self) -> ReadLimit:
        """Say what a micro-batch is to have at most, by `max_records_per_batch`."""
        return ReadAllAvailable() if self._cap is None else ReadMaxRows(self._cap)

    def latestOffset(self, start: Offset | None = None, limit: ReadLimit | None = None) -> Offset:
        """Find the end of the next micro-batch.

        Args:
            start: where it begins. Before 4.2 Spark does not say, and it is where the last one
                ended, as far as that is known here.
            limit: what it may have at most; before 4.2, what the options say.
        """
        if start is None:
            start = self._start
        most = self._most(limit)
        if start is None:
            # A query that goes on from its checkpoint. Counted from the beginning, a cap would
            # lead back to where the query was long ago.
            most = None
        self._planned = start
        return self._table.latest_offset(start, most, self._target)

    def prepareForTriggerAvailableNow(self) -> None:
        """Fix where the query is to end, however much is still written."""
        self._target = self._table.latest_offset(None)

    def reportLatestOffset(self) -> Offset | None:
        """Say where the streams end by now."""
        return None if self._planned is None else self._table.latest_offset(self._planned)

    def partitions(self, start: Offset, end: Offset) -> list[InputPartition]:
        """Divide a micro-batch among tasks."""
        self._start = end
        return [] if start == end else self._table.partitions(start, end)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read a partition, in an executor."""
        return self._table.read(partition)

    def commit(self, end: Offset) -> None:
        """Do nothing: streams are not trimmed, which is for those to do who write them.

        Nor could it be done here, as Spark does not tell of every batch that is committed.
        """

    def _most(self, limit: ReadLimit | None) -> int | None:
        match limit:
            case None:
                return self._cap
            case ReadMaxRows():
                return limit.max_rows
            case ReadAllAvailable():
                return None
            case _:
                raise ConfigurationError(
                    f"streams of Redis cannot be limited by {type(limit).__name__}, only by rows: "
                    "set option `max_records_per_batch`"
                )
