"""What becomes of the gaps in a receipt where nobody sees the receipt."""

import json
from logging import Logger

from lakeflow_redis import Records


def log_gaps(records: Records, log: Logger) -> None:
    """Say what was lost: `fail_on_data_loss=false` is no wish not to know."""
    if gaps := records.receipt["gaps"]:
        log.warning("entries of streams are lost, and were passed over: %s", json.dumps(gaps))
