"""One table as Spark reads it: by partitions, and these in other processes."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import pyarrow as pa
from pyspark.sql.datasource import InputPartition
from pyspark.sql.types import StructType

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.spark.gaps import log_gaps
from lakeflow_redis.spark.options import CAP, SourceOptions
from lakeflow_redis.spark.schema import check_columns, to_arrow, to_spark

LOG = logging.getLogger("lakeflow_redis.spark")

Offset = dict[str, Any]


def connector_schema(options: SourceOptions) -> StructType:
    """The table's columns under these options."""
    connector = LakeflowConnect(options.connector)
    return to_spark(pa.schema(connector.get_table_schema(options.table)))


@dataclass(frozen=True)
class SparkTable:
    """A table under options, with the columns that Spark asked for.

    It is pickled into every task, and the connector with it: that is, the options as they were
    given, with `{{ NAME }}` in the place of secrets.
    """

    connector: LakeflowConnect
    name: str
    schema: StructType
    options: dict[str, str]
    """Over the connector's."""

    @classmethod
    def of(cls, options: SourceOptions, schema: StructType) -> Self:
        """The table with a schema of Spark's: its own, or what the user gave.

        Raises:
            ConfigurationError: the table has no such columns.
        """
        found = connector_schema(options)
        check_columns(schema, found, options.table)
        some = schema.names != found.names
        columns = {"columns": json.dumps(schema.names)} if some else {}
        return cls(LakeflowConnect(options.connector), options.table, schema, columns)

    def with_options(self, more: Mapping[str, str]) -> Self:
        """The same with further options for the read."""
        return replace(self, options=self.options | dict(more))

    def latest_offset(
        self, start: Offset | None, most: int | None = None, target: Offset | None = None
    ) -> Offset:
        """The offset after what is there now, or after so many entries, not beyond the target."""
        cap = {} if most is None else {CAP: str(most)}
        return self.connector.latest_offset(self.name, self.options | cap, start, target)

    def partitions(self, start: Offset | None, end: Offset | None) -> list[InputPartition]:
        """What is between two offsets, in pieces that can be read side by side."""
        found = self.connector.get_partitions(self.name, self.options, start, end)
        return [InputPartition(partition) for partition in found]

    def read(self, partition: InputPartition | None) -> Iterator[pa.RecordBatch]:
        """Read one partition, in record batches of just the schema that Spark wants."""
        if partition is None or partition.value is None:
            # Where there is no partition, Spark makes one, and Spark 4.0 does not even that.
            return
        schema = to_arrow(self.schema)
        records = self.connector.read_partition(self.name, partition.value, self.options)
        for batch in records.batches():
            # The same buffers: what differs is what may be null, and what is noted on the side.
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        log_gaps(records, LOG)
