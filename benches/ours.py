"""Our own way to read; `python -m benches.ours TASK` does it alone, unmeasured."""

import json
import sys
from dataclasses import asdict

from benches.reading import ALL_AT_ONCE, Read, Task

ALL_TABLES = ["keys", "strings", "hashes", "lists", "sets", "sorted_sets", "streams"]


def lakeflow_redis(task: Task) -> Read:
    """Stream the table's record batches, and let each go."""
    from lakeflow_redis import LakeflowConnect  # noqa: PLC0415 - others' memory is measured without it

    connector = LakeflowConnect({"url": task.url})
    if task.table == ALL_AT_ONCE:
        tables, _ = connector.read_tables(ALL_TABLES)
        return Read(rows=sum(batch.num_rows for _, batch in tables), keys=None)
    records, _ = connector.read_table(task.table, None, task.options)
    return Read(rows=sum(batch.num_rows for batch in records.batches()), keys=None)


if __name__ == "__main__":
    read = lakeflow_redis(Task(**json.loads(sys.argv[1])))
    sys.stdout.write(json.dumps(asdict(read)))
