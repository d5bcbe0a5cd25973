"""The options of an object store, as deltalake takes them, and the same for obstore.

Both have the same store inside, but obstore takes its options apart.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from lakeflow_redis.exceptions import ConfigurationError

RETRY_TIMEOUT = "30s"
"""For how long a request is repeated, unless said otherwise. The libraries' own default, 3 minutes, is
how long each step of a run would wait for an endpoint that does not answer."""

PREFIX = "aws_"
"""What may stand before any option, as in `AWS_ALLOW_HTTP`."""

CLIENT = {
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only"),
    *("http2_keep_alive_interval", "http2_keep_alive_timeout", "http2_keep_alive_while_idle"),
    *("pool_idle_timeout", "pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes"),
    *("proxy_url", "randomize_addresses", "read_timeout", "timeout", "user_agent"),
}
"""Options of the HTTP client."""

DELTA = {"allow_unsafe_rename", "s3_allow_unsafe_rename", "s3_locking_provider"}
"""Options that only deltalake knows."""

BUCKET = {"bucket", "bucket_name"}
"""Options that the URL says, and that would not count for both."""

ENDPOINTS = {"endpoint", "endpoint_url"}

CREDENTIALS = {
    *("access_key_id", "skip_signature", "web_identity_token_file"),
    *("container_credentials_full_uri", "container_credentials_relative_uri"),
}

TRUE = {"1", "true", "on", "yes", "y"}
"""As the libraries take them."""

URLS = ENDPOINTS | {"metadata_endpoint", "proxy_url", "sts_endpoint"}
"""Options whose values are taken as they are, and let a request panic where they are no URLs."""

COPY = "copy_if_not_exists"
"""How a store is asked to copy what must be new; by default such that Amazon's does."""

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
"""Of the units of `retry_timeout`."""


def opened(uri: str, given: Mapping[str, str]) -> tuple[S3Store, dict[str, str]]:
    """Open a store of obstore.

    Args:
        uri: the bucket's.
        given: options as deltalake takes them; what is not said there comes from the environment.

    Returns:
        The store, and all options for deltalake.

    Raises:
        ConfigurationError: there is no such option, it is given twice, or its value is not valid, which
            the text does not show. Or there is such a value in the environment.
    """
    names: dict[str, str] = {}
    for name in given:
        if names.setdefault(_plain(name), name) != name:
            words = f"{names[_plain(name)]} and {name} are the same storage option"
            raise ConfigurationError(words)
    options = dict(given) if "retry_timeout" in names else {"retry_timeout": RETRY_TIMEOUT, **given}
    store = _open(uri, options)
    if store is None:
        raise ConfigurationError(f"{uri} cannot be opened: {_what_is_wrong(uri, given)}")
    said = _environment() | {_plain(name): value for name, value in options.items()}
    plaintext = any(said.get(name, "").startswith("http:") for name in ENDPOINTS)
    if plaintext and said.get("allow_http", "").lower() not in TRUE:
        raise ConfigurationError(
            f"{uri} has an endpoint without TLS, which the storage option AWS_ALLOW_HTTP must allow"
        )
    return store, options


def names_credentials(given: Mapping[str, str]) -> bool:
    """Whether options or the environment say who asks, so that the machine itself is not asked for that."""
    said = _environment() | {_plain(name): value for name, value in given.items()}
    return bool(CREDENTIALS & said.keys())


def _plain(name: str) -> str:
    return name.lower().removeprefix(PREFIX)


def _what_is_wrong(uri: str, given: Mapping[str, str]) -> str:
    """In words without values, which the libraries' own would quote."""
    for name in given:
        if _open(uri, {n: value for n, value in given.items() if n != name}) is not None:
            return f"there is no storage option {name}, or its value is not valid"
    return (
        "the storage options do not go together, or a variable AWS_… of the environment has a "
        "value that is not valid"
    )


def _open(uri: str, options: Mapping[str, str]) -> S3Store | None:
    """A store with these options, or None where they are not valid."""
    said = {_plain(name): value for name, value in options.items()}
    environment = _environment()
    try:
        if said.keys() & BUCKET:
            return None
        for name, value in (environment | said).items():
            _check(name, value)
        retry = _retry(said.pop("max_retries", None), said.pop("retry_timeout", None))
        config = {PREFIX + name: said[name] for name in said.keys() - CLIENT - DELTA}
        if COPY not in environment:
            config.setdefault(PREFIX + COPY, "multipart")
        # Where any of the client's are given, it takes none from the environment.
        client = {name: (environment | said)[name] for name in (environment | said).keys() & CLIENT}
        return S3Store.from_url(
            uri,
            config=config,  # type: ignore[arg-type] # Of names that only it knows.
            client_options=client,  # type: ignore[arg-type] # Likewise.
            retry_config=retry,  # type: ignore[arg-type] # Likewise.
        )
    except (BaseError, TypeError, ValueError):
        return None


def _environment() -> dict[str, str]:
    given = {name.lower(): value for name, value in os.environ.items()}
    return {_plain(name): given[name] for name in given if name.startswith(PREFIX)}


def _check(name: str, value: str) -> None:
    """See that no request will panic because of a value.

    Raises:
        ValueError: one would.
    """
    if name in URLS:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError
    if not value.isprintable() and name != "proxy_ca_certificate":
        raise ValueError


def _retry(most: str | None, until: str | None) -> dict[str, Any]:
    retry: dict[str, Any] = {}
    if most is not None:
        retry["max_retries"] = int(most)
    if until is not None:
        found = re.fullmatch(r"(\d+) ?([a-z]+)", until)
        if found is None or found[2] not in SECONDS:
            raise ValueError
        retry["retry_timeout"] = timedelta(seconds=int(found[1]) * SECONDS[found[2]])
    return retry
