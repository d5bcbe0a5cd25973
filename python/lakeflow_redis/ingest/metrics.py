"""Metrics of ingest by OpenTelemetry, where its API is installed (the extra `otel`).

Where it is not, or where nobody has set up a provider, nothing is measured, and nothing fails.
`opentelemetry-instrument lakeflow-redis ingest …` sets one up from the environment.
"""

from functools import cache
from typing import TYPE_CHECKING

from lakeflow_redis._core import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

    from lakeflow_redis.ingest.model import TableResult

METER = "lakeflow_redis.ingest"


class Instruments:
    """What is measured. Everything has the attributes `table`, `name` and `mode`.

    Args:
        meter: makes the instruments.
    """

    def __init__(self, meter: "Meter") -> None:
        self._rows = meter.create_counter(
            f"{METER}.rows", unit="{row}", description="Rows read from Redis."
        )
        self._bytes = meter.create_counter(
            f"{METER}.bytes", unit="By", description="Bytes of replies that rows were made of."
        )
        self._keys = meter.create_counter(
            f"{METER}.keys_scanned", unit="{key}", description="Keys that SCAN named."
        )
        self._rejected = meter.create_counter(
            f"{METER}.rejected", unit="{row}", description="Rows put into quarantine."
        )
        self._failures = meter.create_counter(
            f"{METER}.failures", unit="{table}", description="Tables that did not land."
        )
        self._seconds = meter.create_histogram(
            f"{METER}.duration",
            unit="s",
            description="From the beginning of a run to a table's commit, or its failure.",
        )

    def count(self, result: "TableResult") -> None:
        """Measure what a run did with a table."""
        attributes = {"table": result.table, "name": result.name, "mode": result.mode}
        receipt = result.receipt
        self._rows.add(result.rows, attributes)
        self._bytes.add(receipt.get("bytes", 0), attributes)
        self._keys.add(receipt.get("keys_scanned", 0), attributes)
        self._rejected.add(result.rejected, attributes)
        # Also where it is none, so that there is something to compare with.
        self._failures.add(int(result.error is not None), attributes)
        self._seconds.record(result.seconds, attributes)


def count(result: "TableResult") -> None:
    """Measure what a run did with a table, if anybody wants to know."""
    instruments = _instruments()
    if instruments is not None:
        instruments.count(result)


@cache
def _instruments() -> Instruments | None:
    try:
        from opentelemetry.metrics import get_meter  # noqa: PLC0415 - it need not be there.
    except ImportError:
        return None
    # Of whatever provider there is, or will be: until then they do nothing.
    return Instruments(get_meter(METER, __version__))
