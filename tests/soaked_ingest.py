"""Rounds of `ingest` in one process, one after the other; run by `soak`.

`python -m tests.soaked_ingest OPTIONS LAKE` runs `ingest` for each line of its input, and writes what came of it and
what the process has by then: a line of JSON with the fields of `Round`.
"""

import gc
import json
import os
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lakeflow_redis import LakeflowConnect, LakeflowRedisError, LakeflowRedisWarning
from lakeflow_redis.ingest import ingest_each

from tests.killed_ingest import SPECS


@dataclass(frozen=True)
class Round:
    """How a run ended, and what the process has afterwards."""

    errors: list[str]
    """Of each table that failed, and of the run itself: the kind and the text."""
    unforeseen: list[str]
    """Those of them that are no errors of this project's."""
    retries: int
    rss: int
    """Bytes."""
    descriptors: int
    threads: int
    """Rust's, too, but for those of deltalake's runtime, of which there are as many as files are read at once."""


def run(connector: LakeflowConnect, lake: Path) -> Round:
    """Land all tables once."""
    failed: list[BaseException] = []
    retries = 0
    try:
        results = list(ingest_each(connector, lake, SPECS))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told.
        failed.append(error)
    else:
        failed += [result.error for result in results if result.error is not None]
        retries = sum(result.receipt.get("retries", 0) for result in results)
    gc.collect()
    told = [f"{type(error).__name__}: {error}" for error in failed]
    foreseen = [isinstance(error, LakeflowRedisError) for error in failed]
    return Round(
        errors=told,
        unforeseen=[text for text, is_ours in zip(told, foreseen, strict=True) if not is_ours],
        retries=retries,
        rss=resident(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        threads=threads(),
    )


def resident() -> int:
    """Bytes of memory that the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def threads() -> int:
    """How many threads the process has, without those of deltalake's runtime."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # It has just ended.
            names.append((task / "comm").read_text().strip())
    return len(names) - names.count("tokio-rt-worker")


def main(options: str, lake: str) -> None:
    """Run as long as somebody asks for it."""
    # What was tried again is a warning, and here it is what is wanted.
    warnings.simplefilter("ignore", LakeflowRedisWarning)
    connector = LakeflowConnect(json.loads(options))
    for _ in sys.stdin:
        print(json.dumps(asdict(run(connector, Path(lake)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
