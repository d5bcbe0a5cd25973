"""Landing in a lake: tables of Redis as Delta tables or Parquet files, unattended.

`ingest` replaces, merges or keeps the history of snapshot tables in one commit each, and appends to
`streams` from where the last run ended, each entry once. It needs `pip install 'lakeflow-redis[cli]'`, which brings
`deltalake`, `duckdb` and `obstore`.

    from lakeflow_redis import LakeflowConnect
    from lakeflow_redis.ingest import TableSpec, ingest

    connector = LakeflowConnect({"url": "redis://localhost"})
    ingest(connector, "./lake")
    ingest(connector, "./lake", [TableSpec("hashes", name="users", mode="merge")])

What imports what: `run` (what a run does) over `reads` (what is read in one go) and `ways` (how a table can land: `delta_landings`,
`delta_merge` with `changes`, `parquet`), over `landing` (what all of these have in common), over
`delta_table` (Delta's side), `data_files` (Parquet), `offset_log` (where a run ended) and `store` (a folder or an object
store). `runs` and `rejects` are the lake's own tables.
"""

from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.model import (
    Changes,
    FileFormat,
    Lake,
    Mode,
    OnProgress,
    TableResult,
    TableSpec,
)
from lakeflow_redis.ingest.run import ingest, ingest_each, starts_of
from lakeflow_redis.ingest.runs import read_runs, status
from lakeflow_redis.ingest.stores import store_of

__all__ = [
    "Changes",
    "FileFormat",
    "Lake",
    "LakeError",
    "Mode",
    "OnProgress",
    "TableResult",
    "TableSpec",
    "ingest",
    "ingest_each",
    "read_runs",
    "starts_of",
    "status",
    "store_of",
]
