"""Where a lake can be: in a folder, or in an object store."""

import re
from os import fspath
from pathlib import Path

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.local_store import LocalStore
from lakeflow_redis.ingest.model import Lake
from lakeflow_redis.ingest.remote_store import SCHEMES, RemoteStore
from lakeflow_redis.ingest.store import Store

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URL begins, and no path that anybody would want made as a folder here."""


def store_of(lake: Lake) -> Store:
    """Where a lake's files are.

    Raises:
        ConfigurationError: a lake cannot be there.
    """
    to = fspath(lake.to)
    if not to:
        raise ConfigurationError('the lake\'s place is empty; "." is a folder, too')
    if to.startswith(SCHEMES):
        return RemoteStore.at(to, lake.storage_options)
    if URL.match(to):
        scheme = to.partition(":")[0]
        raise ConfigurationError(
            f"a lake cannot be at {scheme}:…, only in a local folder or at s3://bucket/prefix"
        )
    if lake.storage_options:
        raise ConfigurationError(f"{to} is a local folder, and takes no storage options")
    return LocalStore(Path(to))
