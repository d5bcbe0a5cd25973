"""What `check` prints of what was found."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakeflow_redis.cli.screen import printable

if TYPE_CHECKING:  # The stub's own, for types only.
    from lakeflow_redis.shapes import Inspection, TableFacts


def printed(found: "Inspection") -> str:
    """The findings as lines of text, safe for a terminal."""
    return "\n".join(printable(line) for line in _lines(found))


def _lines(found: "Inspection") -> Iterator[str]:
    yield f"mode      {found['mode']}"
    for node in found["nodes"]:
        yield (
            f"node      {node['address']}: {node['product']} {node['version']}, {node['role']}, "
            f"{_keys(node['keys'])}"
        )
    yield f"TLS       {'yes' if found['tls'] else 'no'}"
    yield f"user      {found['user']}"
    for number, database in found["databases"].items():
        expires = database["expires"]
        expiring = "" if expires is None else f", of which {expires:,} expire"
        yield f"database  {number}: {_keys(database['keys'])}{expiring}"
    if not found["databases"]:
        yield "database  none holds a key"
    for table, facts in found["tables"].items():
        yield f"table     {table}: {_of_table(facts)}"
    # Several tables share them.
    for note in dict.fromkeys(
        note for facts in found["tables"].values() for note in facts["notes"]
    ):
        yield f"note      {note}"
    for limit in found["limits"]:
        yield f"limit     {limit}"
    for warning in found["warnings"]:
        yield f"warning   {warning}"


def _keys(count: int) -> str:
    return f"{count:,} key{'' if count == 1 else 's'}"


def _of_table(facts: "TableFacts") -> str:
    if not facts["refused"]:
        return "readable"
    refused = f"{', '.join(facts['refused'])} refused"
    if not facts["readable"]:
        return f"NOT readable: {refused}"
    parts = [f"readable, {refused}"]
    if facts["null_columns"]:
        parts.append(f"null: {', '.join(facts['null_columns'])}")
    return "; ".join(parts)
