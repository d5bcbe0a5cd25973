"""Landing in a Delta table by what changed: as a merge, or as a history."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest import positions
from lakeflow_redis.ingest.changes import Comparison, comparing
from lakeflow_redis.ingest.data_files import DataFiles
from lakeflow_redis.ingest.delta_table import LakeTable
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import Landed, Landing, Place
from lakeflow_redis.ingest.model import Changes, Mode

SMALL_FILE_BYTES = 16 * 2**20
"""Where a file ends whose rows will change: each change writes a whole file anew."""

VALID_FROM = "valid_from"
VALID_TO = "valid_to"
"""Columns of a history: since when a row was seen to be so, and until when; null as long as it is."""

MOMENT = pa.timestamp("us", tz="UTC")


class DeltaMerge(Landing):
    """Updates rows that changed, inserts new ones, and deletes those that are gone.

    All rows that were read are compared with those that are there first. Files with rows that changed or
    are gone are written anew, in which the others stay as they were; the other files stay.

    `DeltaTable.merge` would do this too, but it reads everything that is there once more, makes ever larger
    files of those that it writes anew, takes more memory the larger these are, and holds back Ctrl-C until it is done.
    """

    mode: ClassVar[Mode] = "merge"
    target_bytes: ClassVar[int | None] = SMALL_FILE_BYTES
    ended: ClassVar[str | None] = None
    """A column that is null in the rows that are compared; None where all are."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Columns that are ours, and that no table can get later."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        _check_primary_keys(place, self.mode)
        self._table = LakeTable(place, self.schema, replaced=False, needed=self.needed)
        self._table.check_removable(self.mode)
        self._copied = 0

    def _commit(self) -> Landed:
        """Commit what differs."""
        self._written.finish()
        read = self._written.paths
        comparison = Comparison(
            self._written.folder,
            self.rows,
            self.schema,
            self.place.primary_keys,
            self._uncounted(),
        )
        what = f"{self.place.store} could not be compared with what was read"
        with self.place.store.failing(what), comparing(comparison) as rows:
            dropped = rows.take(read, may_repeat=self._may_repeat())
            if self._table.delta is None and not dropped:
                return self._exchange(self._written, [], Changes(inserted=self.rows))
            is_wider = self._table.widen()
            there = self._there()
            opened = map(self.place.store.open, there)
            changes = rows.with_those(opened, self._table.arrow_schema, self.ended)
            if self._table.delta is not None and changes == Changes():
                return Landed(self._table.version, committed=is_wider, changes=changes)
            with DataFiles(
                self._written.folder, self._table.arrow_schema, self.target_bytes
            ) as files:
                batches = chain(self._kept(rows, there), self._new(rows, read))
                for batch in positions.gathered(batches):
                    files.write(batch)
                files.finish()
                rewritten = [there[number] for number in rows.files("old")]
                return self._exchange(files, rewritten, changes)

    def _may_repeat(self) -> bool:
        """Whether a row can have come twice because its key changed meanwhile, and only because of that."""
        receipt = self._receipt
        return bool(receipt["keys_inconsistent"]) and not receipt["values_replaced"]

    def _uncounted(self) -> frozenset[str]:
        """Columns of ours, which are not compared."""
        return frozenset()

    def _there(self) -> list[str]:
        """The files with the rows that are compared."""
        return self._table.files()

    def _kept(self, rows: Comparison, there: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """What stays of the files with rows that differ."""
        for number in rows.files("old"):
            differing = rows.rows("old", number)
            file = self.place.store.open(there[number])
            for batch, numbers in positions.read(file, self._table.arrow_schema):
                differs = pc.is_in(numbers, value_set=differing)
                self._copied += differs.false_count
                yield self._without(batch, differs)

    def _without(self, batch: pa.RecordBatch, differs: pa.BooleanArray) -> pa.RecordBatch:
        """A batch without the rows that changed or are gone."""
        return batch.filter(pc.invert(differs))

    def _new(self, rows: Comparison, read: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """The rows that are new or changed."""
        for number in rows.files("new"):
            differing = rows.rows("new", number)
            for batch, numbers in positions.read(read[number], self._table.arrow_schema):
                yield batch.filter(pc.is_in(numbers, value_set=differing))

    def _exchange(self, files: DataFiles, removed: Sequence[str], changes: Changes) -> Landed:
        added = self._table.place(files.paths)
        version = self._table.exchange(
            added,
            removed,
            self._table.next_transaction(self.place.app_id),
            {
                "numSourceRows": self.rows,
                "numTargetRowsInserted": changes.inserted,
                "numTargetRowsUpdated": changes.updated,
                "numTargetRowsDeleted": changes.deleted,
                "numTargetRowsCopied": self._copied,
                "numTargetFilesAdded": len(added),
                "numTargetFilesRemoved": len(removed),
            },
        )
        return Landed(version, committed=True, changes=changes)


class DeltaHistory(DeltaMerge):
    """Keeps what was: a row that changed or is gone ends, and the one after it begins.

    The table has two columns more, `valid_from` and `valid_to` (UTC). Its rows of a moment are those
    with `valid_from <= moment AND (valid_to IS NULL OR valid_to > moment)`.
    """

    mode: ClassVar[Mode] = "history"
    ended: ClassVar[str | None] = VALID_TO
    needed: ClassVar[tuple[str, ...]] = (VALID_FROM, VALID_TO)

    def __init__(self, place: Place) -> None:
        taken = {VALID_FROM, VALID_TO} & set(place.schema.names)
        if taken:
            raise ConfigurationError(f"{place.name} has a column {taken.pop()} already")
        super().__init__(place)

    def begin(self) -> None:
        """Note the moment from which on the rows are so: none is read before it."""
        self._moment = pa.scalar(datetime.now(UTC), MOMENT)

    @property
    def schema(self) -> pa.Schema:
        """The columns, and the two of a history."""
        bounds = [pa.field(VALID_FROM, MOMENT, nullable=False), pa.field(VALID_TO, MOMENT)]
        return pa.schema([*self.place.schema, *bounds])

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows, which begin now."""
        began = pa.repeat(self._moment, batch.num_rows)
        ended = pa.nulls(batch.num_rows, MOMENT)
        columns = [*batch.columns, began, ended]
        super().write(pa.RecordBatch.from_arrays(columns, schema=self.schema))

    def _uncounted(self) -> frozenset[str]:
        return frozenset({VALID_FROM, VALID_TO})

    def _there(self) -> list[str]:
        """Those files with rows that have not ended.

        Raises:
            LakeError: some rows changed after this run began, or so their clock said.
        """
        changed_later = (pc.field(VALID_FROM) >= self._moment) | (
            pc.field(VALID_TO) >= self._moment
        )
        for name in self._table.files(changed_later):
            self._check_moments(name)
        return self._table.files(pc.field(VALID_TO).is_null())

    def _check_moments(self, name: str) -> None:
        file = self.place.store.open(name)
        for batch, _ in positions.read(file, self.schema, (VALID_FROM, VALID_TO)):
            later = [pc.greater_equal(column, self._moment) for column in batch.columns]
            if any(pc.any(each).as_py() for each in later):
                raise LakeError(
                    f"{self.place.store} has rows that changed after {self._moment}: this "
                    "machine's clock is behind that of an earlier run"
                )

    def _without(self, batch: pa.RecordBatch, differs: pa.BooleanArray) -> pa.RecordBatch:
        """A batch in which the rows that changed or are gone have ended."""
        index = batch.schema.get_field_index(VALID_TO)
        columns = batch.columns
        columns[index] = pc.if_else(differs, self._moment, columns[index])
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _check_primary_keys(place: Place, mode: Mode) -> None:
    if not place.primary_keys:
        raise ConfigurationError(
            f"{place.name} cannot land by `{mode}` without its whole primary key: leave out `columns`, or "
            "add those that tell its rows apart"
        )
    nullable = [key for key in place.primary_keys if place.schema.field(key).nullable]
    if nullable:
        raise ConfigurationError(
            f"{place.name} cannot land by `{mode}` where its primary key may be null "
            f"({', '.join(nullable)}): leave out `invalid_utf8=null`"
        )
