"""A table's place in the lake: the folder, the Delta table in it, and commits to that."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.add_actions import now, place_files
from lakeflow_redis.ingest.columns import Fit, fit
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import Place
from lakeflow_redis.ingest.statistics import statistics_of
from lakeflow_redis.ingest.store import Store

LOG = "_delta_log"
"""The folder in a Delta table that makes it one."""

LOG_ENTRY = re.compile(r"\d{20}\.")
"""How the names begin in there of commits and checkpoints."""

LEFT = re.compile(rf"part-.*\.parquet|{LOG}")
"""What a run of ours may have left where it made no table."""

KNOWN_FEATURES = {"appendOnly", "invariants"}
"""Delta table features that plain files and commits do not break."""

PLAIN_WRITER_VERSION = 2
"""The Delta writer version up to which there are no other features than those."""

LISTING_WRITER_VERSION = 7
"""The version from which a table lists its features by name; between the two, it need not."""

NO_RETRIES = 0
"""For commits that remove files. Where another commit removed the same ones meanwhile, as a compaction does,
deltalake would try again and succeed: their rows would be there twice."""

RUN = "lakeflow_redis.run_id"
"""What `DeltaTable.history` calls the run that made a commit."""

LOOKED_AT = 20
"""The last commits among which a run looks for its own."""


class LakeTable:
    """One table's folder in the lake, looked at once, when this object is made.

    Commits are checked against what it held then: where another run has committed since,
    this one's commit fails.

    Args:
        place: where, by which run, and whether columns may change.
        schema: the columns that are to land.
        replaced: whether all rows that are there will be replaced, so that any columns may.
        needed: columns that a table must have had from its first row on.

    Raises:
        ConfigurationError: the folder is not usable, holds something else, or holds a Delta
            table with other columns. Nothing has been written.
        LakeError: the Delta table cannot be read.
    """

    def __init__(
        self, place: Place, schema: pa.Schema, *, replaced: bool, needed: Sequence[str] = ()
    ) -> None:
        self.store = place.store
        self.schema = schema
        self._run_id = place.run.id
        self._evolve = place.evolve
        self._replaced = replaced
        self._needed = needed
        self._delta_schema = Schema.from_arrow(schema)
        self.delta = self._open(ours=place.is_ours())
        """The Delta table, or None where there is none yet."""

    @property
    def version(self) -> int | None:
        """The Delta table's version, or None where there is none yet."""
        return None if self.delta is None else self.delta.version()

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Delta table's columns, which may be more than those that land."""
        return self.schema if self.delta is None else pa.schema(self.delta.schema())

    def files(self, condition: pc.Expression | None = None) -> list[str]:
        """The names of the Delta table's files, but for those that by their statistics hold no such row."""
        if self.delta is None:
            return []
        with self.store.failing(f"{self.store} cannot be read as a Delta table"):
            found = self.delta.to_pyarrow_dataset().get_fragments(condition)
            return [file.path for file in found]

    def transaction_version(self, app_id: str) -> int | None:
        """The version that an application's last commit named, or None.

        Raises:
            LakeError: there are rows, but no such commit.
        """
        if self.delta is None:
            return None
        version = self.delta.transaction_version(app_id)
        if version is None and self.delta.file_uris():
            raise LakeError(
                f"{self.store} holds rows, but no commit that says where they ended "
                f"({app_id}); appending could repeat them. Land into another folder"
            )
        return version

    def check_removable(self, mode: str) -> None:
        """See whether rows may go.

        Args:
            mode: by which they would.

        Raises:
            ConfigurationError: the table says that none may.
        """
        said = {} if self.delta is None else self.delta.metadata().configuration
        if said.get("delta.appendOnly") == "true":
            raise ConfigurationError(
                f"{self.store} is only to be appended to (`delta.appendOnly`), and cannot land by `{mode}`"
            )

    def next_transaction(self, app_id: str) -> Transaction:
        """An application transaction by which, of two runs at once, only one can commit."""
        last = None if self.delta is None else self.delta.transaction_version(app_id)
        return Transaction(app_id, 0 if last is None else last + 1)

    def place(self, files: Sequence[Path]) -> list[AddAction]:
        """Give complete files their place in the table's folder; no commit names them yet.

        Returns:
            An action for each, to commit.

        Raises:
            LakeError: the store cannot be written to.
            OSError: likewise, in a folder of this machine.
        """
        return place_files(self.store, files, statistics_of)

    def commit(
        self,
        added: Sequence[AddAction],
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
        properties = CommitProperties(
            app_transactions=[transaction] if transaction else None,
            custom_metadata={RUN: self._run_id},
            max_commit_retries=None if mode == "append" else NO_RETRIES,
        )
        with self.committing():
            if self.delta is None:
                # Fails where a table appeared since: `mode` is not the mode of the write.
                create_table_with_add_actions(
                    self.store.uri,
                    self._delta_schema,
                    [*added],
                    mode="error",
                    storage_options=self.store.storage_options,
                    commit_properties=properties,
                )
                self.delta = self._load()
            else:
                self.delta.create_write_transaction(
                    [*added], mode, self._committed_schema(), commit_properties=properties
                )
                self.delta.update_incremental()
        return self.delta.version()

    def exchange(
        self,
        added: Sequence[AddAction],
        removed: Sequence[str],
        transaction: Transaction,
        metrics: Mapping[str, int],
    ) -> int:
        """Put files in the place of others, in one commit, and make the table itself if need be.

        Args:
            added: the files; they must be there, complete.
            removed: paths of those that they replace; they stay where they are, for time travel.
            transaction: the application transaction that the commit carries.
            metrics: what `DeltaTable.history` is to say of it.

        Returns:
            The Delta table's version now.

        Raises:
            LakeError: anybody committed meanwhile, or the commit failed.
        """
        if self.delta is None:
            return self.commit(added, "append", transaction)
        sizes = self._sizes()
        moment = now()
        actions = [RemoveAction(path, True, moment, sizes[path], {}) for path in removed]  # noqa: FBT003 - deltalake's own.
        properties = CommitProperties(
            app_transactions=[transaction],
            custom_metadata={
                RUN: self._run_id,
                "operationMetrics": {name: str(n) for name, n in metrics.items()},
            },
            max_commit_retries=NO_RETRIES,
        )
        with self.committing():
            self.delta.create_write_transaction(
                [*added, *actions], "append", self.delta.schema(), commit_properties=properties
            )
            self.delta.update_incremental()
        return self.delta.version()

    def widen(self) -> bool:
        """Add the columns that the rows have and the table has not, in a commit of its own.

        Returns:
            Whether there were any.

        Raises:
            LakeError: another run committed meanwhile, or the commit failed.
        """
        if self.delta is None or self._replaced:
            return False
        added = fit(self.delta.schema(), self._delta_schema).added
        if added:
            with self.committing():
                # Not in the name of this run, or it would be taken for the commit of its rows.
                # And not over what another run has committed: this one would go on from there as if it had
                # begun after that, and append the same entries once more.
                self.delta.alter.add_columns(
                    added, commit_properties=CommitProperties(max_commit_retries=NO_RETRIES)
                )
        return bool(added)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """What deltalake raises when a commit fails, in our words, unless it has landed all the same.

        A store that was not heard to have taken it is asked once more, and says that it is there.
        """
        try:
            with self.store.failing(f"the commit to {self.store} failed"):
                yield
        except LakeError as error:
            found, landed = self._look_again()
            if landed:
                self.delta = found
            elif self.delta is None and found is not None:
                raise LakeError(
                    f"another run has made {self.store} meanwhile; nothing of this one was committed. Run it again"
                ) from error
            else:
                raise

    def _look_again(self) -> tuple[DeltaTable | None, bool]:
        """The Delta table by now, and whether this run has committed to it."""
        try:
            with self.store.failing(f"{self.store} cannot be read as a Delta table"):
                if not is_delta_table(self.store):
                    return None, False
                table = self._load()
                return table, any(
                    each.get(RUN) == self._run_id for each in table.history(LOOKED_AT)
                )
        except LakeError:
            return None, False  # Then why the commit failed is the better thing to say.

    def _sizes(self) -> dict[str, int]:
        assert self.delta is not None  # noqa: S101 - as its caller has seen.
        there = pa.table(self.delta.get_add_actions(flatten=True))
        paths, sizes = there.column("path").to_pylist(), there.column("size_bytes").to_pylist()
        return dict(zip(paths, sizes, strict=True))

    def _committed_schema(self) -> Schema:
        """The table's own, since it may take nulls where we have none, unless that changes."""
        assert self.delta is not None  # noqa: S101 - as its caller has seen.
        there = self.delta.schema()
        changes = self._replaced and bool(fit(there, self._delta_schema).words)
        return self._delta_schema if changes else there

    def _load(self) -> DeltaTable:
        return DeltaTable(self.store.uri, storage_options=self.store.storage_options)

    def _open(self, *, ours: bool) -> DeltaTable | None:
        if not is_delta_table(self.store):
            # A run that was killed before its first commit leaves files, which are its own.
            names = sorted(self.store.names())
            if others := [name for name in names if not (ours and LEFT.fullmatch(name))]:
                raise ConfigurationError(
                    f"{self.store} holds something that is not a Delta table ({others[0]}); land "
                    "into another folder, or move it away"
                )
            return None
        with self.store.failing(f"{self.store} cannot be read as a Delta table"):
            table = self._load()
        self._check_features(table)
        if lacking := set(self._needed) - {field.name for field in table.schema().fields}:
            # Not even with `evolve`: what its rows have there, nobody could say.
            raise ConfigurationError(
                f"{self.store} lacks `{min(lacking)}`, which such a table has from its first row on; land "
                "under another name"
            )
        self._check_columns(fit(table.schema(), self._delta_schema), ours=ours)
        return table

    def _check_features(self, table: DeltaTable) -> None:
        protocol = table.protocol()
        version = protocol.min_writer_version
        unknown = set(protocol.writer_features or ()) - KNOWN_FEATURES
        if table.metadata().partition_columns:
            unknown.add("partitions")
        if unknown or PLAIN_WRITER_VERSION < version < LISTING_WRITER_VERSION:
            what = ", ".join(sorted(unknown)) or f"writer version {version}"
            raise ConfigurationError(
                f"{self.store} is a Delta table with features that lakeflow-redis does not "
                f"write ({what}); land into another folder"
            )

    def _check_columns(self, found: Fit, *, ours: bool) -> None:
        if not found.words or (self._evolve and ours and (self._replaced or not found.refused)):
            return
        if not ours:
            raise ConfigurationError(
                f"{self.store} is a Delta table of other columns in which no run of ours was before: "
                f"{', '.join(found.words)}. Land into another folder, or under another name"
            )
        if self._evolve:
            raise ConfigurationError(
                f"{self.store} has other columns than this read gives, in a way that rows cannot be "
                f"added across: {', '.join(found.refused)}. Read with the options that it was landed "
                "with, land by `replace`, or under another name"
            )
        raise ConfigurationError(
            f"{self.store} has other columns than this read gives: {', '.join(found.words)}. "
            "Read with the options that it was landed with (`columns`, `value_type`, "
            "`invalid_utf8`, and of several databases `db` or `sync_rules` change them, and "
            "a cluster those of `server_info`), let the table change with `evolve`, or land into "
            "another folder"
        )


def is_delta_table(store: Store) -> bool:
    """Whether there is a Delta table in a folder.

    Not by deltalake, which holds up all of Python, Ctrl-C too, until a store has answered.

    Raises:
        LakeError: the store does not say.
    """
    return any(map(LOG_ENTRY.match, store.within(LOG).names()))


def check_lake(store: Store) -> None:
    """Check the folder that the tables' folders are to be in.

    Raises:
        ConfigurationError: it is itself a Delta table, which would take the tables in it for its
            own orphaned files.
        LakeError: the folder cannot be looked at, as where the store is not to be reached.
    """
    if is_delta_table(store):
        raise ConfigurationError(
            f"{store} is itself a Delta table; land into a folder that holds none, such as "
            "the one above it"
        )
