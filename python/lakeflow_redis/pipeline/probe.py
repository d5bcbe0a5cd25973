"""What is in some keys of a table, to tell how much may be in all of them."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.ingest.model import TableSpec
from lakeflow_redis.pipeline.glob import literal
from lakeflow_redis.pipeline.survey import Key

PROBED_KEYS = 50
"""Keys that are looked into."""

PROBED_ROWS = 20_000
"""Rows after which looking ends: by then the average is known, and the server has other clients."""

ONE_ROW_A_KEY = {"keys", "strings"}

CAP = "max_records_per_batch"

CHOOSING = {"key_pattern", "sync_rules"}
"""Options that choose keys, of which a read takes one."""

PROBING = {
    "columns": "key_name",
    "value_type": "binary",
    "on_denied": "skip",
    "fail_on_data_loss": "false",
}
"""Options for looking into keys: only how many rows there are."""


class Probe:
    """Looks into some of the keys that would be read for a table.

    Args:
        connector: where they are.
        spec: the table.
        start: from where `streams` would be read on.
        keys: those of the sample that would be read.

    Raises:
        LakeflowRedisError: the server cannot be read.
    """

    def __init__(
        self,
        connector: LakeflowConnect,
        spec: TableSpec,
        start: Mapping[str, Any] | None,
        keys: Sequence[Key],
    ) -> None:
        self._connector = connector
        self._spec = spec
        self._rules = _rules(keys)
        self.is_cut = False
        """Whether there were too many rows to look at all of them."""
        self._rows_a_key = self._look(start)

    def _look(self, start: Mapping[str, Any] | None) -> float | None:
        if self._spec.table in ONE_ROW_A_KEY:
            return 1.0
        if not self._rules:
            return None
        chosen = {name: value for name, value in self._spec.options.items() if name not in CHOOSING}
        options = chosen | PROBING | {"sync_rules": json.dumps(self._rules)}
        if self._spec.table == "streams":
            options[CAP] = str(PROBED_ROWS)
        records, _ = self._connector.read_table(self._spec.table, start, options)
        rows = 0
        names = set()
        for row in islice(records, PROBED_ROWS):
            rows += 1
            names.add(row["key_name"])
        self.is_cut = rows == PROBED_ROWS
        return rows / (len(names) if self.is_cut else len(self._rules))

    def rows(self, keys: int, most: int | None) -> int | None:
        """About how many rows so many keys have; None where nothing tells.

        Args:
            keys: how many.
            most: the entries of `streams` that a run reads at most.
        """
        if keys == 0:
            return 0
        if self._rows_a_key is None:
            return None
        rows = round(self._rows_a_key * keys)
        return min(rows, most) if self._spec.table == "streams" and most is not None else rows

    def memory_bytes(self, keys: int) -> int | None:
        """About how much memory so many keys take in the server; None where nothing tells."""
        if keys == 0:
            return 0
        if not self._rules:
            return None
        options = PROBING | {
            "columns": "key_name,memory_bytes",
            "sync_rules": json.dumps(self._rules),
        }
        records, _ = self._connector.read_table("keys", None, options)
        known = [row["memory_bytes"] for row in records if row["memory_bytes"] is not None]
        return round(sum(known) / len(known) * keys) if known else None


def _rules(keys: Sequence[Key]) -> list[dict[str, object]]:
    """Some of the keys, from all over the sample, by name: so that nothing is scanned for them."""
    named: list[dict[str, object]] = []
    for key in keys[:: len(keys) // PROBED_KEYS + 1]:
        try:
            pattern = literal(key.name.decode())
        except UnicodeDecodeError:
            # No option can name it.
            continue
        if pattern:
            named.append({"database": key.db, "key_pattern": pattern})
    return named
