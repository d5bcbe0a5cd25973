"""A run of `ingest` that is killed at a given moment; run by `test_ingest`.

`python -m tests.killed MOMENT OPTIONS LAKE` lands `streams`, and dies as by SIGKILL, at once
and without a chance to clean up.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import ingest
from lakeflow_redis.ingest.data_files import DataFiles
from lakeflow_redis.ingest.lake_table import LakeTable
from lakeflow_redis.ingest.offset_log import OffsetLog


def die(*_: Any, **__: Any) -> None:
    """End this process, now."""
    os.kill(os.getpid(), signal.SIGKILL)


def then_die(function: Callable[..., Any]) -> Callable[..., None]:
    """A function that does its work and dies."""

    def run(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        die()

    return run


MOMENTS: dict[str, tuple[type, str, Callable[..., None]]] = {
    "before any row is written": (DataFiles, "write", die),
    "with a file begun": (DataFiles, "write", then_die(DataFiles.write)),
    "before the offset log": (OffsetLog, "append", die),
    "between the offset log and the commit": (LakeTable, "commit", die),
    "after the commit": (LakeTable, "commit", then_die(LakeTable.commit)),
}
"""What is replaced by what."""


def main(moment: str, options: str, lake: str) -> None:
    """Land streams until the moment comes."""
    owner, name, replacement = MOMENTS[moment]
    setattr(owner, name, replacement)
    ingest(LakeflowConnect(json.loads(options)), lake, ["streams"])


if __name__ == "__main__":
    main(*sys.argv[1:])
