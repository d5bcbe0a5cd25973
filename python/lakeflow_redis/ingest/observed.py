"""What a run says of each table to whoever watches: lines in the log, and metrics.

Logs are those of Python's `logging`, by the name `lakeflow_redis.ingest`: a line of `key=value` for
each table, of level INFO or, where it failed, ERROR; and a WARNING for all that was left out.
"""

import json
import logging
from collections.abc import Mapping

from lakeflow_redis.ingest.metrics import count
from lakeflow_redis.ingest.model import TableResult
from lakeflow_redis.ingest.runs import status

LOGGER = logging.getLogger("lakeflow_redis.ingest")

# Else Python shows warnings on stderr where a program has not configured any logging.
logging.getLogger("lakeflow_redis").addHandler(logging.NullHandler())

FIGURES = ("keys_scanned", "bytes")
"""Of a receipt, what the line of a table says."""

LEFT_OUT = (
    *("keys_denied", "keys_gone", "keys_changed_type", "keys_inconsistent"),
    *("rows_skipped", "values_replaced", "retries"),
)
"""Of a receipt, what the line says where it is not 0."""


def observe(result: TableResult) -> None:
    """Log and measure what a run did with a table."""
    log(result)
    count(result)


def log(result: TableResult) -> None:
    """Write a table's lines into the log."""
    names = {"table": result.table, "name": result.name}
    for warning in result.receipt.get("warnings", ()):
        LOGGER.warning("%s", line(names | {"warning": warning}))
    for gap in result.receipt.get("gaps", ()):
        LOGGER.warning("%s", line(names | {f"gap_{key}": value for key, value in gap.items()}))
    if result.rejected:
        LOGGER.warning("%s", line(names | {"rejected": result.rejected}))
    level = logging.INFO if result.error is None else logging.ERROR
    LOGGER.log(level, "%s", line(figures(result)))


def figures(result: TableResult) -> dict[str, object]:
    """What there is to say of a table in one line, by name."""
    found: dict[str, object] = {
        "table": result.table,
        "name": result.name,
        "mode": result.mode,
        "status": status(result),
        "rows": result.rows,
    }
    if result.changes is not None:
        found["inserted"] = result.changes.inserted
        found["updated"] = result.changes.updated
        found["deleted"] = result.changes.deleted
    found["rejected"] = result.rejected
    found |= {name: result.receipt[name] for name in FIGURES if name in result.receipt}
    found |= {name: result.receipt[name] for name in LEFT_OUT if result.receipt.get(name)}
    found["seconds"] = round(result.seconds, 3)
    found["version"] = result.version
    if result.error is not None:
        found["error"] = str(result.error)
    return found


def line(pairs: Mapping[str, object]) -> str:
    """Pairs as `key=value`, on one line: what is not one plain word is in quotes, as in JSON."""
    return " ".join(f"{name}={_word(value)}" for name, value in pairs.items())


def _word(value: object) -> str:
    text = "" if value is None else str(value)
    plain = text.isascii() and text.isprintable() and not set(text) & set(' "=\\')
    return text if plain else json.dumps(text)
