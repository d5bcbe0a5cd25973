"""Options of the data source: those of its own, and those that go on to the connector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from lakeflow_redis import ConfigurationError, LakeflowConnect

TABLE_NAME = "tablename"
"""`tableName`, as Spark hands names over: in lower case."""
PUSHDOWN = "pushdown"
CAP = "max_records_per_batch"


@dataclass(frozen=True)
class SourceOptions:
    """What the options of one `format("redis")` say."""

    table: str
    pushdown: bool
    cap: int | None
    """Entries that a micro-batch may have, by `max_records_per_batch`."""
    connector: dict[str, str]
    """The connector's options but for the cap, which would cut off a batch read."""

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Self:
        """Take the data source's own options out, and let the connector check the others.

        Raises:
            ConfigurationError: `tableName` is missing, or an option is unknown or malformed.
        """
        # What Spark hands over in batch is no dict.
        given = dict(options.items())
        table = given.pop(TABLE_NAME, None)
        pushdown = given.pop(PUSHDOWN, "false")
        if table is None:
            names = ", ".join(LakeflowConnect.list_tables())
            raise ConfigurationError(f"option `tableName` is missing; it is one of {names}")
        if pushdown.lower() not in {"true", "false"}:
            raise ConfigurationError(
                f"option `pushdown` is {pushdown!r}; it must be `true` or `false`"
            )
        LakeflowConnect(given)
        cap = given.pop(CAP, None)
        return cls(table, pushdown.lower() == "true", None if cap is None else int(cap), given)
