"""Whatever becomes of a server while it is read, a table is whole or an error names the server and the cause.

Each test prints how its reads ended (`pytest -s`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
import redis
from lakeflow_redis import (
    DataLossError,
    LakeflowConnect,
    RedisConnectionError,
    RedisTimeoutError,
    ServerError,
    TopologyChangedError,
)

from tests import data, faults, loading, moving, sound
from tests.conversation import through
from tests.faults import Fault, Gate, Proxy
from tests.moving import Content, Ended, Keys, Reading, read_meanwhile
from tests.servers import REDIS_7_0, Server
from tests.waiting import until

# A read that was begun anew says so in its receipt.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

SMALL = 4_000

READS = [*moving.READS, ["streams"]]

reads = pytest.mark.parametrize("tables", READS, ids="+".join)
places = pytest.mark.parametrize("place", [0.3, 0.8])
"""Shares of all replies after which something happens."""

LOST = (RedisConnectionError, TopologyChangedError, DataLossError)
"""What is said of a server that is gone, or another one by now."""

BUSY = ("--lua-time-limit", "20")
"""Arguments of a server that soon says that it is busy with a script: after so many milliseconds."""

FOR_EVER = "while true do end"


@dataclass(frozen=True)
class Filled:
    """A server, and what is in it."""

    server: Server
    content: Content

    def read(
        self,
        tables: Sequence[str],
        disturb: Callable[[Reading], object],
        fault: Fault = faults.whole,
        **options: str,
    ) -> tuple[Ended, dict[str, str]]:
        """Read while something happens, by a way with a fault; gives the options too."""
        with Proxy(self.server.port) as proxy:
            proxy.once(fault)
            options = through(proxy, self.server) | PAGED | options
            return read_meanwhile(options, tables, self.content, disturb), options

    def at(self, tables: Sequence[str], place: float) -> int:
        """After how many bytes of replies so much of a read is over."""
        said = bytearray()
        with Proxy(self.server.port, faults.recorded(said)) as proxy:
            options = through(proxy, self.server) | PAGED
            LakeflowConnect(options).read_tables(tables)[0].read_all()
        return int(len(said) * place)


PAGED = {"batch_size": "100", "max_in_flight_bytes": "65536"}
"""For many flights of so few keys."""


@contextmanager
def filled_server(*config: str, large: int = 0) -> Iterator[Filled]:
    """A server with some thousand keys, and large ones, which it finds again where it is restarted."""
    keys = Keys.make(small=SMALL, large=large)
    with Server(REDIS_7_0, *config) as server:
        with server.client() as client:
            pipe = client.pipeline(transaction=False)
            for _, command in keys.commands():
                pipe.execute_command(*command)
            pipe.execute()
            client.save()
        yield Filled(server, keys.content())


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    """One that loads slowly when it is told to, and soon is busy."""
    with filled_server(*loading.CONFIG, *BUSY) as filled:
        yield filled


# Gone


@pytest.fixture(scope="module", params=["small", "large", "loading"])
def mortal(request: pytest.FixtureRequest) -> Iterator[Filled]:
    """Servers that have their data at once when they are restarted, and one that takes two seconds."""
    config = loading.CONFIG if request.param == "loading" else ()
    with filled_server(*config, large=int(request.param == "large")) as filled:
        yield filled


@reads
@places
def test_it_is_killed_and_started_again_from_its_dump(
    mortal: Filled, tables: list[str], place: float
) -> None:
    gate = Gate()

    def disturb(_: Reading) -> None:
        with gate.held():
            mortal.server.kill()
        mortal.server.restart()

    ended, options = mortal.read(tables, disturb, gate.after(mortal.at(tables, place)))
    sound.sound(ended, options, about=(*LOST, ServerError))


@reads
def test_it_is_killed_and_stays_away(tables: list[str]) -> None:
    with filled_server() as filled:
        gate = Gate()

        def disturb(_: Reading) -> None:
            with gate.held():
                filled.server.kill()

        fault = gate.after(filled.at(tables, 0.5))
        ended, options = filled.read(tables, disturb, fault, **sound.at_once({}))
    assert sound.sound(ended, options, about=LOST) is not None


# Standing still


@reads
@places
def test_it_stands_still_for_good(filled: Filled, tables: list[str], place: float) -> None:
    gate = Gate()

    def disturb(reading: Reading) -> None:
        with ExitStack() as stack:
            with gate.held():
                stack.enter_context(filled.server.stopped())
            until("the read ends", lambda: reading.over)

    fault = gate.after(filled.at(tables, place))
    options = sound.at_once(sound.SOON | {"socket_timeout": "1"})
    ended, options = filled.read(tables, disturb, fault, **options)
    error = sound.sound(ended, options)
    assert type(error) is RedisTimeoutError
    assert "socket_timeout" in str(error)


@reads
def test_it_stands_still_for_a_second(filled: Filled, tables: list[str]) -> None:
    gate = Gate()

    def disturb(_: Reading) -> None:
        with ExitStack() as stack:
            with gate.held():
                stack.enter_context(filled.server.stopped())
            time.sleep(1)

    ended, options = filled.read(tables, disturb, gate.after(filled.at(tables, 0.5)))
    assert sound.sound(ended, options) is None
    assert ended.passes == 1


@reads
def test_it_lets_its_clients_wait(filled: Filled, tables: list[str]) -> None:
    gate = Gate()

    def disturb(_: Reading) -> None:
        with filled.server.client() as client, gate.held():
            client.client_pause(700)

    ended, options = filled.read(tables, disturb, gate.after(filled.at(tables, 0.5)))
    assert sound.sound(ended, options) is None
    assert ended.passes == 1


# Without time for others


@reads
def test_it_loads_its_data_anew(filled: Filled, tables: list[str]) -> None:
    gate = Gate()
    with ThreadPoolExecutor() as pool:

        def disturb(_: Reading) -> None:
            with gate.held():
                loading.begin_to_load(pool, filled.server)

        ended, options = filled.read(tables, disturb, gate.after(filled.at(tables, 0.5)))
        error = sound.sound(ended, options, about=(*LOST, ServerError))
    assert error is None or "LOADING" in str(error)


@contextmanager
def busy(server: Server) -> Iterator[None]:
    """Let a server run a script without end, which is killed in the end."""
    with ThreadPoolExecutor(1) as pool, server.client() as one, server.client() as other:
        script = pool.submit(one.eval, FOR_EVER, 0)
        until("it is busy", lambda: is_busy(other))
        try:
            yield
        finally:
            other.script_kill()
        with pytest.raises(redis.ResponseError, match="SCRIPT KILL"):
            script.result()


def is_busy(client: redis.Redis) -> bool:
    """Whether it says so."""
    try:
        client.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


LONG_ENOUGH = 0.5
"""Seconds in which a read hears that the server is busy."""


@reads
def test_it_is_busy_with_a_script(filled: Filled, tables: list[str]) -> None:
    gate = Gate()

    def disturb(_: Reading) -> None:
        with ExitStack() as stack:
            with gate.held():
                stack.enter_context(busy(filled.server))
            time.sleep(LONG_ENOUGH)

    ended, options = filled.read(tables, disturb, gate.after(filled.at(tables, 0.5)))
    error = sound.sound(ended, options, about=(*LOST, ServerError))
    assert error is None or "BUSY" in str(error)


@reads
def test_it_is_busy_with_a_script_when_it_is_come_to(filled: Filled, tables: list[str]) -> None:
    with ExitStack() as stack:
        stack.enter_context(busy(filled.server))

        def disturb(_: Reading) -> None:
            time.sleep(LONG_ENOUGH)
            stack.close()

        ended, options = filled.read(tables, disturb)
    assert sound.sound(ended, options) is None


# Without room for others


KILLS = 30
BETWEEN_KILLS = 0.05


@reads
def test_it_hangs_up_on_all_its_clients_again_and_again(filled: Filled, tables: list[str]) -> None:
    killed = 0

    def disturb(reading: Reading) -> None:
        nonlocal killed
        with filled.server.client() as client:
            for _ in range(KILLS):
                if reading.over:
                    break
                killed += client.client_kill_filter(_type="normal", skipme=True)
                time.sleep(BETWEEN_KILLS)

    with Proxy(filled.server.port, faults.throttle(200_000)) as proxy:
        options = through(proxy, filled.server) | PAGED
        ended = read_meanwhile(options, tables, filled.content, disturb)
    assert killed > 0
    sound.sound(ended, options, about=LOST)


def test_it_takes_one_client_and_no_more() -> None:
    """A read needs no second connection."""
    with Server(REDIS_7_0, "--maxclients", "1") as server:
        with server.client() as client:
            names = data.fill_many(client, 3_000).keys()
        until("its place is free", lambda: has_room(server))
        connector = LakeflowConnect(server.options())
        for table in ("strings", "keys"):
            until("its place is free", lambda: has_room(server))
            found = [row["key_name"] for row in connector.read_table(table)[0]]
            assert sorted(found) == sorted(names)


def has_room(server: Server) -> bool:
    """Whether another client may come; leaves at once."""
    with server.client() as client:
        return bool(client.ping())
