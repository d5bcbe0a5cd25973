"""A table's place in the lake: the folder, the Delta table in it, and commits to that."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.errors import LakeError

OWN_FOLDER = "_lakeflow"
"""Beside the tables' folders; Delta readers and Spark ignore names that begin with `_`."""

KNOWN_FEATURES = {"appendOnly", "invariants"}
"""Delta table features that plain files and commits do not break."""

PLAIN_WRITER_VERSION = 2
"""The Delta writer version up to which there are no other features than those."""

LISTING_WRITER_VERSION = 7
"""The version from which a table lists its features by name; between the two, it need not."""


class LakeTable:
    """One table's folder in the lake, looked at once, when this object is made.

    Commits are checked against what it held then: where another run has committed since,
    this one's commit fails.

    Args:
        lake: the folder of the lake, which need not exist.
        name: the table's name, and its folder's.
        schema: the columns that are to land.

    Raises:
        ConfigurationError: the folder is not usable, holds something else, or holds a Delta
            table with other columns. Nothing has been written.
        LakeError: the Delta table cannot be read.
    """

    def __init__(self, lake: Path, name: str, schema: pa.Schema) -> None:
        self.folder = lake / name
        self.own_folder = lake / OWN_FOLDER / name
        """For what lakeflow-redis itself keeps about the table."""
        self.schema = schema
        self._uri = self.folder.absolute().as_uri()
        self._delta_schema = Schema.from_arrow(schema)
        self._delta = self._open()

    @property
    def version(self) -> int | None:
        """The Delta table's version, or None where there is none yet."""
        return None if self._delta is None else self._delta.version()

    def transaction_version(self, app_id: str) -> int | None:
        """The version that an application's last commit named, or None.

        Raises:
            LakeError: there are rows, but no such commit.
        """
        if self._delta is None:
            return None
        version = self._delta.transaction_version(app_id)
        if version is None and self._delta.file_uris():
            raise LakeError(
                f"{self.folder} holds rows, but no commit that says where they ended "
                f"({app_id}); appending could repeat them. Land into another folder"
            )
        return version

    def claim(self) -> None:
        """Mark the folder as ours, so that what a killed run leaves in it is known as such.

        Raises:
            OSError: the lake cannot be written to.
        """
        self.own_folder.mkdir(parents=True, exist_ok=True)

    def commit(
        self,
        added: list[AddAction],
        mode: Literal["append", "overwrite"],
        transaction: Transaction | None = None,
    ) -> int:
        """Make files part of the table, in one commit, and the table itself if need be.

        Args:
            added: the files; they must be there, complete.
            mode: whether they join what is there or replace it.
            transaction: the application transaction that the commit carries.

        Returns:
            The Delta table's version now.

        Raises:
            LakeError: another run committed meanwhile, or the commit failed.
        """
        properties = CommitProperties(app_transactions=[transaction] if transaction else None)
        with _lake_errors(f"the commit to {self.folder} failed"):
            if self._delta is None:
                # Fails where a table appeared since: `mode` is not the mode of the write.
                create_table_with_add_actions(
                    self._uri,
                    self._delta_schema,
                    added,
                    mode="error",
                    commit_properties=properties,
                )
                self._delta = DeltaTable(self._uri)
            else:
                # With the table's own schema, since it may take nulls where we have none.
                self._delta.create_write_transaction(
                    [*added], mode, self._delta.schema(), commit_properties=properties
                )
                self._delta.update_incremental()
        return self._delta.version()

    def _open(self) -> DeltaTable | None:
        _check_path(self.folder)
        if not DeltaTable.is_deltatable(self._uri):
            self._check_free()
            return None
        with _lake_errors(f"{self.folder} cannot be read as a Delta table"):
            table = DeltaTable(self._uri)
        self._check_features(table)
        self._check_columns(table)
        return table

    def _check_free(self) -> None:
        # A run that was killed before its first commit leaves files, which are its own.
        if self.folder.exists() and any(self.folder.iterdir()) and not self.own_folder.exists():
            raise ConfigurationError(
                f"{self.folder} holds something that is not a Delta table; land into another "
                "folder, or move it away"
            )

    def _check_features(self, table: DeltaTable) -> None:
        protocol = table.protocol()
        version = protocol.min_writer_version
        unknown = set(protocol.writer_features or ()) - KNOWN_FEATURES
        if table.metadata().partition_columns:
            unknown.add("partitions")
        if unknown or PLAIN_WRITER_VERSION < version < LISTING_WRITER_VERSION:
            what = ", ".join(sorted(unknown)) or f"writer version {version}"
            raise ConfigurationError(
                f"{self.folder} is a Delta table with features that lakeflow-redis does not "
                f"write ({what}); land into another folder"
            )

    def _check_columns(self, table: DeltaTable) -> None:
        differences = _differences(table.schema(), self._delta_schema)
        if differences:
            raise ConfigurationError(
                f"{self.folder} has other columns than this read gives: {', '.join(differences)}. "
                "Read with the options that it was landed with (`columns`, `value_type`, "
                "`invalid_utf8`, and of several databases `db` or `sync_rules` change them, and "
                "a cluster those of `server_info`), or land into another folder"
            )


def check_lake(lake: Path) -> None:
    """Check the folder that the tables' folders are to be in.

    Raises:
        ConfigurationError: it is not a folder, or it is itself a Delta table, which would take
            the tables in it for its own orphaned files.
    """
    _check_path(lake)
    if DeltaTable.is_deltatable(lake.absolute().as_uri()):
        raise ConfigurationError(
            f"{lake} is itself a Delta table; name the folder that the tables are to be in"
        )


def _check_path(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"{path} is not a folder")
    absolute = str(path.absolute())
    if unquote(absolute) != absolute:
        # deltalake 1.6 decodes such a name once too often, and finds nothing there.
        raise ConfigurationError(f"{path} has a percent-escape in it, which deltalake misreads")


def _differences(there: Schema, here: Schema) -> list[str]:
    """What keeps rows of a schema out of a table, column by column."""
    ours, theirs = ({field.name: field for field in schema.fields} for schema in (here, there))
    return [
        f"`{name}` is {_type(theirs.get(name))} there and {_type(ours.get(name))} here"
        for name in {**theirs, **ours}
        if not _fits(ours.get(name), theirs.get(name))
    ]


def _fits(ours: Field | None, theirs: Field | None) -> bool:
    return (
        ours is not None
        and theirs is not None
        and ours.type == theirs.type
        # A column of the table may take nulls though we have none, but not the reverse.
        and (theirs.nullable or not ours.nullable)
    )


def _type(field: Field | None) -> str:
    if field is None:
        return "missing"
    return field.type.to_json().strip('"') + ("" if field.nullable else " not null")


@contextmanager
def _lake_errors(what: str) -> Iterator[None]:
    try:
        yield
    except CommitFailedError as error:
        raise LakeError(
            f"{what}, since another run has committed to it meanwhile; nothing of this one was "
            f"committed. Run it again ({_first_line(error)})"
        ) from error
    except DeltaError as error:
        raise LakeError(f"{what}: {_first_line(error)}") from error


def _first_line(error: DeltaError) -> str:
    """Without the trace of deltalake's own insides that some of its errors go on with."""
    return str(error).partition("\n")[0]
