"""A failover under Sentinels costs no key of a read and doubles none, or the read fails.

Each test prints how its reads ended (`pytest -s`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from lakeflow_redis import LakeflowConnect, RedisConnectionError, TopologyChangedError

from tests import loading, moving
from tests.deployments import wait_for_copies
from tests.moving import Content, Ended, Keys, Reading, read_meanwhile, tell
from tests.resharding import AT_ONCE
from tests.sentinels import Sentinels
from tests.servers import REDIS_7_0, Server
from tests.streams import add, numbered, read
from tests.waiting import until

# What a receipt says of another pass is a warning, and here it is what is waited for.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

UNDER_WAY = 0.7
"""Seconds until a read has begun to scan and has not ended."""

SHORT = {"socket_timeout": "2", "socket_connect_timeout": "10"}
"""Deadlines of which the first is shorter than a failover takes, and both together are longer."""

read_froms = pytest.mark.parametrize("read_from", ["primary", "replica"])


@dataclass(frozen=True)
class Watched:
    """Servers under Sentinels with keys that stay as they are."""

    sentinels: Sentinels
    content: Content

    def read(self, disturb: Callable[[Reading], object], **options: str) -> list[Ended]:
        """Read tables, each time while the same happens."""
        ended = []
        for tables in [*moving.READS, ["streams"]]:
            ended.append(self._read(tables, disturb, options))
            self.sentinels.settle()
            wait_for_copies(self.sentinels.primary(), self.sentinels.replicas())
        return ended

    def _read(
        self, tables: Sequence[str], disturb: Callable[[Reading], object], options: dict[str, str]
    ) -> Ended:
        options = self.sentinels.options(**moving.SLOW) | options
        return read_meanwhile(options, tables, self.content, disturb)


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A primary with 30 k small keys and a few large ones, and two replicas."""
    keys = Keys.make()
    with Sentinels(REDIS_7_0) as sentinels:
        fill(sentinels, keys)
        yield Watched(sentinels, keys.content())


def fill(sentinels: Sentinels, keys: Keys) -> None:
    """Make keys, on the replicas too."""
    with sentinels.client() as client:
        pipe = client.pipeline(transaction=False)
        for _, command in keys.commands():
            pipe.execute_command(*command)
            if len(pipe) >= AT_ONCE:
                pipe.execute()
        pipe.execute()
    wait_for_copies(sentinels.primary(), sentinels.replicas())


@read_froms
def test_a_failover_that_is_asked_for(watched: Watched, read_from: str) -> None:
    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        watched.sentinels.fail_over()

    ended = watched.read(disturb, read_from=read_from)
    tell(f"failover, reading from the {read_from}", ended)
    if read_from == "primary":
        assert any(each.error is None and each.passes > 1 for each in ended), [*map(str, ended)]


def test_a_primary_that_dies(watched: Watched) -> None:
    killed: list[Server] = []

    def disturb(_: Reading) -> None:
        while killed:
            watched.sentinels.restart(killed.pop())
        time.sleep(UNDER_WAY)
        killed.append(watched.sentinels.kill_primary())

    ended = watched.read(disturb)
    for server in killed:
        watched.sentinels.restart(server)
    tell("primary killed", ended)
    assert any(each.error is None and each.passes > 1 for each in ended), [*map(str, ended)]


def test_a_primary_that_stands_still_longer_than_sentinels_wait(watched: Watched) -> None:
    with ExitStack() as stack:

        def disturb(reading: Reading) -> None:
            time.sleep(UNDER_WAY)
            before = watched.sentinels.primary()
            with before.stopped():
                while not reading.over and watched.sentinels.primary() is before:
                    time.sleep(0.1)

        stack.callback(watched.sentinels.settle)
        ended = watched.read(disturb, **SHORT)
    tell("primary standing still", ended)
    assert any(each.error is None and each.passes > 1 for each in ended), [*map(str, ended)]


def test_a_primary_that_stands_still_for_a_moment(watched: Watched) -> None:
    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        with watched.sentinels.primary().stopped():
            time.sleep(0.5)

    ended = watched.read(disturb)
    tell("primary standing still for a moment", ended)
    assert all(each.error is None and each.passes == 1 for each in ended), [*map(str, ended)]


def test_a_replica_that_dies_while_it_is_read(watched: Watched) -> None:
    killed: list[Server] = []

    def disturb(_: Reading) -> None:
        while killed:
            watched.sentinels.restart(killed.pop())
        time.sleep(UNDER_WAY)
        sentinel = watched.sentinels.sentinels[0]
        port = int(sentinel.states("REPLICAS")[0]["port"])
        replica = next(node for node in watched.sentinels.nodes if node.port == port)
        replica.kill()
        killed.append(replica)

    ended = watched.read(disturb, read_from="replica")
    for server in killed:
        watched.sentinels.restart(server)
    tell("replica killed", ended)


def test_sentinels_that_all_go_leave_the_read_with_an_error(watched: Watched) -> None:
    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        for sentinel in watched.sentinels.sentinels:
            sentinel.kill()

    options = watched.sentinels.options(**moving.SLOW, **SHORT)
    ended = read_meanwhile(options, ["strings"], watched.content, disturb)
    for sentinel in watched.sentinels.sentinels:
        sentinel.restart()
    watched.sentinels.settle()
    tell("all sentinels killed", [ended])
    # Nobody can tell by then whether it was still the primary.
    assert isinstance(ended.error, RedisConnectionError | TopologyChangedError)


def test_half_a_million_keys_and_a_primary_that_dies(watched: Watched) -> None:
    more = Keys(strings={f"more:{number}": str(number) for number in range(500_000)})
    fill(watched.sentinels, more)
    content = {"strings": watched.content["strings"] + more.content()["strings"]}
    killed: list[Server] = []

    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        killed.append(watched.sentinels.kill_primary())

    options = watched.sentinels.options(max_server_share="0.3", batch_size="100")
    ended = read_meanwhile(options, ["strings"], content, disturb)
    watched.sentinels.settle()
    watched.sentinels.restart(killed.pop())
    tell("half a million keys, primary killed", [ended])
    assert (ended.error, ended.passes) == (None, 2), str(ended)


def test_replicas_that_load_their_data_while_streams_are_planned_are_waited_for() -> None:
    keys = Keys(streams=[f"stream:{number}" for number in range(10_000)])
    with Sentinels(REDIS_7_0, config=loading.CONFIG) as sentinels, ThreadPoolExecutor() as pool:
        fill(sentinels, keys)
        replicas = sentinels.replicas()

        def disturb(_: Reading) -> None:
            until("a plan is made", lambda: any(map(is_asked_for_streams, replicas)))
            for loaded in loading.begin_to_load(pool, *replicas):
                assert loaded.result()

        options = sentinels.options(read_from="replica", max_server_share="0.05")
        ended = read_meanwhile(options, ["streams"], keys.content(), disturb)
    assert ended.error is None, str(ended)


def is_asked_for_streams(server: Server) -> bool:
    with server.client() as client:
        return "cmdstat_xinfo|stream" in client.info("commandstats")


def test_streams_are_read_on_after_a_failover() -> None:
    with Sentinels(REDIS_7_0) as sentinels:
        connector = LakeflowConnect(sentinels.options())
        with sentinels.client() as client:
            entries = add(client, "a", *numbered(1, 300)) + add(client, "b", "1-1")
        first = read(connector)
        assert sorted(first.entries) == sorted(entries)
        sentinels.fail_over()
        assert read(connector, first.offset).entries == []
        with sentinels.client() as client:
            late = add(client, "a", "1000-1") + add(client, "c", "0-1")
        second = read(connector, first.offset)
        assert sorted(second.entries) == sorted(late)
        killed = sentinels.kill_primary()
        sentinels.settle()
        with sentinels.client() as client:
            later = add(client, "b", "2-1")
        assert read(connector, second.offset).entries == later
        sentinels.restart(killed)
