"""What the contract says of each table: its columns, keys, cursor and kind of ingestion."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: Any
    """The Arrow type under `value_type=string`."""
    key: bool = False
    """Whether it is part of the primary key."""
    raw: bool = False
    """Whether it holds the server's own bytes: Binary under `value_type=binary`."""

    def field(self, *, binary: bool) -> Any:
        """The column as an Arrow field."""
        kind = pa.binary() if binary and self.raw else self.type
        return pa.field(self.name, kind, nullable=not self.key)


@dataclass(frozen=True)
class Table:
    """One table."""

    columns: tuple[Column, ...]
    cursor_field: str | None = None
    ingestion_type: str = "snapshot"

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    @property
    def primary_keys(self) -> list[str]:
        """The columns that tell rows apart."""
        return [column.name for column in self.columns if column.key]

    def schema(self, *, binary: bool = False) -> Any:
        """The Arrow schema under `value_type=string`, or under `binary`."""
        return pa.schema([column.field(binary=binary) for column in self.columns])


def _string(name: str) -> Column:
    return Column(name, pa.string())


def _long(name: str) -> Column:
    return Column(name, pa.int64())


def _value(name: str) -> Column:
    return Column(name, pa.string(), raw=True)


_KEY_NAME = Column("key_name", pa.string(), key=True, raw=True)
_MEMBER = Column("member", pa.string(), key=True, raw=True)
_TTL = _long("ttl_seconds")
_SCANNED_AT = _long("scanned_at")

TABLES = {
    "keys": Table(
        (
            _KEY_NAME,
            _string("key_type"),
            _TTL,
            _long("memory_bytes"),
            _string("encoding"),
            _long("refcount"),
            _long("idle_time_seconds"),
            _SCANNED_AT,
        )
    ),
    "strings": Table((_KEY_NAME, _value("value"), _long("value_length"), _TTL, _SCANNED_AT)),
    "hashes": Table(
        (
            _KEY_NAME,
            Column("field", pa.string(), key=True, raw=True),
            _value("value"),
            _TTL,
            _SCANNED_AT,
        )
    ),
    "lists": Table(
        (
            _KEY_NAME,
            Column("list_index", pa.int64(), key=True),
            _value("value"),
            _long("list_length"),
            _TTL,
            _SCANNED_AT,
        )
    ),
    "sets": Table((_KEY_NAME, _MEMBER, _long("set_cardinality"), _TTL, _SCANNED_AT)),
    "sorted_sets": Table(
        (
            _KEY_NAME,
            _MEMBER,
            Column("score", pa.float64()),
            _long("rank"),
            _long("zset_cardinality"),
            _TTL,
            _SCANNED_AT,
        )
    ),
    "streams": Table(
        (
            _KEY_NAME,
            Column("entry_id", pa.string(), key=True),
            _value("fields"),
            _long("timestamp_ms"),
            _long("sequence"),
            _TTL,
        ),
        cursor_field="entry_id",
        ingestion_type="append",
    ),
    "server_info": Table(
        (
            Column("section", pa.string(), key=True),
            Column("property", pa.string(), key=True),
            # The server's text about itself, not a value of a key.
            _string("value"),
            _long("collected_at"),
        )
    ),
}
"""The tables, in the order of `list_tables()`."""

CONTENT_TABLES = ["strings", "hashes", "lists", "sets", "sorted_sets", "streams"]
"""The tables whose rows come out of keys of one type."""
