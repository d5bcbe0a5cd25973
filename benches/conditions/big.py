"""Single keys that are as large as keys get, loaded many elements to a command."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benches.data import EPOCH_MS, Command

PER_COMMAND = 1_000
"""Elements in one command: enough that the commands themselves cost nothing."""


@dataclass(frozen=True, slots=True)
class BigKey:
    """A key of many elements."""

    table: str
    elements: int
    commands: Callable[[int], Iterator[Command]]
    """What writes a key of so many elements."""
    commands_per_chunk: int = 50


def portions(elements: int) -> Iterator[range]:
    """Cut the elements' numbers into what one command writes."""
    for start in range(0, elements, PER_COMMAND):
        yield range(start, min(start + PER_COMMAND, elements))


def list_(elements: int) -> Iterator[Command]:
    """Write one list."""
    for portion in portions(elements):
        yield ("RPUSH", "big", *(f"element-{number}" for number in portion))


def set_(elements: int) -> Iterator[Command]:
    """Write one set."""
    for portion in portions(elements):
        yield ("SADD", "big", *(f"member-{number}" for number in portion))


def hash_(elements: int) -> Iterator[Command]:
    """Write one hash."""
    for portion in portions(elements):
        pairs = ((f"field-{number}", f"value-{number}") for number in portion)
        yield ("HSET", "big", *(part for pair in pairs for part in pair))


def sorted_set(elements: int) -> Iterator[Command]:
    """Write one sorted set."""
    for portion in portions(elements):
        pairs = ((number, f"member-{number}") for number in portion)
        yield ("ZADD", "big", *(part for pair in pairs for part in pair))


def stream(elements: int) -> Iterator[Command]:
    """Write one stream; an entry is a command, there is no other way."""
    for number in range(elements):
        yield "XADD", "big", f"{EPOCH_MS + number}-0", "number", number


BIG_KEYS = (
    BigKey("lists", 10_000_000, list_),
    BigKey("sets", 10_000_000, set_),
    BigKey("hashes", 10_000_000, hash_),
    BigKey("sorted_sets", 10_000_000, sorted_set),
    BigKey("streams", 5_000_000, stream, commands_per_chunk=10_000),
)
