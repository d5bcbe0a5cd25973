"""Where a lake's files are: a folder of this machine, or a prefix of an object store."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError
from obstore.exceptions import BaseError

from lakeflow_redis.ingest.errors import LakeError, one_line


class Store(ABC):
    """A folder: its files have names without slashes, and none changes once it is there."""

    uri: str
    """As Delta takes it."""
    storage_options: dict[str, str] | None = None
    """As Delta takes them."""

    @abstractmethod
    def __str__(self) -> str:
        """As whoever gave it would write it."""

    @abstractmethod
    def within(self, name: str) -> "Store":
        """A folder in this one."""

    @abstractmethod
    def names(self) -> set[str]:
        """The names of what is in it, files and folders; empty where there is no such folder."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A file's content, or None where there is no such file."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """A file that is there, to be read at any place."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Make a file that outlives a power cut, unless there is one: then False."""

    @abstractmethod
    def place(self, file: Path, name: str, *, new: bool = False) -> bool:
        """Give a complete file of the workplace its name here; it appears at once, to stay.

        Args:
            file: it is gone from the workplace afterwards.
            name: its name here.
            new: whether nothing must be replaced; where it would be, this returns False.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def workplace(self) -> AbstractContextManager[Path]:
        """A local folder to write files in that will be placed; what stays in it is removed."""

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """Put what the libraries raise that read and write a store into our words.

        Args:
            what: what has failed then.

        Raises:
            LakeError: they raised something. Its cause says no more than its text, as theirs may
                repeat the storage options.
        """
        try:
            yield
        except Exception as error:
            if not _is_theirs(error):
                raise
            said = one_line(error, (self.storage_options or {}).values())
            error.args = (said,)
            if isinstance(error, CommitFailedError):
                raise LakeError(
                    f"{what}, since another run has committed to it meanwhile; nothing of this one "
                    f"was committed. Run it again ({said})"
                ) from error
            raise LakeError(f"{what}: {said}") from error


def _is_theirs(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno is None  # Else it is the system's own, such as that the disk is full.
    # Where Arrow fails in it, deltalake raises the class of all exceptions.
    return isinstance(error, (BaseError, DeltaError, pa.ArrowException)) or type(error) is Exception
