"""The registry of contestants: another one is a function and an entry here."""

import os
import sys

from benches import floor, polars_redis
from benches.ours import lakeflow_redis
from benches.reading import ALL_AT_ONCE, Contestant
from benches.redis_py import RECIPES, command_per_key, hand_pipeline

OURS = "lakeflow-redis"
"""Whom the others are compared with."""

KEY_TABLES = frozenset(RECIPES)
"""Every table that is read key by key."""

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(
            name=OURS,
            description="`read_table(…)`, streamed through `.batches()`",
            tables=KEY_TABLES | {ALL_AT_ONCE},
            modules=("lakeflow_redis", "pyarrow"),
            read=lakeflow_redis,
            runs=5,
        ),
        Contestant(
            name="floor",
            description="the commands that ours sent, sent again as they were, replies thrown away",
            tables=KEY_TABLES | {ALL_AT_ONCE},
            modules=(),
            read=floor.replay,
            record=floor.record,
            runs=5,
        ),
        Contestant(
            name="pipelined by hand",
            description="redis-py with hiredis, a pipeline per page of SCAN, into record batches",
            tables=KEY_TABLES,
            modules=("redis", "hiredis", "pyarrow"),
            read=hand_pipeline,
        ),
        Contestant(
            name="polars-redis",
            description=(
                "`batch_size=1000, count_hint=1000`, `parallel=4` and `include_ttl=True` for the "
                "types that take them, SCAN by pattern, collected; hashes as a row a key with its "
                "ten fields named before, counted as ten rows; streams with their fields named "
                "before; no TTL for lists, sets, sorted sets and streams; no table of keys"
            ),
            tables=frozenset(polars_redis.SCANS),
            modules=("polars_redis", "polars"),
            read=polars_redis.read,
            # It is built against polars' insides, and may want another one than we do.
            interpreter=os.environ.get("POLARS_REDIS_PYTHON", sys.executable),
        ),
        Contestant(
            name="one command per key",
            description="redis-py alone, SCAN, then one command after another, into dicts",
            tables=KEY_TABLES,
            modules=("redis",),
            read=command_per_key,
            sample=10_000,
        ),
    )
}
