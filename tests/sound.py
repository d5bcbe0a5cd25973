"""What may become of a read whose connection or server fails: all rows, or an error that says where and why."""

import pickle
from collections import Counter
from collections.abc import Iterable

from lakeflow_redis import LakeflowConnect, LakeflowRedisError, RedisConnectionError

from tests import canary
from tests.compare import assert_same_rows
from tests.moving import Ended
from tests.oracle import Row

About = type[LakeflowRedisError] | tuple[type[LakeflowRedisError], ...]
"""Of what kind an error may be."""

LONGEST = 2_000
"""Characters of an error: nobody reads more."""

SOON = {"socket_timeout": "0.5", "socket_connect_timeout": "0.5"}
"""Deadlines for what never answers."""


def at_once(options: dict[str, str]) -> dict[str, str]:
    """Options with which a read whose connection is lost fails, and does not connect again."""
    # The deadlines are for what hangs, and long enough for a machine with much to do.
    deadlines = {"socket_timeout": "20", "socket_connect_timeout": "20", "retry_deadline": "0"}
    return deadlines | options


def attempt(
    options: dict[str, str],
    table: str,
    expected: Iterable[Row],
    *,
    about: About = RedisConnectionError,
) -> LakeflowRedisError | None:
    """Read a table; gives the error, and None where all rows came.

    Args:
        options: the connector's, with host and port.
        table: what is read.
        expected: the oracle's rows.
        about: of what kind an error may be.
    """
    try:
        rows = list(LakeflowConnect(options).read_table(table)[0])
    except LakeflowRedisError as error:
        check(error, options, about)
        return error
    assert_rows(table, rows, expected)
    return None


def assert_rows(table: str, rows: Iterable[Row], expected: Iterable[Row]) -> None:
    """Fail unless these are the rows; of what the server says of itself, the names."""
    if table == "server_info":
        named = [
            Counter((row["section"], row["property"]) for row in all_) for all_ in (rows, expected)
        ]
        assert named[0] == named[1]
    else:
        assert_same_rows(table, rows, expected)


def check(error: Exception, options: dict[str, str], about: About = RedisConnectionError) -> None:
    """Fail unless an error is of these kinds, names the server, and shows no secret."""
    assert isinstance(error, about), repr(error)
    assert type(error) is not LakeflowRedisError
    assert f"{options['host']}:{options['port']}" in str(error), error
    assert len(str(error)) < LONGEST
    canary.assert_unseen(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def sound(
    ended: Ended, options: dict[str, str], *, about: About = RedisConnectionError
) -> Exception | None:
    """The error of a read during which something happened; None where all rows came."""
    print(f"\n{ended!s:.300}")
    if ended.error is not None:
        check(ended.error, options, about)
    return ended.error
