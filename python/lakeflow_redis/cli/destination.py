"""Where `read` writes: stdout, or a file that appears when it is complete."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EPIPE
from pathlib import Path
from typing import BinaryIO


@contextmanager
def destination(path: Path | None) -> Iterator[BinaryIO]:
    """A place to write to.

    Args:
        path: the file to make or to replace, once all is written, or None for stdout.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        with _opened(path) as file:
            yield file
    except OSError as error:
        # Python does not say of what is written where it was to go. Who has had enough is no fault.
        if error.filename is None and error.strerror is not None and error.errno != EPIPE:
            name = "stdout" if path is None else str(path)
            raise OSError(error.errno, error.strerror, name) from error
        raise


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        if sys.stdout is None:
            raise OSError("stdout is closed, and no --output is given")
        yield sys.stdout.buffer
        # Here, where a reader that has gone is a plain error, and not when the process ends.
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():
        # A pipe or a device, which cannot be replaced and need not be.
        with path.open("wb") as file:
            yield file
    else:
        partial = path.with_name(f"{path.name}.partial")
        try:
            with partial.open("wb") as file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
