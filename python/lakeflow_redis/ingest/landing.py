"""A table on its way into the lake: what all ways of landing have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import pyarrow as pa

from lakeflow_redis.ingest.data_files import TARGET_FILE_BYTES, DataFiles
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.model import Changes, Mode
from lakeflow_redis.ingest.store import Store

APP = "lakeflow-redis"
"""How the ids of our application transactions begin, which name a table's commits."""

NOTE = b"""Kept here by lakeflow-redis, of the table of this name: where its last run ended.
Without these files nobody knows what has landed already.
"""
"""For whoever finds the folder."""


@dataclass(frozen=True, slots=True)
class RunId:
    """Which run it is."""

    id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class LastRun:
    """The run by which the last range landed."""

    id: str
    after_version: int | None
    """The number of the range before."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table lands, and what its rows are."""

    name: str
    """The table's name in the lake."""
    store: Store
    """Its folder, `<lake>/<name>`."""
    own: Store
    """The folder for what lakeflow-redis itself keeps about it, `<lake>/_lakeflow/<name>`."""
    schema: pa.Schema
    """The columns that the read gives."""
    primary_keys: tuple[str, ...]
    evolve: bool
    """Whether the columns of what is there may change."""
    run: RunId
    """By whom it lands."""

    @property
    def app_id(self) -> str:
        """The id of the application transactions of this table's commits."""
        return f"{APP}/{self.name}"

    def is_ours(self) -> bool:
        """Whether a run of ours has been here, so that it may have left files."""
        return bool(self.own.names())


@dataclass(frozen=True, slots=True)
class Landed:
    """What came of it."""

    version: int | None
    committed: bool
    changes: Changes | None = None
    offset_version: int | None = None
    """The entry of the offset log that the commit names."""


class Landing(ABC):
    """Takes a table's rows, batch by batch, and then makes them part of the lake at once.

    A context manager while rows come; what has not landed when it is left is removed. Making one
    checks what is there, and writes nothing.

    Raises:
        ConfigurationError: the place holds something else, or other columns.
        LakeError: it cannot be read.
    """

    mode: ClassVar[Mode]
    target_bytes: ClassVar[int | None] = TARGET_FILE_BYTES

    def __init__(self, place: Place) -> None:
        self.place = place
        self._stack = ExitStack()
        self._files: DataFiles | None = None
        self._end: Mapping[str, Any] = {}
        self._receipt: Mapping[str, Any] = {}

    @property
    def start(self) -> dict[str, Any] | None:
        """The offset from which to read: where the last run ended. None for a table read whole."""
        return None

    @property
    def after_version(self) -> int | None:
        """Of a table that is appended to, the number of the last range that landed, if any."""
        return None

    @property
    def last_run(self) -> LastRun | None:
        """By which run it landed, if any."""
        return None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files that are written."""
        return self.place.schema

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return self._written.rows

    def begin(self) -> None:  # noqa: B027 - most need not know.
        """Hear that its rows are about to be read; other tables' may have been before."""

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            # So that what a killed run leaves here is known as ours.
            self.place.own.create("README.txt", NOTE)
            folder = entering.enter_context(self.place.store.workplace())
            files = DataFiles(folder, self.schema, self.target_bytes)
            self._files = entering.enter_context(files)
            self._stack = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows.

        Raises:
            OSError: they cannot be written.
        """
        self._written.write(batch)

    def land(self, end: Mapping[str, Any], receipt: Mapping[str, Any]) -> Landed:
        """Make the rows part of the lake, in one commit.

        Args:
            end: the offset after them.
            receipt: `Records.receipt` of the read, which is complete.

        Raises:
            LakeError: another run committed meanwhile, or the commit failed. Nothing has landed, unless
                the store took the commit and can neither say so nor be asked any more.
            OSError: the lake cannot be written to.
        """
        self._end = end
        self._receipt = receipt
        return self._commit()

    @abstractmethod
    def _commit(self) -> Landed:
        """Do so."""

    @property
    def _written(self) -> DataFiles:
        if self._files is None:
            raise LakeError(f"nothing is being landed in {self.place.store}")
        return self._files
