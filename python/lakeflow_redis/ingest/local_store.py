"""A folder of this machine as a lake's."""

import os
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.durable import sync_file, sync_folder
from lakeflow_redis.ingest.store import Store
from lakeflow_redis.ingest.workplace import workplace

WORKPLACE = ".lakeflow-redis-"
"""How workplaces' names begin: hidden, for readers of a folder of Parquet files skip such."""

UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\\[\]^|\ud800-\udfff]")
"""Characters of paths that deltalake panics at, or takes for others."""


class LocalStore(Store):
    """A folder of this machine, made by the first write.

    Raises:
        ConfigurationError: it cannot be one.
    """

    def __init__(self, folder: Path) -> None:
        there = next((path for path in (folder, *folder.parents) if path.exists()), None)
        if there is not None and not there.is_dir():
            raise ConfigurationError(f"{there} is not a folder")
        absolute = str(folder.absolute())
        if found := UNUSABLE.search(absolute):
            raise ConfigurationError(
                f"{absolute!a} has {found.group()!a} in it, which deltalake does not take"
            )
        if unquote(absolute) != absolute:
            # deltalake 1.6 decodes such a name once too often, and finds nothing there.
            raise ConfigurationError(
                f"{folder} has a percent-escape in it, which deltalake misreads"
            )
        self._folder = folder
        self.uri = folder.absolute().as_uri()

    def __str__(self) -> str:
        return str(self._folder)

    def within(self, name: str) -> Store:
        """A folder in this one."""
        return LocalStore(self._folder / name)

    def names(self) -> set[str]:
        """The names of what is in it, but for workplaces."""
        if not self._folder.exists():
            return set()
        found = {path.name for path in self._folder.iterdir()}
        return {name for name in found if not name.startswith(WORKPLACE)}

    def read(self, name: str) -> bytes | None:
        """A file's content, or None where there is no such file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def open(self, name: str) -> IO[bytes]:
        """The file."""
        return (self._folder / name).open("rb")

    def create(self, name: str, content: bytes) -> bool:
        """Make a file, unless there is one. It need not appear whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        try:
            new = path.open("xb")
        except FileExistsError:
            return False
        try:
            with new as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            # Nobody would write it anew, or take a part of it away.
            path.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error
        sync_folder(self._folder)
        return True

    def place(self, file: Path, name: str, *, new: bool = False) -> bool:
        """Name a file."""
        sync_file(file)
        target = self._folder / name
        if new:
            try:
                os.link(file, target)  # Which, unlike a renaming, replaces nothing.
            except FileExistsError:
                return False
            file.unlink()
        else:
            file.replace(target)
        sync_folder(self._folder)
        return True

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self._folder / name).unlink(missing_ok=True)

    def workplace(self) -> AbstractContextManager[Path]:
        """A hidden folder in this one; those that killed runs left are removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return workplace(self._folder, WORKPLACE)
