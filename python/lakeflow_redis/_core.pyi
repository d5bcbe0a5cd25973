"""The compiled core: a connector, what it reads, and the table of its options."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, final

import pyarrow as pa

from lakeflow_redis.shapes import Inspection, Metadata, OptionSpec

__all__ = [
    "KeySelection",
    "LakeflowConnect",
    "Records",
    "Schema",
    "TableBatches",
    "__version__",
    "acl_rules",
    "option_specs",
    "sentinel_acl_rules",
]

__version__: str

def option_specs() -> list[OptionSpec]:
    """The table of options, in the order in which to show them."""

def acl_rules(
    table_names: Sequence[str],
    key_patterns: Sequence[str],
    *,
    redis: str = "7.0",
    mode: str = "standalone",
    read_from: str = "primary",
    selects: bool = False,
) -> list[str]:
    """The rules for `ACL SETUSER` that just suffice to read tables, without a password.

    Args:
        table_names: the tables that the user is to read.
        key_patterns: globs of the keys, one rule each.
        redis: the server's version, 6.0 or later; before 7.0 rules know no reading alone.
            Valkey has the rules of 7.2.
        mode: as the option: `standalone`, `cluster` or `sentinel`.
        read_from: as the option.
        selects: whether databases other than 0 are read.

    Raises:
        ConfigurationError: no such table, or a pattern or version that no rule can be of.
    """

def sentinel_acl_rules() -> list[str]:
    """The rules for `ACL SETUSER` that just suffice at Sentinels, without a password."""

@final
class Schema:
    """The columns of a table, for anything that speaks Arrow: `pyarrow.schema(schema)`."""

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""

    def __arrow_c_schema__(self) -> object:
        """The Arrow PyCapsule protocol: a `arrow_schema` capsule."""

    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class KeySelection:
    """Which keys the options choose, by `LakeflowConnect.key_selection`."""

    @property
    def text(self) -> str:
        """What `key_pattern` or `sync_rules` says, with what references stand for."""

    @property
    def databases(self) -> list[int] | None:
        """The databases that `sync_rules` name, or None where those of the option `db` are read."""

    def takes(self, db: int, name: bytes, key_type: str) -> bool:
        """Whether a key is among them: its database, of those that are read, name and TYPE."""

@final
class Records:
    """What a read came to: rows that arrive from the server as they are consumed.

    One pass over the rows needs bounded memory: `for row in records`, `records.batches()`,
    or handing the object to pyarrow, polars, duckdb, pandas or deltalake, which take it by
    the Arrow C stream interface without a copy. `len(records)` reads what is left and keeps
    it; asked before the first pass, every kind of pass can then be made as often as one likes.

    Errors during a pass are raised as `lakeflow_redis` exceptions by this class' own
    iterators. Consumers behind the C stream interface see only their text; `error` then
    holds the exception itself.
    """

    @property
    def schema(self) -> Schema:
        """The columns. Reads nothing."""

    @property
    def receipt(self) -> dict[str, Any]:
        """What has happened so far; final once the stream has ended (`complete` is True).

        Keys, all counts unless said otherwise:

        - `table` (str), `complete` (bool), `seconds` (float, since the read began)
        - `share_scanned`: how far the read has come, a float that never grows less: the share of
          the keyspace that SCAN has gone through, by its cursors, and of `streams` that of the
          entries to read. At most 0.99 until the read is complete, and then 1.0. None where
          that cannot be told: before the first page, where nothing is scanned, as for
          `server_info`, where a server's cursors are of no known kind, and where it does not
          say how many entries came
        - `rows`: rows handed over or ready to be; `bytes`: reply bytes that they were made of
        - `keys_scanned`: keys that SCAN named, `duplicates_dropped`: those it named again; a key that
          was not read since its node was lost counts once more when another pass names it
        - `keys_gone`: keys that were gone by the time they were read
        - `keys_changed_type`: keys that had become another type by then
        - `keys_denied`: keys that the user may not read, left out because of `on_denied=skip`
        - `keys_paged`: keys too large for one reply, read in several
        - `keys_inconsistent`: those of them whose rows may be of several moments, since they
          changed each time they were read (by WATCH), or since the server would not tell
        - `rows_skipped`: rows left out because of `invalid_utf8=skip`
        - `values_replaced`: values altered or nulled because of `invalid_utf8=replace|null`
        - `retries`: how often something that failed was tried again, within `retry_deadline`; tables
          that are read together show the same
        - `warnings`: list of str
        - `gaps`: list of entries of streams that are lost, where `fail_on_data_loss=false`: dicts
          with `db`, `key_name`, `why` ("trimmed", "gone", "created anew" or "went back"), `after`
          (the last id that had been read before, or None where the stream went during the read)
          and `entries` (how many, or None where the server does not tell)
        """

    @property
    def error(self) -> Exception | None:
        """The exception that ended the stream early, or None."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """One pass over the rows as record batches of at most about 64 k rows or 8 MiB.

        Raises:
            ConsumedError: the stream was read already and not kept by `len()`.
            LakeflowRedisError: the read failed; see `lakeflow_redis.exceptions`.
        """

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """One pass over the rows as dicts, in the columns' order. Raises as `batches()`."""

    def __len__(self) -> int:
        """The number of rows. Reads the rest of the stream and keeps it."""

    def __bool__(self) -> bool:
        """Whether there is any row. Reads ahead at most one batch, and loses none."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule protocol: a `arrow_array_stream` capsule over one pass."""

    def __arrow_c_schema__(self) -> object:
        """The Arrow PyCapsule protocol: the columns as an `arrow_schema` capsule."""

    def _repr_html_(self) -> str:
        """The columns with the first rows, for a notebook. Reads ahead at most one batch."""

@final
class TableBatches:
    """What a read of several tables came to: their record batches, as they come out of one scan.

    One pass, in bounded memory: `for table, batch in tables`. Batches of different tables come
    in any order.
    """

    @property
    def schemas(self) -> dict[str, Schema]:
        """The columns of each table. Reads nothing."""

    @property
    def receipts(self) -> dict[str, dict[str, Any]]:
        """What has happened so far with each table; see `Records.receipt`."""

    def __iter__(self) -> Self:
        """Itself.

        Raises:
            ConsumedError: the batches were read already.
        """

    def __next__(self) -> tuple[str, pa.RecordBatch]:
        """The name of a table, and its next batch of at most about 64 k rows or 8 MiB.

        Raises:
            LakeflowRedisError: the read failed; see `lakeflow_redis.exceptions`. None of the
                tables is complete then.
        """

    def read_all(self) -> dict[str, pa.Table]:
        """Read what is left into a pyarrow table for each that was asked for.

        Raises:
            ConsumedError: the batches were read already.
            LakeflowRedisError: as above.
        """

@final
class LakeflowConnect:
    """A connector to one Redis: a server, a cluster, or what Sentinels watch.

    Args:
        options: strings, as Spark and Unity Catalog hand them over; see `option_specs()`.
            `{{ NAME }}` inside a value stands for the environment variable NAME, read each
            time the connector connects; only the reference is kept and pickled.

    Raises:
        ConfigurationError: an option is unknown (the nearest name is offered), malformed,
            or contradicts another. Nothing is connected to yet.
    """

    def __new__(cls, options: Mapping[str, str]) -> Self: ...
    def test_connection(self) -> dict[str, str]:
        """Connect, authenticate and ask for the server's version (`INFO server`).

        Returns:
            `{"status": "success" | "error", "message": ...}`. Never raises for the server's
            sake: unreachable, refused credentials and not permitted differ in the message.
        """

    def inspect(self) -> Inspection:
        """Find out what is there and what the user may read of it, without reading it.

        Sends INFO and, on a key that is none, each command that a read may send.

        Raises:
            RedisConnectionError: a server cannot be reached.
            AuthenticationError: it refused the credentials.
            PermissionDeniedError: the user may not even ask what the server is.
            TopologyChangedError: the nodes do not agree on which of them has which keys.
        """

    @staticmethod
    def list_tables() -> list[str]:
        """The names of all tables; needs no server."""

    def get_table_schema(
        self, table_name: str, table_options: Mapping[str, str] | None = None
    ) -> Schema:
        """The columns of a table under these options.

        Needs no server, but for `server_info` where the option `mode` is `auto`: of a cluster it
        has a column `node`. Where several databases are read, tables of keys have a column `db`.

        Raises:
            ConfigurationError: no such table, or a bad option.
            LakeflowRedisError: the server had to be asked, and that failed.
        """

    def read_table_metadata(
        self, table_name: str, table_options: Mapping[str, str] | None = None
    ) -> Metadata:
        """Primary keys, cursor field and ingestion type of a table.

        Raises:
            ConfigurationError: no such table, or a bad option.
            LakeflowRedisError: as `get_table_schema`.
        """

    def key_selection(self, table_options: Mapping[str, str] | None = None) -> KeySelection:
        """Which keys the options choose; needs no server.

        Raises:
            ConfigurationError: a bad option.
        """

    def read_table(
        self,
        table_name: str,
        start_offset: Mapping[str, Any] | None = None,
        table_options: Mapping[str, str] | None = None,
    ) -> tuple[Records, dict[str, Any]]:
        """Read a table from an offset on.

        Snapshot tables are read whole whatever the offset; theirs is `{"scanned_at": <s>}`.
        `streams` gives the entries after `start_offset` up to an end that is fixed before
        this returns, and that is the offset returned: pass it in to read on. `None` and
        `{}` mean from the beginning; `{"entry_id": "<ms>-<seq>"}` means after that id in
        every stream.

        Returns:
            The records, which arrive as they are consumed, and the offset after them: a
            JSON-able dict with sorted keys.

        Raises:
            ConfigurationError: no such table, a bad option, a malformed offset, or one of
                another table or database.
            RedisConnectionError: the server cannot be reached.
            TlsError: the connection cannot be encrypted, or the server not be trusted.
            AuthenticationError: it refused the credentials.
            PermissionDeniedError: the user may not do what the read needs.
            TopologyChangedError: slots of a cluster are nobody's, or moving all the time. While
                the records are consumed: keys moved, and cannot be read once each any more.
            DataLossError: entries of a stream were lost since the offset, and `fail_on_data_loss`
                is not `false`; while the records are consumed: some went meanwhile.
        """

    def read_tables(
        self,
        table_names: Iterable[str],
        start_offsets: Mapping[str, Mapping[str, Any] | None] | None = None,
        table_options: Mapping[str, str] | None = None,
    ) -> tuple[TableBatches, dict[str, dict[str, Any]]]:
        """Read several tables, going through the server's keys once.

        Where `keys` is among them, it finds out each key's type and time to live for the others.
        Planning `streams` takes a scan of its own.

        Args:
            table_names: the tables, each once.
            start_offsets: by table, as for `read_table`; one that is left out is None.
            table_options: options for reading all of them, over the connector's.

        Returns:
            The tables' batches, which arrive as they are consumed, and the offset after each
            table.

        Raises:
            ConfigurationError: as `read_table`; also for a table that is named twice, or for an
                offset of a table that is not to be read.
            LakeflowRedisError: as `read_table`.
        """

    def latest_offset(
        self,
        table_name: str,
        table_options: Mapping[str, str] | None = None,
        start_offset: Mapping[str, Any] | None = None,
        end_offset: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The offset after what is there now, as `read_table` would return it, without reading.

        For `streams` it is how far they reach or, with `max_records_per_batch`, as far as so many
        entries; equal to `start_offset`, as JSON text, where nothing came since. No stream is
        gone through further than `end_offset` says, and one that came later is left where it is: so
        a reader that goes on from offset to offset comes to an end while others write. That of
        a snapshot table is always new.

        Raises:
            LakeflowRedisError: as `read_table` does before it returns.
        """

    def get_partitions(
        self,
        table_name: str,
        table_options: Mapping[str, str] | None = None,
        start_offset: Mapping[str, Any] | None = None,
        end_offset: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Divide a read into parts that other processes can read, by `read_partition`.

        Snapshot tables are divided by node, by database and, in a server that is no cluster's, into
        `num_partitions` shares of the keyspace, by the order of SCAN's cursors: each key that is
        there throughout is in exactly one of them. There are fewer where there are few keys, and
        one where a server's cursors are of another kind. `streams` are divided by node and database,
        and their entries between the two offsets into `num_partitions` parts by stream and, of a
        long one, by entry id.

        Args:
            table_name: the table.
            table_options: options for this read, over the connector's; `read_partition` must be
                given the same.
            start_offset: as for `read_table`.
            end_offset: what `latest_offset` or a read of streams returned; None for what is there
                now.

        Returns:
            JSON-able dicts without anything secret. For `streams` none where nothing came.

        Raises:
            TopologyChangedError: slots of a cluster are just moving.
            LakeflowRedisError: as `read_table`.
        """

    def read_partition(
        self,
        table_name: str,
        partition: Mapping[str, Any],
        table_options: Mapping[str, str] | None = None,
    ) -> Records:
        """Read a part of a read, in this process or any other.

        A part of `streams` can be read again, and gives the same rows or an error.

        Raises:
            ConfigurationError: no such table, a bad option, or no partition of this table.
            TopologyChangedError: the servers are not as they were when the read was divided (another
                process, other slots), or change while the records are consumed: divide it again.
            DataLossError: entries of the range were lost since it was planned.
            LakeflowRedisError: as `read_table`.
        """

    def _repr_html_(self) -> str:
        """The tables of this connector, for a notebook; needs no server."""
