"""A cluster that changes while it is read costs no key and doubles none, or the read fails.

Each test prints how its reads ended (`pytest -s`).
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from tests import moving, sharded
from tests.clusters import Cluster
from tests.moving import Content, Ended, Keys, Reading, read_meanwhile, tell
from tests.nodes import Node
from tests.resharding import Resharding, fill
from tests.servers import REDIS_7_0, VALKEY_9_1, Flavour
from tests.waiting import until

# What a receipt says of another pass is a warning, and here it is what is waited for.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

HERE = "{here}:"
"""What the keys of one slot begin with."""
HERE_SMALL = 2_000

MOST_SLOTS = 60
"""Slots that move during one read."""

MOST_PASSES = 3
"""Passes that one slot disturbs."""

PACE = 0.02
"""Seconds between two moves."""

UNDER_WAY = 0.4
"""Seconds until a read has begun to scan and has not ended."""

DOWN = 6
"""Seconds for which nobody takes over: the others find out, and refuse all keys, after some of them."""

RULES = [
    {"database": 0, "key_pattern": "*", "_type": key_type}
    for key_type in ["string", "hash", "list", "stream"]
]
"""All keys, each by a rule that is also for others."""

read_froms = pytest.mark.parametrize("read_from", ["primary", "replica"])


@dataclass(frozen=True)
class Filled:
    """A cluster with keys that stay as they are, wherever they are moved."""

    cluster: Cluster
    content: Content

    def read(
        self, tables: Sequence[str], disturb: Callable[[Reading], object], **options: str
    ) -> Ended:
        """Read while something happens."""
        options = self.cluster.options(**moving.SLOW) | options
        return read_meanwhile(options, tables, self.content, disturb)

    @contextmanager
    def open_slot(self, keys: int) -> Iterator[Callable[[int], None]]:
        """Begin to move the slot of many keys, and end it; gives what moves more of them.

        What is given begins the move where no keys are to be moved before.
        """
        slot = self.cluster.slot_of(HERE)
        source = self.cluster.primary_of(slot)
        target = next(node for node in self.cluster.primaries() if node is not source)
        if keys:
            self.cluster.open_slot(slot, target, keys)
            sharded.let_replicas_follow(self.cluster)
        try:
            yield lambda more: self.cluster.open_slot(slot, target, more)
        finally:
            if self.cluster.primary_of(slot) is source:
                self.cluster.close_slot(slot)
            sharded.let_replicas_follow(self.cluster)

    def close_slot(self) -> None:
        """End the move."""
        self.cluster.close_slot(self.cluster.slot_of(HERE))


@pytest.fixture(scope="module", params=[REDIS_7_0, VALKEY_9_1], ids=str)
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    """A cluster with 30 k small keys and a few large ones, some of them in one slot."""
    yield from make_filled(request.param)


def make_filled(flavour: Flavour) -> Iterator[Filled]:
    """Start a cluster and fill it."""
    everywhere, here = Keys.make(), Keys.make(HERE, HERE_SMALL, 1)
    with Cluster(flavour) as cluster:
        fill(cluster, everywhere, here)
        sharded.let_replicas_follow(cluster)
        contents = (everywhere.content(), here.content())
        yield Filled(cluster, {t: contents[0][t] + contents[1][t] for t in moving.COLUMNS})


def assert_some_took_another_pass(ended: Sequence[Ended], read_from: str = "primary") -> None:
    """Fail unless a read was completed by another pass; of replicas there is none."""
    if read_from == "primary":
        assert any(each.error is None and each.passes > 1 for each in ended), [*map(str, ended)]


def assert_complete(ended: Sequence[Ended], passes: int | None = None) -> None:
    """Fail unless all reads are complete, and took so many passes."""
    assert all(each.error is None for each in ended), [*map(str, ended)]
    assert passes is None or {each.passes for each in ended} == {passes}


@read_froms
def test_slots_that_move_for_a_while(filled: Filled, read_from: str) -> None:
    ended = []
    for seed, tables in enumerate(moving.READS):
        with Resharding(filled.cluster, seed) as resharding:

            def disturb(reading: Reading, resharding: Resharding = resharding) -> None:
                time.sleep(UNDER_WAY)
                while not reading.over and resharding.moved < MOST_SLOTS:
                    resharding.move()

            ended.append(filled.read(tables, disturb, read_from=read_from))
        sharded.let_replicas_follow(filled.cluster)
    tell(f"slots moved for a while, reading from the {read_from}", ended)
    assert_some_took_another_pass(ended, read_from)


def test_slots_that_move_until_the_read_is_over(filled: Filled) -> None:
    ended = []
    for seed, tables in enumerate(moving.READS):
        with Resharding(filled.cluster, seed) as resharding:

            def disturb(reading: Reading, resharding: Resharding = resharding) -> None:
                while not reading.over:
                    resharding.move()
                    time.sleep(PACE)

            ended.append(filled.read(tables, disturb))
    tell("slots moved all the time", ended)
    assert all("slot" in str(each.error) for each in ended if each.error is not None)


@pytest.mark.parametrize("rules", [[], RULES], ids=["no rules", "rules"])
def test_a_slot_that_moves_to_and_fro(filled: Filled, rules: list[dict[str, Any]]) -> None:
    def disturb(reading: Reading) -> None:
        time.sleep(UNDER_WAY)
        slot = filled.cluster.slot_of(HERE)
        while not reading.over and reading.passes() <= MOST_PASSES:
            source = filled.cluster.primary_of(slot)
            others = [node for node in filled.cluster.primaries() if node is not source]
            filled.cluster.move_slot(slot, others[0])

    # So that it takes a while to read the slot; by rules it takes one anyway.
    options = {"sync_rules": json.dumps(rules)} if rules else {"max_server_share": "0.05"}
    # Of a table of one type the rules for others are none.
    ended = [filled.read(["keys" if rules else "strings"], disturb, **options)]
    sharded.let_replicas_follow(filled.cluster)
    tell("a slot moved to and fro", ended)
    assert_complete(ended)
    assert_some_took_another_pass(ended)


def test_a_slot_that_turns_back_between_its_two_ends(filled: Filled) -> None:
    """What another pass did not find at the one end may have gone back there when it comes to the other."""
    cluster = filled.cluster
    slot = cluster.slot_of(HERE)
    one = cluster.primary_of(slot)
    other = next(node for node in cluster.primaries() if node is not one)

    def turn_back() -> None:
        cluster.close_slot(slot)
        cluster.open_slot(slot, one if cluster.primary_of(slot) is other else other, HERE_SMALL)

    def listings() -> int:
        stats = [node.info("commandstats") for node in (one, other)]
        listed = [each.get("cmdstat_cluster|getkeysinslot", {"calls": 0}) for each in stats]
        return sum(each["calls"] for each in listed)

    def disturb(reading: Reading) -> None:
        time.sleep(UNDER_WAY)
        turn_back()
        if reading.wait_for_pass(2):
            before = listings()
            until("one end is listed", lambda: reading.over or listings() > before)
            turn_back()

    strings = filled.content["strings"]
    expected = {"strings": Counter({row: 1 for row in strings if row[0].startswith(HERE)})}
    cluster.open_slot(slot, other, HERE_SMALL)
    try:
        options = {"max_server_share": "0.01", "key_pattern": f"{HERE}*"}
        options = cluster.options(**moving.SLOW) | options
        ended = [read_meanwhile(options, ["strings"], expected, disturb)]
    finally:
        cluster.close_slot(slot)
        sharded.let_replicas_follow(cluster)
    tell("a slot turned back between its two ends", ended)


@read_froms
def test_a_failover_that_is_asked_for(filled: Filled, read_from: str) -> None:
    ended = []
    for number, tables in enumerate(moving.READS):
        primary = filled.cluster.primaries()[number % 3]

        def disturb(_: Reading, primary: Node = primary) -> None:
            time.sleep(UNDER_WAY)
            filled.cluster.fail_over(primary)

        ended.append(filled.read(tables, disturb, read_from=read_from))
        sharded.let_replicas_follow(filled.cluster)
    tell(f"failover, reading from the {read_from}", ended)
    assert_some_took_another_pass(ended, read_from)


@read_froms
def test_a_slot_that_was_left_open(filled: Filled, read_from: str) -> None:
    with filled.open_slot(HERE_SMALL // 2):
        ended = [
            filled.read(tables, lambda _: None, read_from=read_from) for tables in moving.READS
        ]
    tell(f"slot open throughout, reading from the {read_from}", ended)
    assert_complete(ended, passes=1)


@read_froms
def test_a_slot_whose_keys_go_during_the_read(filled: Filled, read_from: str) -> None:
    ended = []
    for tables in moving.READS:
        with filled.open_slot(100) as move:

            def disturb(reading: Reading, move: Callable[[int], None] = move) -> None:
                while not reading.over:
                    time.sleep(0.05)
                    move(100)

            ended.append(filled.read(tables, disturb, read_from=read_from))
    tell(f"keys of an open slot moved, reading from the {read_from}", ended)
    if read_from == "primary":
        assert_complete(ended, passes=1)


@read_froms
def test_a_slot_that_is_closed_during_the_read(filled: Filled, read_from: str) -> None:
    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        filled.close_slot()

    ended = []
    for tables in moving.READS:
        with filled.open_slot(HERE_SMALL // 2):
            ended.append(filled.read(tables, disturb, read_from=read_from))
    tell(f"slot closed, reading from the {read_from}", ended)
    assert_some_took_another_pass(ended, read_from)


@read_froms
def test_a_slot_that_is_opened_during_the_read(filled: Filled, read_from: str) -> None:
    ended = []
    for tables in moving.READS:
        with filled.open_slot(0) as move:

            def disturb(_: Reading, move: Callable[[int], None] = move) -> None:
                time.sleep(UNDER_WAY)
                move(HERE_SMALL // 2)

            ended.append(filled.read(tables, disturb, read_from=read_from))
    tell(f"slot opened, reading from the {read_from}", ended)
    assert_some_took_another_pass(ended, read_from)


def test_a_slot_that_only_its_owner_knows_to_be_moving(filled: Filled) -> None:
    with filled.open_slot(HERE_SMALL // 2) as move:
        slot = filled.cluster.slot_of(HERE)
        importing = [node for node in filled.cluster.primaries() if node.myself().importing]
        importing[0].call("CLUSTER", "SETSLOT", slot, "STABLE")
        ended = [filled.read(tables, lambda _: None) for tables in moving.READS]
        move(1)
    tell("slot open at its owner alone", ended)


def test_streams_in_slots_that_move(filled: Filled) -> None:
    ended = []
    for number in range(2):
        with Resharding(filled.cluster, number) as resharding:

            def disturb(
                reading: Reading, resharding: Resharding = resharding, number: int = number
            ) -> None:
                # While the read is planned, or later.
                time.sleep(number * UNDER_WAY)
                while not reading.over and resharding.moved < 3 * MOST_SLOTS:
                    resharding.move()
                    time.sleep(PACE)

            ended.append(filled.read(["streams"], disturb))
    tell("streams in slots that move", ended)


def test_streams_of_a_node_that_fails_over(filled: Filled) -> None:
    ended = []
    for number in range(2):
        primary = filled.cluster.primaries()[number]

        def disturb(_: Reading, primary: Node = primary, number: int = number) -> None:
            time.sleep(number * UNDER_WAY)
            filled.cluster.fail_over(primary)

        ended.append(filled.read(["streams"], disturb))
        sharded.let_replicas_follow(filled.cluster)
    tell("streams, failover", ended)


def test_a_node_that_is_demoted(filled: Filled) -> None:
    ended = []
    for number, tables in enumerate(moving.READS):
        replica = filled.cluster.replicas(filled.cluster.primaries()[number % 3])[0]

        def disturb(_: Reading, replica: Node = replica) -> None:
            time.sleep(UNDER_WAY)
            replica.call("CLUSTER", "FAILOVER", "TAKEOVER")
            filled.cluster.settle()

        ended.append(filled.read(tables, disturb))
        sharded.let_replicas_follow(filled.cluster)
    tell("takeover", ended)
    assert_some_took_another_pass(ended)


@read_froms
def test_a_primary_that_dies(filled: Filled, read_from: str) -> None:
    ended = []
    for number, tables in enumerate(moving.READS):
        killed: list[Node] = []

        def disturb(_: Reading, number: int = number, killed: list[Node] = killed) -> None:
            time.sleep(UNDER_WAY)
            killed.append(filled.cluster.kill_primary(number % 3))

        ended.append(filled.read(tables, disturb, read_from=read_from))
        filled.cluster.settle()
        filled.cluster.restart(killed[0])
        sharded.let_replicas_follow(filled.cluster)
    tell(f"a primary killed, reading from the {read_from}", ended)


def test_a_cluster_that_is_down_for_a_while(filled: Filled) -> None:
    cluster = filled.cluster
    replicas = cluster.replicas()
    refused = []

    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        for replica in replicas:
            replica.call("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        killed.append(cluster.kill_primary())
        time.sleep(DOWN)
        try:
            cluster.primaries()[0].call("GET", "key")
        except redis.ResponseError as error:
            refused.append(str(error))
        for replica in replicas:
            replica.call("CONFIG", "SET", "cluster-replica-no-failover", "no")

    killed: list[Node] = []
    ended = filled.read(moving.READS[0], disturb, max_server_share="0.1")
    cluster.settle()
    cluster.restart(killed[0])
    sharded.let_replicas_follow(cluster)
    tell("nobody takes over for a while", [ended])
    assert "is down" in refused[0]
    assert_complete([ended])
    assert ended.passes > 1


def test_a_replica_that_dies_while_it_is_read(filled: Filled) -> None:
    ended = []
    for tables in moving.READS:
        replica = filled.cluster.replicas(filled.cluster.primaries()[0])[0]

        def disturb(_: Reading, replica: Node = replica) -> None:
            time.sleep(UNDER_WAY)
            replica.kill()

        deadlines = {"socket_timeout": "2", "socket_connect_timeout": "2"}
        ended.append(filled.read(tables, disturb, read_from="replica", **deadlines))
        filled.cluster.restart(replica)
        sharded.let_replicas_follow(filled.cluster)
    tell("the only replica killed", ended)
    assert all(each.error is not None for each in ended)
