"""What a contestant is, and what its read came to."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Read:
    """What a contestant says that it read."""

    rows: int
    keys: int | None
    """Keys read, or None where it read them all and does not count them."""


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
    read: Callable[[str, str, int | None], Read]
    """Reads a table of the server at a URL, up to a number of keys where there is a `sample`."""
    runs: int = 3
    """How often it is measured; the best wall time counts."""
    sample: int | None = None
    """How many keys it reads, for ways so slow that the rest is reckoned from these."""
