"""The registry of contestants: another one is a function and an entry here."""

from benches.reading import Contestant, Read
from benches.redis_py import RECIPES, command_per_key, hand_pipeline

OURS = "lakeflow-redis"
"""Whom the others are compared with."""

KEY_TABLES = frozenset(RECIPES)
"""Every table that is read key by key."""


def lakeflow_redis(url: str, table: str, _max_keys: int | None) -> Read:
    """Stream the table's record batches, and let each go."""
    from lakeflow_redis import LakeflowConnect  # noqa: PLC0415 - others' memory is measured without it

    records, _ = LakeflowConnect({"url": url}).read_table(table)
    return Read(rows=sum(batch.num_rows for batch in records.batches()), keys=None)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(
            name=OURS,
            description="`read_table(…)`, streamed through `.batches()`",
            tables=KEY_TABLES,
            modules=("lakeflow_redis", "pyarrow"),
            read=lakeflow_redis,
        ),
        Contestant(
            name="pipelined by hand",
            description="redis-py with hiredis, a pipeline per page of SCAN, into record batches",
            tables=KEY_TABLES,
            modules=("redis", "hiredis", "pyarrow"),
            read=hand_pipeline,
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
