"""The log on stderr, where `--log-level` asks for it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = ("debug", "info", "warning", "error")

LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"


@contextmanager
def logging_to_stderr(level: str | None) -> Iterator[None]:
    """Show our own log, from a level on.

    Args:
        level: one of `LEVELS`, or None to show nothing.
    """
    if level is None:
        yield
        return
    logger = logging.getLogger("lakeflow_redis")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LINE))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
