"""Landing in plain Parquet files, for readers that know no Delta.

Each run's rows are one file, which appears at once. A table that is replaced is `data.parquet`. One that is appended to is a
file for each run, numbered; the footer of the last one says where it ended, so that the rows and the offset after them cannot
come apart.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Schema

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.columns import fit
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import Landed, Landing, LastRun, Place
from lakeflow_redis.ingest.model import Mode

END = b"lakeflow_redis.offset"
"""The key in a footer under which the offset after the file's rows stands, as JSON."""

VERSION = b"lakeflow_redis.version"
"""The key in a footer under which the number of the run stands that wrote it, from 0 on."""


NAME = "data.parquet"
"""The only file of a table that is replaced."""

RUN = b"lakeflow_redis.run_id"
"""The key in a footer under which the run's id stands."""


@dataclass(frozen=True, slots=True)
class Footer:
    """What the last file says."""

    version: int
    end: dict[str, Any]
    run_id: str
    schema: pa.Schema


class ParquetLanding(Landing):
    """What both ways have in common: one file a run, whose footer says which and how far.

    Args:
        place: where.
        pattern: the names of its files.
    """

    target_bytes: ClassVar[int | None] = None
    replaced: ClassVar[bool]
    """Whether no row that is there stays, so that any columns may."""

    def __init__(self, place: Place, pattern: re.Pattern[str]) -> None:
        super().__init__(place)
        names = sorted(place.store.names())
        others = [name for name in names if not pattern.fullmatch(name)]
        if others:
            raise ConfigurationError(
                f"{place.store} holds something else ({others[0]}); land into another folder, or "
                "move it away"
            )
        self._last = self._read_footer(names[-1]) if names else None
        self._check_columns()

    @property
    def version(self) -> int | None:
        """The number of the last run that landed here."""
        return None if self._last is None else self._last.version

    def _place_file(self, name: str, version: int, *, new: bool) -> None:
        """Make the file that was written the lake's.

        Raises:
            LakeError: it was to be new, and another run's is there.
        """
        self._written.open()  # A run without rows is a file too: it has the columns.
        said = {VERSION: str(version), RUN: self.place.run.id, END: json.dumps(self._end)}
        self._written.finish({key.decode(): value for key, value in said.items()})
        (file,) = self._written.paths
        placed = self.place.store.place(file, name, new=new)
        # A store that was not heard to have taken it is asked once more, and has it then.
        if not placed and self._read_footer(name).run_id != self.place.run.id:
            raise self._conflict(name)

    def _read_footer(self, name: str) -> Footer:
        store = self.place.store
        what = (
            f"{store}/{name} cannot be read, and it says where the last run ended; restore it, or "
            "land into another folder"
        )
        with store.failing(what), store.open(name) as file:
            metadata = pq.read_metadata(file)
        said = metadata.metadata or {}
        try:
            version, run_id, end = int(said[VERSION]), said[RUN].decode(), json.loads(said[END])
        except (KeyError, ValueError) as error:
            raise self._foreign(name) from error
        if not isinstance(end, dict) or not self._is_named(name, version):
            raise self._foreign(name)
        return Footer(version, end, run_id, metadata.schema.to_arrow_schema())

    def _is_named(self, name: str, version: int) -> bool:  # noqa: ARG002 - by default, all are.
        return True

    def _foreign(self, name: str) -> LakeError:
        return LakeError(
            f"{self.place.store}/{name} is not as lakeflow-redis wrote it: its footer does not say "
            "where a run ended. Move it away, or land into another folder"
        )

    def _conflict(self, name: str) -> LakeError:
        return LakeError(
            f"another run has landed {self.place.store}/{name} meanwhile; nothing of this one was "
            "committed. Run it again"
        )

    def _check_columns(self) -> None:
        if self._last is None or (self.place.evolve and self.replaced):
            return
        there = Schema.from_arrow(self._last.schema)
        found = fit(there, Schema.from_arrow(self.place.schema))
        differs = f"{self.place.store} has other columns than this read gives"
        if self.place.evolve and found.refused:
            raise ConfigurationError(
                f"{differs}, in a way that files cannot be read together: {', '.join(found.refused)}. "
                "Read with the options that it was landed with, or land under another name"
            )
        if found.words and not self.place.evolve:
            raise ConfigurationError(
                f"{differs}: {', '.join(found.words)}. Read with the options that it was landed with, let "
                "the table change with `evolve`, or land into another folder"
            )


class ParquetAppend(ParquetLanding):
    """Adds a file with the rows after the last run's; none where there is nothing new.

    Each file has all columns of those before it, in the same order, so that they can be read together.
    """

    mode: ClassVar[Mode] = "append"
    replaced: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        # Digits enough that names sort as numbers do.
        super().__init__(place, re.compile(r"\d{20}\.parquet"))

    @property
    def start(self) -> dict[str, Any] | None:
        """The offset that stands in the last file's footer."""
        return None if self._last is None else self._last.end

    @property
    def after_version(self) -> int | None:
        """The number of the last file."""
        return self.version

    @property
    def last_run(self) -> LastRun | None:
        """The run that wrote the last file; numbers have no gaps."""
        if self._last is None:
            return None
        return LastRun(self._last.run_id, self._last.version - 1 if self._last.version else None)

    @property
    def schema(self) -> pa.Schema:
        """Those of the last file, and new ones, which are null in the rows that are there."""
        if self._last is None:
            return self.place.schema
        there = self._last.schema
        came = [field for field in self.place.schema if field.name not in there.names]
        return pa.schema([*there, *(field.with_nullable(True) for field in came)])  # noqa: FBT003 - pyarrow's own.

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows; columns that are gone are null in them."""
        given = set(batch.schema.names)
        columns = [
            batch.column(field.name)
            if field.name in given
            else pa.nulls(batch.num_rows, field.type)
            for field in self.schema
        ]
        super().write(pa.RecordBatch.from_arrays(columns, schema=self.schema))

    def _is_named(self, name: str, version: int) -> bool:
        return name == _name(version)

    def _commit(self) -> Landed:
        """Add the file, unless another run has added one of this number meanwhile."""
        last = self.version
        if last is not None and not self.rows and self._end == self.start:
            return Landed(last, committed=False)
        version = 0 if last is None else last + 1
        name = _name(version)
        self._place_file(name, version, new=True)
        return Landed(version, committed=True)


class ParquetReplace(ParquetLanding):
    """Puts a file with all rows in the place of the last one."""

    mode: ClassVar[Mode] = "replace"
    replaced: ClassVar[bool] = True

    def __init__(self, place: Place) -> None:
        super().__init__(place, re.compile(re.escape(NAME)))

    def _commit(self) -> Landed:
        """Replace the file, unless another run has just done so.

        Of two that do so within the same moment, the rows of one stay, whole.
        """
        there = self._read_footer(NAME) if NAME in self.place.store.names() else None
        version = 0 if there is None else there.version + 1
        if there != self._last:
            raise self._conflict(NAME)
        self._place_file(NAME, version, new=there is None)
        return Landed(version, committed=True)


def _name(version: int) -> str:
    return f"{version:020}.parquet"
