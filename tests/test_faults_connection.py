"""Whatever becomes of a connection, a table is whole or an error says that the connection was lost."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
import redis
from lakeflow_redis import (
    LakeflowConnect,
    LakeflowRedisError,
    RedisConnectionError,
    RedisTimeoutError,
)

from tests import data, faults, oracle, sound
from tests.contract import CONTENT_TABLES, TABLES
from tests.conversation import LARGE_DB, SLACK, Small, small_server, through
from tests.faults import Fault, Proxy
from tests.large import LITTLE, PAGED
from tests.servers import Server

PLACES = 60
"""Places of a conversation that is too long for each of its bytes."""

AGAIN = 12
"""… where each takes a second try."""

tables = pytest.mark.parametrize("table", TABLES)


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """One that all tests here share."""
    with small_server() as small:
        yield small


# Cut off


def test_it_is_cut_after_each_byte_of_what_comes_before_all_keys(small: Small) -> None:
    """Of all tables the same: the handshake, and INFO."""
    places = range(len(small.said()) - SLACK)
    errors = small.endure("strings", [faults.cut(after) for after in places])
    assert len(errors) == len(places)


@tables
def test_it_is_cut_after_each_byte_of_a_table(small: Small, table: str) -> None:
    begin, end = len(small.said()) - SLACK, len(small.said(table)) + SLACK
    if table == "server_info":
        # It is INFO once more, each byte of which is a place of the test above.
        begin = end - 10 * SLACK
    errors = small.endure(table, [faults.cut(after) for after in range(begin, end)])
    # But for those behind its end.
    assert end - begin - 2 * SLACK <= len(errors) < end - begin


def test_it_is_cut_after_each_byte_of_several_tables_at_once(small: Small) -> None:
    begin, end = len(small.said()) - SLACK, len(small.said(*CONTENT_TABLES)) + SLACK
    options = small.options()
    expected = {table: small.expected(table) for table in CONTENT_TABLES}
    for after in range(begin, end):
        small.proxy.once(faults.cut(after))
        try:
            found = LakeflowConnect(options).read_tables(CONTENT_TABLES)[0].read_all()
        except LakeflowRedisError as error:
            sound.check(error, options)
        else:
            for table, rows in expected.items():
                sound.assert_rows(table, found[table].to_pylist(), rows)


@pytest.mark.parametrize("table", PAGED)
def test_it_is_cut_while_a_large_key_is_read_in_pages(small: Small, table: str) -> None:
    more = {"db": str(LARGE_DB)} | LITTLE
    options, expected = small.options(**more), small.expected(table, LARGE_DB)
    begin, end = len(small.said()), len(small.said(table, **more))
    chance = Random(table)
    for fault in (faults.cut, faults.reset):
        for _ in range(PLACES):
            small.proxy.once(fault(chance.randrange(begin, end)))
            sound.attempt(options, table, expected)


@tables
def test_it_is_reset(small: Small, table: str) -> None:
    chance, end = Random(table), len(small.said(table))
    small.endure(table, [faults.reset(chance.randrange(end)) for _ in range(PLACES)])


@pytest.mark.parametrize("fault", [faults.cut, faults.reset])
def test_it_is_cut_wherever_it_is_made_anew(small: Small, fault: Callable[[int], Fault]) -> None:
    """So that no other connection makes good for it."""
    end = len(small.said("hashes"))
    for after in (0, 1, end // 2, end - SLACK):
        with Proxy(small.server.port, fault(after)) as proxy:
            options = sound.at_once(through(proxy, small.server))
            assert sound.attempt(options, "hashes", []) is not None


CALLS: dict[str, Callable[[LakeflowConnect], object]] = {
    "inspect": LakeflowConnect.inspect,
    "get_table_schema": lambda connector: connector.get_table_schema("server_info"),
    "latest_offset": lambda connector: connector.latest_offset("streams"),
    "get_partitions": lambda connector: connector.get_partitions("hashes"),
    "get_partitions of streams": lambda connector: connector.get_partitions("streams"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_it_is_cut_while_something_else_is_asked(
    small: Small, call: Callable[[LakeflowConnect], object]
) -> None:
    said = bytearray()
    small.proxy.once(faults.recorded(said))
    options = small.options()
    call(LakeflowConnect(options))
    chance, end = Random(len(said)), len(said) - SLACK
    for after in [0, 1, *(chance.randrange(end) for _ in range(PLACES)), end]:
        small.proxy.once(faults.cut(after))
        with pytest.raises(RedisConnectionError) as caught:
            call(LakeflowConnect(options))
        sound.check(caught.value, options)


def test_it_is_cut_while_it_is_tested(small: Small) -> None:
    for after in range(0, len(small.said()) - SLACK, PLACES):
        small.proxy.once(faults.cut(after))
        result = LakeflowConnect(small.options()).test_connection()
        assert result["status"] == "error"
        assert f":{small.proxy.port}" in result["message"]


def test_it_is_cut_while_a_part_is_read(small: Small) -> None:
    options = small.options(num_partitions="2")
    connector = LakeflowConnect(options)
    for table in ("hashes", "streams"):
        expected = small.expected(table)
        for part in connector.get_partitions(table):
            said = bytearray()
            small.proxy.once(faults.recorded(said))
            whole = list(connector.read_partition(table, part))
            assert len(whole) <= len(expected)
            for after in range(0, len(said) - SLACK, len(said) // PLACES):
                small.proxy.once(faults.cut(after))
                with pytest.raises(RedisConnectionError) as caught:
                    list(connector.read_partition(table, part))
                sound.check(caught.value, options)


# Made good for

# Which is a warning each time.
noticed = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")


@noticed
@tables
def test_it_is_cut_and_made_anew(small: Small, table: str) -> None:
    """Wherever it is cut once the server has said something, and twice in one read."""
    chance, end = Random(table), len(small.said(table))
    options, expected = small.options(retry_deadline="20"), small.expected(table)
    first = len(b"+PONG\r\n+OK\r\n")
    for fault in (faults.cut, faults.reset):
        for _ in range(AGAIN):
            small.proxy.once(*[fault(chance.randrange(first, end)) for _ in range(2)])
            assert sound.attempt(options, table, expected) is None


@noticed
@pytest.mark.parametrize("table", PAGED)
def test_it_is_cut_while_a_large_key_is_read_and_made_anew(small: Small, table: str) -> None:
    more = {"db": str(LARGE_DB)} | LITTLE
    begin, end = len(small.said()), len(small.said(table, **more))
    chance, expected = Random(table), small.expected(table, LARGE_DB)
    options = small.options(retry_deadline="20", **more)
    for _ in range(AGAIN):
        small.proxy.once(faults.cut(chance.randrange(begin, end)))
        assert sound.attempt(options, table, expected) is None


# Slow


@tables
def test_each_byte_comes_by_itself(small: Small, table: str) -> None:
    small.proxy.once(faults.byte_by_byte)
    assert sound.attempt(small.options(), table, small.expected(table)) is None


@pytest.mark.parametrize("table", PAGED)
def test_each_byte_of_a_large_key_comes_by_itself(small: Small, table: str) -> None:
    small.proxy.once(faults.byte_by_byte)
    options = small.options(db=str(LARGE_DB), **LITTLE)
    assert sound.attempt(options, table, small.expected(table, LARGE_DB)) is None


@tables
def test_all_replies_come_late(small: Small, table: str) -> None:
    small.proxy.once(faults.delay(0.02))
    assert sound.attempt(small.options(), table, small.expected(table)) is None


def test_a_reply_that_takes_longer_than_the_deadline_is_no_silence(small: Small) -> None:
    # Three seconds for INFO, in pieces of which each comes in time.
    small.proxy.once(faults.throttle(1_700))
    options = small.options(socket_timeout="2")
    assert sound.attempt(options, "hashes", small.expected("hashes")) is None


# Silent


AUTHENTICATED = len(b"+OK\r\n")


@pytest.mark.parametrize("after", [0, 1, AUTHENTICATED, AUTHENTICATED + 3, 2_000, -SLACK, SLACK])
def test_who_falls_silent_is_given_up(one_locked_server: Server, after: int) -> None:
    """At connecting, in the middle of AUTH, after it, within INFO, and before and in its keys."""
    with one_locked_server.client() as client:
        client.flushdb()
        client.hset("hash", mapping={f"field {number}": "value" for number in range(100)})
        if abs(after) == SLACK:
            after += len(b"+OK\r\n+PONG\r\n+OK\r\n") + len(info_of(client))
    with Proxy(one_locked_server.port, faults.silence(after)) as proxy:
        options = sound.at_once(through(proxy, one_locked_server) | sound.SOON)
        error = sound.attempt(options, "hashes", [])
    assert type(error) is RedisTimeoutError


@pytest.mark.parametrize("after", [0, 3, 500, 1_500, 4_000, 6_500])
def test_who_falls_silent_in_tls_is_given_up(tls_server: Server, after: int) -> None:
    with tls_server.local_client() as client:
        client.flushdb()
        client.hset("hash", mapping={f"field {number}": "value" * 10 for number in range(100)})
    with Proxy(tls_server.port, faults.silence(after)) as proxy:
        options = sound.at_once(through(proxy, tls_server) | sound.SOON)
        assert isinstance(sound.attempt(options, "hashes", []), RedisConnectionError)


def info_of(client: redis.Redis) -> bytes:
    """What the server says of itself, as it says it."""
    text: bytes = oracle.Raw(client)("INFO")
    return b"$%d\r\n%s\r\n" % (len(text), text)


@pytest.mark.parametrize("fault", [faults.byte_by_byte, faults.delay(0.005)], ids=["bytes", "late"])
def test_tls_comes_piece_by_piece(tls_server: Server, fault: Fault) -> None:
    with tls_server.local_client() as client:
        client.flushdb()
        for table in CONTENT_TABLES:
            data.add_one(client, table, f"of {table}", "value")
        expected = {table: oracle.read(client, table) for table in TABLES}
    with Proxy(tls_server.port, fault) as proxy:
        options = sound.at_once(through(proxy, tls_server))
        for table, rows in expected.items():
            assert sound.attempt(options, table, rows) is None
