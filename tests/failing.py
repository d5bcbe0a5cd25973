"""Reads and connectors that fail: their errors, after what holds for every error was checked."""

import pickle
import time
from collections.abc import Sequence

import pytest
from lakeflow_redis import LakeflowConnect, LakeflowRedisError

from tests import canary

SOON = 20.0
"""Seconds within which every failure must be known: the deadlines below are half a second."""

DEADLINES = dict.fromkeys(("socket_timeout", "socket_connect_timeout", "retry_deadline"), "0.5")


def failure(
    options: dict[str, str], table: str = "strings", *, secrets: Sequence[str] = ()
) -> LakeflowRedisError:
    """The error of a connector or its read, which came soon and shows no secret.

    Args:
        options: the connector's options.
        table: what is read.
        secrets: what must not be seen besides the passwords of `canary`.
    """
    connector = LakeflowConnect(options)
    began = time.monotonic()
    with pytest.raises(LakeflowRedisError) as caught:
        list(connector.read_table(table)[0])
    assert time.monotonic() - began < SOON
    canary.assert_unseen(caught.value, connector, secrets=secrets)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))
    return caught.value


def complaint(options: dict[str, str], *, secrets: Sequence[str] = ()) -> str:
    """What the connection test says of a server with which something is wrong."""
    connector = LakeflowConnect(options)
    result = connector.test_connection()
    assert result["status"] == "error"
    canary.assert_unseen(result, connector._repr_html_(), secrets=secrets)
    return result["message"]
