"""A run of `ingest` that is killed at a given moment; run by `test_ingest` and others.

`python -m tests.killed MOMENT OPTIONS LAKE [SETTINGS]` lands `streams`, and dies as by SIGKILL, at
once and without a chance to clean up. Settings, as JSON: `format` and `storage_options` of the lake,
`quarantine` and `evolve`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.ingest import Lake, ingest
from lakeflow_redis.ingest.data_files import DataFiles
from lakeflow_redis.ingest.delta_table import LakeTable
from lakeflow_redis.ingest.local_store import LocalStore
from lakeflow_redis.ingest.offset_log import OffsetLog
from lakeflow_redis.ingest.rejects import Rejects
from lakeflow_redis.ingest.remote_store import RemoteStore


def die(*_: Any, **__: Any) -> None:
    """End this process, now."""
    os.kill(os.getpid(), signal.SIGKILL)


def then_die(function: Callable[..., Any]) -> Callable[..., None]:
    """A function that does its work and dies."""

    def run(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        die()

    return run


Moments = dict[str, tuple[type, str, Callable[..., None]]]

BEGUN: Moments = {
    "before any row is written": (DataFiles, "write", die),
    "with a file begun": (DataFiles, "write", then_die(DataFiles.write)),
}

MOMENTS: Moments = BEGUN | {
    "before the offset log": (OffsetLog, "append", die),
    "between the offset log and the commit": (LakeTable, "commit", die),
    "after the commit": (LakeTable, "commit", then_die(LakeTable.commit)),
}
"""What is replaced by what, of a Delta table."""

PARQUET_MOMENTS: Moments = BEGUN | {
    "with the file complete": (DataFiles, "finish", then_die(DataFiles.finish)),
    "before the file is there": (LocalStore, "place", die),
    "with the file under two names": (Path, "unlink", die),
    "after the file is there": (LocalStore, "place", then_die(LocalStore.place)),
}
"""Of Parquet files in a folder of this machine."""

REMOTE_PARQUET_MOMENTS: Moments = BEGUN | {
    "before the file is there": (RemoteStore, "place", die),
    "after the file is there": (RemoteStore, "place", then_die(RemoteStore.place)),
}
"""Of Parquet files in an object store."""

REJECT_MOMENTS: Moments = {
    "before the rejects": (Rejects, "land", die),
    "between the rejects and the rows": (Rejects, "land", then_die(Rejects.land)),
    "after the rows": (Rejects, "settle", die),
}
"""With quarantine."""

EVOLVE_MOMENTS: Moments = {
    "before the columns": (LakeTable, "widen", die),
    "between the columns and the rows": (LakeTable, "widen", then_die(LakeTable.widen)),
}
"""With columns that come, in a Delta table."""


def run_killed(
    moment: str, options: dict[str, str], lake: str | os.PathLike[str], **settings: Any
) -> None:
    """Run `ingest` in a process of its own that is killed, and see that it was."""
    command = [sys.executable, "-m", "tests.killed", moment, json.dumps(options), os.fspath(lake)]
    done = subprocess.run([*command, json.dumps(settings)], check=False)
    assert done.returncode == -signal.SIGKILL


def main(moment: str, options: str, lake: str, settings: str = "{}") -> None:
    """Land streams until the moment comes."""
    said = json.loads(settings)
    remote = lake.startswith("s3:")
    parquet = REMOTE_PARQUET_MOMENTS if remote else PARQUET_MOMENTS
    moments = parquet if said.get("format") == "parquet" else MOMENTS
    owner, name, replacement = (REJECT_MOMENTS | EVOLVE_MOMENTS | moments)[moment]
    setattr(owner, name, replacement)
    to = Lake(lake, said.get("format", "delta"), said.get("storage_options", {}))
    ingest(
        LakeflowConnect(json.loads(options)),
        to,
        ["streams"],
        quarantine=said.get("quarantine", False),
        evolve=said.get("evolve", False),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
