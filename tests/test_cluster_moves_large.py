"""Half a million keys come out of a cluster whose slots move meanwhile, each once.

Each test prints how its reads ended (`pytest -s`).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.clusters import Cluster
from tests.moving import Content, Ended, Keys, Reading, read_meanwhile, tell
from tests.resharding import Resharding, fill
from tests.servers import REDIS_7_0, VALKEY_9_1
from tests.waiting import until

# What a receipt says of another pass is a warning, and here it is what is waited for.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

STRINGS = 500_000
SLOTS = 500
"""Slots that move during one read."""
SLOW = {"max_server_share": "0.3", "batch_size": "100"}
UNDER_WAY = 0.5
"""Seconds until a read has begun to scan and has not ended."""


@dataclass(frozen=True)
class Filled:
    """A cluster with half a million strings."""

    cluster: Cluster
    content: Content

    def read(self, what: str, disturb: Callable[[Reading], object]) -> Ended:
        """Read while something happens, and print how it ended."""
        options = self.cluster.options(**SLOW)
        ended = read_meanwhile(options, ["strings"], self.content, disturb)
        self.cluster.settle()
        tell(f"half a million keys, {what}", [ended])
        return ended


@pytest.fixture(scope="module", params=[REDIS_7_0, VALKEY_9_1], ids=str)
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    """Such a cluster, of either product."""
    keys = Keys(strings={f"string:{number}": str(number) for number in range(STRINGS)})
    with Cluster(request.param) as cluster:
        fill(cluster, keys)
        yield Filled(cluster, keys.content())


def test_slots_that_move(filled: Filled) -> None:
    with Resharding(filled.cluster) as resharding:

        def disturb(_: Reading) -> None:
            time.sleep(UNDER_WAY)
            while resharding.moved < SLOTS:
                resharding.move()

        ended = filled.read(f"{SLOTS} slots moved", disturb)
    assert (ended.error, ended.passes > 1) == (None, True), str(ended)


def test_a_primary_that_fails_over(filled: Filled) -> None:
    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        filled.cluster.fail_over(filled.cluster.primaries()[1])

    ended = filled.read("failover", disturb)
    assert (ended.error, ended.passes > 1) == (None, True), str(ended)


def test_a_slot_that_is_left_migrating(filled: Filled) -> None:
    slot = filled.cluster.slot_of("string:0")
    source = filled.cluster.primary_of(slot)
    target = next(node for node in filled.cluster.primaries() if node is not source)

    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        filled.cluster.open_slot(slot, target, keys=10)

    ended = filled.read("a slot left migrating", disturb)
    again = filled.read("a slot migrating throughout", lambda _: None)
    filled.cluster.close_slot(slot)
    assert (ended.error, ended.passes > 1) == (None, True), str(ended)
    assert (again.error, again.passes) == (None, 1), str(again)


@pytest.mark.parametrize("filled", [VALKEY_9_1], indirect=True, ids=str)
def test_slots_that_valkey_moves_by_itself(filled: Filled) -> None:
    source, target, *_ = filled.cluster.primaries()
    slots = sorted(source.myself().slots)[:SLOTS]
    # As many ranges as there are slots, since these may lie anywhere.
    ranges = [word for slot in slots for word in (slot, slot)]

    def disturb(_: Reading) -> None:
        time.sleep(UNDER_WAY)
        source.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", target.id())
        until("the slots have moved", lambda: target.myself().slots.issuperset(slots))

    ended = filled.read(f"{SLOTS} slots moved by Valkey itself", disturb)
    assert (ended.error, ended.passes > 1) == (None, True), str(ended)
