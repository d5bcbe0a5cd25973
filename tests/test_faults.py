"""The faults of the proxy are what they are called."""

import socket
import threading

import pytest

from tests import faults, peers
from tests.faults import Fault, Gate, Proxy
from tests.servers import HOST

WORDS = b"+OK\r\n*2\r\n$2\r\n\r\n\r\n*1\r\n:5\r\n$-1\r\n$0\r\n\r\n"
REPLIES = [b"+OK\r\n", b"*2\r\n$2\r\n\r\n\r\n*1\r\n:5\r\n", b"$-1\r\n", b"$0\r\n\r\n"]

PATIENCE = 0.2
"""Seconds after which nothing more is thought to come."""


def hear(connection: socket.socket, size: int = len(WORDS)) -> bytes:
    """What comes until so much came, or no more does."""
    heard = b""
    while len(heard) < size and (part := connection.recv(size - len(heard))):
        heard += part
    return heard


def heard_by(fault: Fault) -> bytes:
    """What a client hears of all the words."""
    with (
        peers.saying(WORDS) as port,
        Proxy(port, fault) as proxy,
        socket.create_connection((HOST, proxy.port)) as connection,
    ):
        return hear(connection)


@pytest.mark.parametrize(
    "fault",
    [faults.whole, faults.byte_by_byte, faults.delay(0.01), faults.throttle(500)],
    ids=["whole", "byte by byte", "delay", "throttle"],
)
def test_what_comes_slowly_comes_whole(fault: Fault) -> None:
    said = bytearray()
    assert heard_by(fault) == WORDS
    assert heard_by(faults.recorded(said)) == WORDS == said


@pytest.mark.parametrize("after", range(len(WORDS)))
def test_so_much_comes_and_then_the_end(after: int) -> None:
    assert heard_by(faults.cut(after)) == WORDS[:after]


@pytest.mark.parametrize("after", [0, 1, 7])
def test_so_much_comes_and_then_a_reset(after: int) -> None:
    with (
        peers.saying(WORDS) as port,
        Proxy(port, faults.reset(after)) as proxy,
        socket.create_connection((HOST, proxy.port)) as connection,
    ):
        assert hear(connection, after) == WORDS[:after]
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_so_much_comes_and_then_nothing() -> None:
    with (
        peers.saying(WORDS) as port,
        Proxy(port, faults.silence(3)) as proxy,
        socket.create_connection((HOST, proxy.port)) as connection,
    ):
        assert hear(connection, 3) == WORDS[:3]
        connection.settimeout(PATIENCE)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize("nth", range(len(REPLIES)))
def test_a_reply_is_another_one(nth: int) -> None:
    assert list(faults.replies(iter([WORDS]))) == REPLIES
    # However the bytes arrive.
    assert list(faults.replies(WORDS[at : at + 1] for at in range(len(WORDS)))) == REPLIES
    expected = [*REPLIES[:nth], b":1\r\n", *REPLIES[nth + 1 :]]
    said = faults.instead(nth, b":1\r\n")(iter([WORDS]))
    assert list(said) == expected


@pytest.mark.parametrize(
    ("place", "first"),
    [("after", WORDS[:7]), ("before", b"".join(REPLIES[:2]))],
    ids=["behind a byte", "before a reply"],
)
def test_a_gate_holds_up_what_comes_behind_it(place: str, first: bytes) -> None:
    gate = Gate()
    fault = gate.after(7) if place == "after" else gate.before(2)
    with (
        peers.saying(WORDS) as port,
        Proxy(port, fault) as proxy,
        socket.create_connection((HOST, proxy.port)) as connection,
    ):
        with gate.held():
            assert hear(connection, len(first)) == first
            connection.settimeout(PATIENCE)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        connection.settimeout(None)
        assert first + hear(connection, len(WORDS) - len(first)) == WORDS


def test_faults_are_for_one_connection_each_and_leave_no_thread() -> None:
    before = threading.active_count()
    with peers.saying(WORDS) as port, Proxy(port) as proxy:
        proxy.once(faults.cut(1), faults.cut(2))
        heard = []
        for _ in range(4):
            with socket.create_connection((HOST, proxy.port)) as connection:
                heard.append(len(hear(connection)))
        unheard = socket.create_connection((HOST, proxy.port))
    unheard.close()
    assert heard == [1, 2, len(WORDS), len(WORDS)]
    # Those of other tests may have ended meanwhile.
    assert threading.active_count() <= before
