"""One landing, or a read into nothing, in a process of its own, so that its peak memory is its own.

`python -m benches.landing URL TABLE MODE LAKE` prints JSON: the rows that were read, the seconds that it took, and the most memory
that the process ever had. `none` for MODE lets each record batch go. Both import the same.
"""

import json
import sys
import time
from typing import Any

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import TableSpec, ingest

from benches.child import most_memory

NOWHERE = "none"
"""The mode of a read that lands nowhere."""


def land(connector: LakeflowConnect, table: str, mode: Any, lake: str) -> int:
    """Land a table, or drop it; gives how many rows were read."""
    if mode == NOWHERE:
        records, _ = connector.read_table(table)
        return sum(batch.num_rows for batch in records.batches())
    (result,) = ingest(connector, lake, [TableSpec(table, mode=mode)])
    return result.rows


def main(url: str, table: str, mode: str, lake: str) -> None:
    """Do it, and say what it took."""
    connector = LakeflowConnect({"url": url})
    started = time.monotonic()
    rows = land(connector, table, mode, lake)
    seconds = time.monotonic() - started
    print(json.dumps({"rows": rows, "seconds": seconds, "bytes": most_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
