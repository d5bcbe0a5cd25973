"""`RedisLakeflowConnect`: the connector by the framework's contract."""

import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import chain
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

from lakeflow_redis._core import LakeflowConnect, Records, option_specs
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.lakeflow.framework_options import own_options
from lakeflow_redis.spark.gaps import log_gaps
from lakeflow_redis.spark.options import CAP
from lakeflow_redis.spark.schema import to_spark

LOG = logging.getLogger("lakeflow_redis.lakeflow")

Row = dict[str, Any]
Offset = dict[str, Any]
Partition = dict[str, Any]

CONNECTION_OPTIONS = frozenset(
    spec["name"] for spec in option_specs() if spec["scope"] == "connection"
)


class RedisLakeflowConnect:
    """A connector to one Redis, with the methods and arguments that the framework calls.

    Unknown tables, bad options and unreachable servers raise in the call itself, not in the rows.

    Args:
        options: as for `lakeflow_redis.LakeflowConnect`, and the framework's own among them. All
            strings. Nothing is connected to yet, and the object can be pickled.

    Raises:
        ConfigurationError: an option is unknown, malformed, or contradicts another.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = own_options(options)
        self._connector = LakeflowConnect(self._options)
        # The cap is for streaming alone: a batch calls once, and would silently end there.
        self._uncapped = LakeflowConnect(_without_cap(self._options))
        self._targets: dict[str, Offset] = {}
        """By table, where a stream that is being read is to end."""

    def __getstate__(self) -> dict[str, Any]:
        # Where streams end is for one process to say.
        return self.__dict__ | {"_targets": {}}

    def __repr__(self) -> str:
        return repr(self._connector).replace("LakeflowConnect", type(self).__name__, 1)

    def list_tables(self) -> list[str]:
        """The names of all tables; needs no server."""
        return self._connector.list_tables()

    def get_table_schema(self, table_name: str, table_options: Mapping[str, str]) -> StructType:
        """The columns of a table under these options, as Spark writes them.

        Raises:
            ConfigurationError: no such table, or a bad option.
        """
        schema = self._connector.get_table_schema(table_name, self._for_read(table_options))
        return to_spark(pa.schema(schema))

    def read_table_metadata(
        self, table_name: str, table_options: Mapping[str, str]
    ) -> dict[str, Any]:
        """The `primary_keys`, `cursor_field` and `ingestion_type` of a table.

        Raises:
            ConfigurationError: no such table, or a bad option.
        """
        return dict(self._connector.read_table_metadata(table_name, self._for_read(table_options)))

    def read_table(
        self,
        table_name: str,
        start_offset: Mapping[str, Any] | None,
        table_options: Mapping[str, str],
    ) -> tuple[Iterator[Row], Offset | None]:
        """Read a table from an offset on.

        Args:
            table_name: the table.
            start_offset: None where this is the only call, of a batch: all is read then, whatever
                `max_records_per_batch` says. `{}` and any offset that came back before are a
                stream's, and up to that many entries are read.
            table_options: options for this read; those of the connection may be among them.

        Returns:
            The rows as dicts, and the offset after them: for `streams` a dict, equal to
            `start_offset` where nothing came since; for snapshots None, as the framework has it
            for tables that are read whole.

        Raises:
            ConfigurationError: no such table, a bad option or offset.
            LakeflowRedisError: as `LakeflowConnect.read_table`.
        """
        options = self._for_read(table_options)
        if start_offset is None or not self.is_partitioned(table_name):
            records, end = self._uncapped.read_table(
                table_name, start_offset, _without_cap(options)
            )
            return _rows(records), end if self.is_partitioned(table_name) else None
        end = self._next_offset(table_name, options, start_offset)
        partitions = self.get_partitions(table_name, table_options, start_offset, end)
        # One after the other: each has a connection.
        parts = (self.read_partition(table_name, part, table_options) for part in partitions)
        return chain.from_iterable(parts), end

    def is_partitioned(self, table_name: str) -> bool:
        """Whether a table can be streamed, and then in partitions; a batch of any table is.

        Raises:
            ConfigurationError: no such table.
        """
        return self._connector.read_table_metadata(table_name)["ingestion_type"] == "append"

    def latest_offset(
        self,
        table_name: str,
        table_options: Mapping[str, str],
        start_offset: Mapping[str, Any] | None = None,
    ) -> Offset:
        """The offset after all that is there now.

        With `start_offset` it is that of at most `max_records_per_batch` entries, and equal to
        `start_offset` once the stream has come to where it ended when it was first asked for: there
        a trigger that takes what is available comes to its end, however much is still written.
        After that it goes on. Before Spark 4.2 no start is passed, and nothing can be capped.

        Raises:
            ConfigurationError: no such table, a snapshot, a bad option or offset.
            LakeflowRedisError: as `LakeflowConnect.latest_offset`.
        """
        if not self.is_partitioned(table_name):
            raise ConfigurationError(
                f"table {table_name!r} is a snapshot, of which a stream would append all rows again "
                "and again; read it as a batch, and leave out `scd_type` APPEND_ONLY for it"
            )
        options = self._for_read(table_options)
        if start_offset is None:
            return self._uncapped.latest_offset(table_name, _without_cap(options), None)
        return self._next_offset(table_name, options, start_offset)

    def get_partitions(
        self,
        table_name: str,
        table_options: Mapping[str, str],
        start_offset: Mapping[str, Any] | None = None,
        end_offset: Mapping[str, Any] | None = None,
    ) -> list[Partition]:
        """What to read between two offsets, or with neither all that is there now, in parts.

        Returns:
            Small dicts for JSON, without secrets; none where nothing is to be read.

        Raises:
            ConfigurationError: no such table, a bad option or offset.
            LakeflowRedisError: as `LakeflowConnect.get_partitions`.
        """
        # What is between two offsets was capped when the second was asked for.
        options = _without_cap(self._for_read(table_options))
        return self._uncapped.get_partitions(table_name, options, start_offset, end_offset)

    def read_partition(
        self, table_name: str, partition: Mapping[str, Any], table_options: Mapping[str, str]
    ) -> Iterator[Row]:
        """Read one of the partitions that `get_partitions` gave, in any process.

        Raises:
            ConfigurationError: no such table, a bad option, or another table's partition.
            LakeflowRedisError: as `LakeflowConnect.read_partition`.
        """
        options = _without_cap(self._for_read(table_options))
        return _rows(self._uncapped.read_partition(table_name, partition, options))

    def _next_offset(
        self, table_name: str, options: dict[str, str], start: Mapping[str, Any]
    ) -> Offset:
        """The end of the next micro-batch; the start, once, where the target is reached."""
        if table_name not in self._targets:
            self._targets[table_name] = self._uncapped.latest_offset(
                table_name, _without_cap(options), start
            )
        target = self._targets[table_name]
        end = self._connector.latest_offset(table_name, options, start, target)
        if end == start:
            del self._targets[table_name]
        return end

    def _for_read(self, table_options: Mapping[str, str]) -> dict[str, str]:
        """A read's own options.

        The framework hands over the connection's options again with those of a table.
        """
        return {
            name: value
            for name, value in own_options(table_options).items()
            # One that says something else than the connection's stays, and is refused.
            if name not in CONNECTION_OPTIONS or self._options.get(name) != value
        }


def _without_cap(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name != CAP}


def _rows(records: Records) -> Iterator[Row]:
    yield from records
    log_gaps(records, LOG)


def _register() -> None:
    """Say to the framework, where it is, what it would otherwise know by inheritance.

    Without that it takes all rows by way of the driver, and repeats a failed micro-batch with
    whatever came since.
    """
    try:
        interface = import_module("databricks.labs.community_connector.interface")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("databricks"):
            raise
        return
    for name in ("LakeflowConnect", "SupportsPartitionedStream"):
        base = getattr(interface, name, None)  # Older versions do not have both.
        if base is not None:
            base.register(RedisLakeflowConnect)


_register()
