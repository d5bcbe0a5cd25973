"""The offset log: what a run appended, written down before the commit that names it."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from lakeflow_redis.ingest.durable import sync_folder
from lakeflow_redis.ingest.errors import LakeError


class OffsetLog:
    """One JSON file per version, of which only those that a commit names count.

    The files hold `version` (int), `start` (the offset before the rows, or null for the
    beginning), `end` (the offset after them) and `written_at` (ISO 8601, UTC). One that no
    commit names is the trace of a run that ended in between; it is never used, nor used
    again: a version is claimed by making its file, which only one run can do.

    Args:
        folder: the log's folder; made on the first write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def end_of(self, version: int) -> dict[str, Any]:
        """The offset after the rows of a committed version.

        Raises:
            LakeError: its file is missing or damaged.
        """
        path = self._path(version)
        try:
            entry = json.loads(path.read_bytes())
            known = entry["version"] == version and isinstance(entry["end"], dict)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _lost(path, f"cannot be read ({type(error).__name__})") from error
        if not known:
            raise _lost(path, "is not the entry of this version")
        end: dict[str, Any] = entry["end"]
        return end

    def append(
        self, after: int | None, start: Mapping[str, Any] | None, end: Mapping[str, Any]
    ) -> int:
        """Write an entry that is on the disk when this returns, and return its version.

        Args:
            after: the version that was committed last, or None before the first.
            start: the offset before the rows.
            end: the offset after the rows.

        Raises:
            OSError: it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for version in count(0 if after is None else after + 1):
            entry = {
                "version": version,
                "start": start,
                "end": end,
                "written_at": datetime.now(UTC).isoformat(),
            }
            if _create(self._path(version), json.dumps(entry).encode()):
                return version
        raise AssertionError  # `count` has no end.

    def _path(self, version: int) -> Path:
        return self._folder / f"{version}.json"


def _create(path: Path, content: bytes) -> bool:
    """Make a durable file, or return False where there is one of that name.

    It need not appear whole: it is read only if a later commit names it.
    """
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    sync_folder(path.parent)
    return True


def _lost(path: Path, what: str) -> LakeError:
    return LakeError(
        f"{path} {what}, and without it nobody knows where the last run ended; starting over "
        f"would append every entry again. Restore this file from a copy of {path.parent}, or "
        "land into another folder"
    )
