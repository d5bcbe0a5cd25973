"""Local folders to write files in, which are gone when their process is."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

LOCK = ".lock"
"""How the name ends of the file beside a workplace that is locked as long as its process lives."""


@contextmanager
def workplace(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder, and remove it in the end; first those that killed processes left.

    Args:
        parent: the folder to make it in.
        prefix: how the names of all of them begin.

    Raises:
        OSError: it cannot be made.
    """
    for left in parent.glob(f"{prefix}*{LOCK}"):
        _remove_if_left(left)
    while True:
        lock = parent / f"{prefix}{uuid4()}{LOCK}"
        with lock.open("xb") as file:
            # Somebody may have taken it for one that is left, before it was locked.
            if not _locked(file.fileno(), lock):
                continue
            place = lock.with_suffix("")
            try:
                place.mkdir(mode=0o700)
                yield place
            finally:
                _remove(place, lock)
            return


def _remove_if_left(lock: Path) -> None:
    """Remove a workplace whose process is no more: the system has given its lock back."""
    with suppress(FileNotFoundError):  # Somebody else has just done that.
        if lock.stat().st_uid != os.getuid():
            return  # In a folder that all share, such as the system's for temporary files.
        with lock.open("r+b") as file:
            if not _locked(file.fileno(), lock):
                return
            _remove(lock.with_suffix(""), lock)


def _locked(descriptor: int, lock: Path) -> bool:
    """Lock a file, unless somebody has, or has removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _remove(place: Path, lock: Path) -> None:
    """Remove a workplace, and its lock, which is held, last: what is cut off is gone on with."""
    with suppress(FileNotFoundError):
        shutil.rmtree(place)
    lock.unlink(missing_ok=True)
