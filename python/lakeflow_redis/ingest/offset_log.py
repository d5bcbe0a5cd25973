"""The offset log: what a run appended, written down before the commit that names it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import LastRun, RunId
from lakeflow_redis.ingest.store import Store

KEPT = 100
"""Entries that stay behind the one that counts, for whoever wants to see what happened."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an entry says."""

    end: dict[str, Any]
    """The offset after the rows."""
    run: LastRun


class OffsetLog:
    """One JSON file per version, of which only those that a commit names count.

    The files hold `version` (int), `after` (the version before, or null), `start` (the offset before the
    rows, or null for the beginning), `end` (the offset after them), `run_id` and `written_at` (ISO 8601, UTC). One that no
    commit names is the trace of a run that ended in between; it is never used, nor used
    again: a version is claimed by making its file, which only one run can do.

    Args:
        store: the log's folder; made on the first write.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def entry_of(self, version: int) -> Entry:
        """The entry of a committed version.

        Raises:
            LakeError: its file is missing or damaged.
        """
        name = _name(version)
        try:
            content = self._store.read(name)
            if content is None:
                raise self._lost(name, "is missing")
            entry = json.loads(content)
            known = entry["version"] == version and isinstance(entry["end"], dict)
            found = Entry(entry["end"], LastRun(entry["run_id"], entry["after"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._lost(name, f"cannot be read ({type(error).__name__})") from error
        if not known:
            raise self._lost(name, "is not the entry of this version")
        return found

    def append(
        self,
        run: RunId,
        after: int | None,
        start: Mapping[str, Any] | None,
        end: Mapping[str, Any],
    ) -> int:
        """Write an entry that is on the disk when this returns, and return its version.

        Args:
            run: who writes it.
            after: the version that was committed last, or None before the first.
            start: the offset before the rows.
            end: the offset after the rows.

        Raises:
            LakeError: it cannot be written.
            OSError: likewise, in a folder of this machine.
        """
        for version in count(0 if after is None else after + 1):
            entry = {
                "version": version,
                "after": after,
                "start": start,
                "end": end,
                "run_id": run.id,
                "written_at": datetime.now(UTC).isoformat(),
            }
            if self._store.create(_name(version), json.dumps(entry).encode()):
                return version
        raise AssertionError  # `count` has no end.

    def forget(self, committed: int) -> None:
        """Remove entries of long ago.

        Args:
            committed: the version that counts; `KEPT` versions before it stay.
        """
        for name in self._store.names():
            version, _, ending = name.partition(".")
            if ending == "json" and version.isdecimal() and int(version) < committed - KEPT:
                self._store.delete(name)

    def _lost(self, name: str, what: str) -> LakeError:
        return LakeError(
            f"{self._store}/{name} {what}, and without it nobody knows where the last run ended; "
            f"starting over would append every entry again. Restore this file from a copy of "
            f"{self._store}, or land into another folder"
        )


def _name(version: int) -> str:
    return f"{version}.json"
