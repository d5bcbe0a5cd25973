"""`RedisLakeflowConnect`: the connector by the framework's contract."""

import json
import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from lakeflow_redis._core import LakeflowConnect, Records, option_specs
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.lakeflow.framework_options import own_options

LOG = logging.getLogger("lakeflow_redis.lakeflow")

Row = dict[str, Any]
Offset = dict[str, Any]
Partition = dict[str, Any]

CAP = "max_records_per_batch"
"""For streaming alone: a batch calls once, and would silently end where the cap does."""

READ_ON = frozenset({"streams"})
"""The tables that are read on from an offset; all others are snapshots."""

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
        uncapped = {name: value for name, value in self._options.items() if name != CAP}
        self._uncapped = LakeflowConnect(uncapped)

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
        return from_arrow_schema(pa.schema(schema))

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
        if start_offset is None:
            records, end = self._uncapped.read_table(table_name, None, _without_cap(options))
        else:
            records, end = self._connector.read_table(table_name, start_offset, options)
        return _rows(records), end if table_name in READ_ON else None

    def is_partitioned(self, table_name: str) -> bool:
        """Whether a table can be streamed, and then in partitions; a batch of any table is.

        Raises:
            ConfigurationError: no such table.
        """
        if table_name not in self.list_tables():
            self._connector.read_table_metadata(table_name)  # Which says so, and what there is.
        return table_name in READ_ON

    def latest_offset(
        self,
        table_name: str,
        table_options: Mapping[str, str],
        start_offset: Mapping[str, Any] | None = None,
    ) -> Offset:
        """The offset after all that is there now.

        With `start_offset` it is that of at most `max_records_per_batch` entries, and equal to
        `start_offset` where nothing came since. Before Spark 4.2 none is passed, and nothing can
        be capped.

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
        return self._connector.latest_offset(table_name, options, start_offset)

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


def _without_cap(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name != CAP}


def _rows(records: Records) -> Iterator[Row]:
    yield from records
    # Nobody else here sees the receipt, and `fail_on_data_loss=false` is no wish not to know.
    if gaps := records.receipt["gaps"]:
        LOG.warning("entries of streams are lost, and were passed over: %s", json.dumps(gaps))


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
