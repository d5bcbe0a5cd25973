"""A stand-in for the framework of Databricks' Lakeflow community connectors, which no index has.

It makes a connector a Spark data source and calls it as the framework does: with the same options
for the connector and for each read, its own among them; arguments by position; rows taken for
dicts and converted by the schema. `Driver` calls that data source as Spark does, without a Spark.
"""
# ruff: noqa: N802 - Spark has named the methods that it calls.

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from pyspark import cloudpickle
from pyspark.sql.datasource import (
    CaseInsensitiveDict,
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    InputPartition,
    SimpleDataSourceStreamReader,
)
from pyspark.sql.streaming.datasource import ReadAllAvailable, SupportsTriggerAvailableNow
from pyspark.sql.types import BinaryType, DataType, DoubleType, LongType, StringType, StructType

Row = dict[str, Any]
Options = Mapping[str, str]
Batch = tuple[list[Row], Any]
"""A micro-batch: its rows and the offset after them."""

MOST_BATCHES = 500
"""Micro-batches until a stream that goes on forever is given up."""


class SupportsPartitionedStream(ABC):
    """What the framework asks whether a connector is, to read by partitions."""

    @abstractmethod
    def latest_offset(
        self, table_name: str, table_options: Options, start_offset: Any = None
    ) -> Any:
        """Give the end of the next micro-batch."""


def has_partitions(connector: object) -> bool:
    """Whether it is known that a connector can be read by partitions."""
    return isinstance(connector, SupportsPartitionedStream)


def as_row(record: object, schema: StructType) -> tuple[Any, ...]:
    """A record as the framework hands it to Spark."""
    if not isinstance(record, dict):
        raise TypeError(f"a record must be a dict, not {type(record).__name__}")
    return tuple(_as_value(record, field.name, field.dataType, field.nullable) for field in schema)


def _as_value(record: Row, name: str, kind: DataType, nullable: bool) -> Any:
    value = record.get(name)
    if value is None:
        if name not in record and not nullable:
            raise ValueError(f"column {name} is missing and may not be null")
        return None
    if isinstance(kind, StringType):
        return str(value)
    if isinstance(kind, BinaryType):
        # Text would be taken for base64.
        return value if isinstance(value, bytes) else b"not binary"
    if isinstance(kind, LongType):
        return int(value)
    assert isinstance(kind, DoubleType), kind
    return float(value)


class BatchReader(DataSourceReader):
    """A table at once: by partitions, or by one call without an offset."""

    def __init__(self, options: Options, schema: StructType, connector: Any) -> None:
        self.options = options
        self.schema = schema
        self.connector = connector

    def partitions(self) -> list[InputPartition]:
        """Say what can be read side by side."""
        if not has_partitions(self.connector):
            return [InputPartition(None)]
        found = self.connector.get_partitions(self.options["tableName"], self.options)
        return [InputPartition(json.dumps(each)) for each in found]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        """Read one of them, or everything."""
        table = self.options["tableName"]
        if partition.value is None:
            records, _ = self.connector.read_table(table, None, self.options)
        else:
            chosen = json.loads(partition.value)
            records = self.connector.read_partition(table, chosen, self.options)
        return (as_row(record, self.schema) for record in records)


class SimpleStreamReader(SimpleDataSourceStreamReader, SupportsTriggerAvailableNow):
    """A stream by way of the driver."""

    def __init__(self, options: Options, schema: StructType, connector: Any) -> None:
        self.options = options
        self.schema = schema
        self.connector = connector

    def initialOffset(self) -> dict[str, Any]:
        """Begin at the beginning."""
        return {}

    def read(self, start: dict[str, Any]) -> tuple[Iterator[tuple[Any, ...]], dict[str, Any]]:
        """Read on."""
        # Whoever goes through Spark's options has them in lower case from here on.
        options = {name: value for name, value in self.options.items() if name != "isDeleteFlow"}
        records, end = self.connector.read_table(self.options["tableName"], start, options)
        return iter([as_row(record, self.schema) for record in records]), end

    def readBetweenOffsets(
        self,
        start: dict[str, Any],
        end: dict[str, Any],  # noqa: ARG002 - just so.
    ) -> Iterator[tuple[Any, ...]]:
        """Read again what failed; upstream, too, disregards where that ended."""
        return self.read(start)[0]

    def prepareForTriggerAvailableNow(self) -> None:
        """Leave it to the connector when there is an end."""


class PartitionedStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """A stream by partitions."""

    def __init__(self, options: Options, schema: StructType, connector: Any) -> None:
        self.table = options["tableName"]
        self.options = {name: value for name, value in options.items() if name != "isDeleteFlow"}
        self.schema = schema
        self.connector = connector

    def initialOffset(self) -> dict[str, Any]:
        """Begin at the beginning."""
        return {}

    def getDefaultReadLimit(self) -> ReadAllAvailable:
        """Leave it to the connector how much that is."""
        return ReadAllAvailable()

    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:  # noqa: ARG002 - so it is called.
        """End where the connector says."""
        return self.connector.latest_offset(self.table, self.options, start)

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:
        """Say what of it can be read side by side."""
        found = self.connector.get_partitions(self.table, self.options, start, end)
        return [InputPartition(json.dumps(each)) for each in found]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        """Read one of them."""
        chosen = json.loads(partition.value)
        records = self.connector.read_partition(self.table, chosen, self.options)
        return (as_row(record, self.schema) for record in records)

    def prepareForTriggerAvailableNow(self) -> None:
        """Leave it to the connector when there is an end."""


class LakeflowSource(DataSource):
    """A connector as a Spark data source; a subclass binds the connector's class and a format."""

    _lakeflow_connect_cls: ClassVar[Any] = None
    _format_name: ClassVar[str] = ""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        bound = self._lakeflow_connect_cls
        self.connector = bound(options)

    @classmethod
    def name(cls) -> str:
        """Name the format."""
        return cls._format_name

    def schema(self) -> StructType:
        """Ask the connector."""
        found = self.connector.get_table_schema(self.options["tableName"], self.options)
        assert isinstance(found, StructType)
        return found

    def reader(self, schema: StructType) -> DataSourceReader:
        """Read a batch."""
        return BatchReader(self.options, schema, self.connector)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """Read a stream by partitions, where the table can."""
        if has_partitions(self.connector) and self.connector.is_partitioned(
            self.options["tableName"]
        ):
            return PartitionedStreamReader(self.options, schema, self.connector)
        return super().streamReader(schema)

    def simpleStreamReader(self, schema: StructType) -> SimpleDataSourceStreamReader:
        """Read any other stream."""
        return SimpleStreamReader(self.options, schema, self.connector)


class Driver:
    """What Spark does with a data source, but for other processes.

    Args:
        source: the data source's class.
        options: as given to Spark, table and all.
    """

    def __init__(self, source: type[LakeflowSource], options: Options) -> None:
        # It is no dict, and a dict made of it has names in lower case.
        self.source = source(CaseInsensitiveDict(options))  # type: ignore[arg-type]
        self.schema = self.source.schema()

    def batch(self) -> list[Row]:
        """All rows, as `spark.read` would have them."""
        reader = _elsewhere(self.source.reader(self.schema))
        parts = reader.partitions() or [InputPartition(None)]
        return self._rows(row for part in parts for row in _elsewhere(reader).read(part))

    def batch_at_once(self) -> list[Row]:
        """The same where the framework does not know of partitions."""
        reader = _elsewhere(self.source.reader(self.schema))
        return self._rows(reader.read(InputPartition(None)))

    def simple_stream(self, start: Any = None) -> list[Batch]:
        """The micro-batches up to now with their ends, each row by way of the driver."""
        reader = self.source.simpleStreamReader(self.schema)
        offset = reader.initialOffset() if start is None else start
        batches: list[Batch] = []
        while len(batches) < MOST_BATCHES:
            rows, end = reader.read(offset)
            found = self._rows(rows)
            if json.dumps(end) == json.dumps(offset):
                assert found == [], "rows came, yet the offset stands still"
                return batches
            batches.append((found, end))
            offset = end
        raise AssertionError(f"the stream still goes on after {MOST_BATCHES} micro-batches")

    def stream(self, start: Any = None, *, tells: bool = True) -> list[Batch]:
        """The micro-batches up to now with their ends, by partitions.

        Args:
            start: where to go on; None is at the beginning.
            tells: whether Spark says where the micro-batch begins when it asks for its end, as it
                does since 4.2.
        """
        reader = self.source.streamReader(self.schema)
        assert isinstance(reader, PartitionedStreamReader)
        offset = reader.initialOffset() if start is None else start
        batches: list[Batch] = []
        while len(batches) < MOST_BATCHES:
            end = json.loads(json.dumps(reader.latestOffset(offset if tells else None)))
            if json.dumps(end) == json.dumps(offset):
                assert reader.partitions(offset, end) == []
                return batches
            parts = reader.partitions(offset, end)
            rows = (row for part in parts for row in _elsewhere(reader).read(part))
            batches.append((self._rows(rows), end))
            offset = end
        raise AssertionError(f"the stream still goes on after {MOST_BATCHES} micro-batches")

    def _rows(self, found: Iterable[tuple[Any, ...]]) -> list[Row]:
        return [dict(zip(self.schema.names, row, strict=True)) for row in found]


def _elsewhere(what: Any) -> Any:
    """A reader as it arrives in another process."""
    return cloudpickle.loads(cloudpickle.dumps(what))  # type: ignore[no-untyped-call]
