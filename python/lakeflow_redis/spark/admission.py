"""What Spark has since 4.2 for streams of a limited rate, and stand-ins for it before.

Nobody asks for the stand-ins: Spark 4.0 and 4.1 know no limits.
"""

from typing import TYPE_CHECKING

__all__ = ["ReadAllAvailable", "ReadLimit", "ReadMaxRows", "SupportsTriggerAvailableNow"]

if TYPE_CHECKING:
    from pyspark.sql.streaming.datasource import (
        ReadAllAvailable,
        ReadLimit,
        ReadMaxRows,
        SupportsTriggerAvailableNow,
    )
else:
    try:
        from pyspark.sql.streaming.datasource import (
            ReadAllAvailable,
            ReadLimit,
            ReadMaxRows,
            SupportsTriggerAvailableNow,
        )
    except ModuleNotFoundError:
        ReadLimit = ReadAllAvailable = ReadMaxRows = SupportsTriggerAvailableNow = type(
            "SinceSpark42", (), {"__doc__": "Since Spark 4.2."}
        )
