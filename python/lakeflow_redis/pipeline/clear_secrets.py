"""Secrets that stand in a pipeline file as they are, where others may read them."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from lakeflow_redis.pipeline.document import Document
from lakeflow_redis.pipeline.key_lines import Path
from lakeflow_redis.pipeline.options import SPECS
from lakeflow_redis.pipeline.references import has_reference

OF_STORES = re.compile(
    r"secret|password|token|sas|credential|private_key|account_key|access_key(?!_id)|service_account",
    re.IGNORECASE,
)
"""How options of object stores are called that hold a secret."""

PEM = "-----BEGIN"

ADVICE = "a secret stands here in clear; put it into an environment variable, and {{ NAME }} here instead"


def warn_of_options(document: Document, path: Path, options: Mapping[str, str]) -> None:
    """Note secrets among the connector's options."""
    for name, value in options.items():
        if SPECS[name]["secret"] and _is_secret(name, value):
            document.warn((*path, name), ADVICE)


def warn_of_lake(document: Document, path: Path, to: str, options: Mapping[str, str]) -> None:
    """Note secrets in what says where the lake is."""
    if _in_url(to):
        document.warn((*path, "to"), ADVICE)
    for name, value in options.items():
        if OF_STORES.search(name) and value and not has_reference(value):
            document.warn((*path, "storage_options", name), ADVICE)


def _is_secret(name: str, value: str) -> bool:
    if has_reference(value):
        return False
    match name:
        case "url":
            return _in_url(value)
        case "ssl_keyfile":
            # A path is none.
            return PEM in value
        case _:
            return value != ""


def _in_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        password = parts.password or "password" in parse_qs(parts.query)
    except ValueError:
        # It is no URL, as is said elsewhere; but it may hold something all the same.
        return "@" in url
    return bool(password) and not has_reference(url)
