"""Landing in a lake: every table of Redis as a Delta table in a local folder.

`ingest` replaces snapshot tables in one commit each and appends to `streams` from where the
last run ended. It needs `pip install 'lakeflow-redis[cli]'`, which brings `deltalake`.

    from lakeflow_redis import LakeflowConnect
    from lakeflow_redis.ingest import ingest

    ingest(LakeflowConnect({"url": "redis://localhost"}), "./lake")

What imports what: `landing` (what a run does) over `lake_table` (Delta's side), `data_files`
(Parquet) and `offset_log` (where a run ended).
"""

from lakeflow_redis.ingest.errors import LakeError
from lakeflow_redis.ingest.landing import OnProgress, TableResult, ingest, ingest_each

__all__ = ["LakeError", "OnProgress", "TableResult", "ingest", "ingest_each"]
