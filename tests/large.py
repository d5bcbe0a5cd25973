"""Keys that are too large for one reply where little may be in flight, beside small ones."""

from typing import Any

from tests.contract import CONTENT_TABLES

COUNT = 400
"""Elements of each large key."""

TEXT = "x" * 100
"""What makes each of them heavy enough."""

LITTLE = {"max_in_flight_bytes": "65536"}
"""The option under which these keys are read in pages."""


def add_large(client: Any, table: str, name: str) -> None:
    """Make a key that is large where little may be in flight.

    Args:
        client: a client or a pipeline.
        table: the table.
        name: the key's name.
    """
    numbers = range(COUNT)
    match table:
        case "strings":
            client.set(name, TEXT * COUNT)
        case "hashes":
            client.hset(name, mapping={f"field {n}": f"{n} {TEXT}" for n in numbers})
        case "lists":
            client.rpush(name, *(f"{n} {TEXT}" for n in numbers))
        case "sets":
            client.sadd(name, *(f"{n} {TEXT}" for n in numbers))
        case "sorted_sets":
            client.zadd(name, {f"{n} {TEXT}": n / 8 for n in numbers})
        case "streams":
            for number in numbers:
                client.xadd(name, {"n": number, "text": TEXT}, f"{number + 1}-0")
        case _:
            raise ValueError(table)


PAGED = [table for table in CONTENT_TABLES if table != "streams"]
"""The tables whose keys are read in pages; streams are always read in ranges."""
