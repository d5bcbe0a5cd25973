"""What a contestant is, what it is asked for, what its read came to and what that took."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ALL_AT_ONCE = "all in one pass"
"""Stands for a table where all key tables are read together."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to read; JSON, since it is read in another process."""

    url: str
    table: str
    max_keys: int | None = None
    """After how many keys to stop, for ways so slow that the rest is reckoned."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the table, where the contestant has any."""
    recording: str | None = None
    """The folder with what was recorded of this read, for those who replay it."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a contestant says that it read."""

    rows: int
    keys: int | None
    """Keys read, or None where it read them all and does not count them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured around one read."""

    rows: int
    keys: int | None
    started: float
    """When the read began, by the clock that all processes share."""
    wall_seconds: float
    server_seconds: float
    """CPU time that the server's main thread spent meanwhile."""
    imports_bytes: int
    """The most memory that this process had before it read anything."""
    process_bytes: int
    """The most memory that this process ever had."""

    @property
    def peak_bytes(self) -> int:
        """What reading took, over what importing had taken."""
        return self.process_bytes - self.imports_bytes


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to read tables."""

    name: str
    description: str
    """One line for the report."""
    tables: frozenset[str]
    """What it can read."""
    modules: tuple[str, ...]
    """What it imports, before the clock starts; the report gives their versions."""
    read: Callable[[Task], Read]
    """Reads a table."""
    runs: int = 3
    """How often it is measured; the best wall time counts."""
    sample: int | None = None
    """How many keys it reads, for ways so slow that the rest is reckoned from these."""
    record: Callable[[Task, Path], None] | None = None
    """Prepares a folder for the reads of one table, before any of them is measured."""
    interpreter: str = sys.executable
    """The Python that has its modules."""
