"""Landing in a Delta table by adding rows, or by replacing all that are there."""

import logging
from typing import Any, ClassVar

from deltalake import Transaction

from lakeflow_redis.ingest.delta_table import LakeTable
from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import Landed, Landing, LastRun, Place
from lakeflow_redis.ingest.model import Mode
from lakeflow_redis.ingest.offset_log import OffsetLog

_LOG = logging.getLogger("lakeflow_redis.ingest")


class DeltaAppend(Landing):
    """Adds the rows after the last run's, each once.

    Before the commit an entry of the offset log says which range it holds; the commit carries the
    application transaction `lakeflow-redis/<name>` whose version is that entry's. Of two runs at
    once, Delta lets only one commit.
    """

    mode: ClassVar[Mode] = "append"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._table = LakeTable(place, place.schema, replaced=False)
        self._log = OffsetLog(place.own)
        self._last = self._table.transaction_version(place.app_id)
        self._entry = None if self._last is None else self._log.entry_of(self._last)

    @property
    def start(self) -> dict[str, Any] | None:
        """Where the last committed run ended."""
        return None if self._entry is None else self._entry.end

    @property
    def last_run(self) -> LastRun | None:
        """The run of the last commit."""
        return None if self._entry is None else self._entry.run

    @property
    def after_version(self) -> int | None:
        """The entry of the offset log that the last commit names."""
        return self._last

    def _commit(self) -> Landed:
        """Commit what was read up to an offset."""
        self._written.finish()
        version = self._table.version
        # Also where the offset alone has moved: past rows that were skipped, or since a stream
        # that was seen to be gone is forgotten.
        if version is not None and not self.rows and self._end == self.start:
            return Landed(version, committed=False, offset_version=self._last)
        self._table.widen()
        added = self._table.place(self._written.paths)
        # After the rows and before the commit: an entry that a commit names is whole, and
        # covers rows that were handed over.
        entry = self._log.append(self.place.run, self._last, self.start, self._end)
        version = self._table.commit(added, "append", Transaction(self.place.app_id, entry))
        try:
            self._log.forget(entry)
        except (LakeError, OSError) as error:
            # The rows are there, and old entries do no harm.
            _LOG.warning("old entries of the offset log stay in %s: %s", self.place.own, error)
        return Landed(version, committed=True, offset_version=entry)


class DeltaReplace(Landing):
    """Replaces all rows, in one commit."""

    mode: ClassVar[Mode] = "replace"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._table = LakeTable(place, place.schema, replaced=True)
        self._table.check_removable(self.mode)

    def _commit(self) -> Landed:
        """Commit the rows in place of those that were there."""
        self._written.finish()
        added = self._table.place(self._written.paths)
        transaction = self._table.next_transaction(self.place.app_id)
        return Landed(self._table.commit(added, "overwrite", transaction), committed=True)
