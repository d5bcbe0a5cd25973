"""A merge that is interrupted in one of its phases; run by `test_ingest_merge_fails`.

`python -m tests.interrupted_merge PHASE MODE OPTIONS LAKE` says "begun" in the middle of the phase, which it
goes through so slowly that it takes some ten seconds, and in the end says what came of it.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import TableSpec, ingest, positions
from lakeflow_redis.ingest.changes import Comparison
from lakeflow_redis.ingest.delta_merge import DeltaMerge

PHASES: dict[str, tuple[type, str]] = {
    "the rows that were read are taken": (Comparison, "take"),
    "they are compared": (Comparison, "with_those"),
    "files are written anew": (DeltaMerge, "_kept"),
}
"""What does it."""

BATCH_ROWS = 100
PAUSE = 0.05


def main(phase: str, mode: Any, options: str, lake: str) -> None:
    """Merge, slowly once the phase has begun."""
    owner, name = PHASES[phase]
    original, read = getattr(owner, name), positions.read
    slow = False

    def begin(*arguments: Any, **named: Any) -> Any:
        nonlocal slow
        slow = True
        return original(*arguments, **named)

    def slowly(*arguments: Any, **named: Any) -> Iterator[Any]:
        for number, batch in enumerate(read(*arguments, **named)):
            if slow:
                if number == 1:
                    print("begun", flush=True)
                time.sleep(PAUSE)
            yield batch

    setattr(owner, name, begin)
    positions.read = slowly
    positions.BATCH_ROWS = BATCH_ROWS
    try:
        ingest(LakeflowConnect(json.loads(options)), lake, [TableSpec("hashes", mode=mode)])
        print("ended instead")
    except KeyboardInterrupt:
        print("interrupted")


if __name__ == "__main__":
    main(*sys.argv[1:])
