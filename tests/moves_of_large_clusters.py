"""Half a million keys come out of a cluster whose slots move meanwhile, each once.

Each test prints how its reads ended (`pytest -s`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.clusters import Cluster
from tests.moving import Content, Ended, Keys, Reading, read_meanwhile, tell
from tests.resharding import Resharding, fill
from tests.servers import REDIS_7_0, VALKEY_9_1, Flavour
from tests.waiting import until

# What a receipt says of another pass is a warning, and here it is what is waited for.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

STRINGS = 500_000
MOST_SLOTS = 100
SLOW = {"max_server_share": "0.3", "batch_size": "100"}
UNDER_WAY = 0.5


@dataclass(frozen=True)
class Filled:
    """A cluster with half a million strings."""

    cluster: Cluster
    content: Content


def make_filled(flavour: Flavour) -> Iterator[Filled]:
    """Start a cluster and fill it."""
    keys = Keys(strings={f"string:{number}": str(number) for number in range(STRINGS)})
    with Cluster(flavour) as cluster:
        fill(cluster, keys)
        yield Filled(cluster, keys.content())


@pytest.fixture(scope="module", params=[REDIS_7_0, VALKEY_9_1], ids=str)
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    """Such a cluster, of either product."""
    yield from make_filled(request.param)


@pytest.fixture(scope="module")
def filled_valkey() -> Iterator[Filled]:
    """Such a cluster of Valkey, which moves slots by itself."""
    yield from make_filled(VALKEY_9_1)


def test_half_a_million_keys_in_slots_that_move(filled: Filled) -> None:
    ended: list[Ended] = []
    for number in range(2):
        with Resharding(filled.cluster, number) as resharding:

            def disturb(reading: Reading, resharding: Resharding = resharding) -> None:
                time.sleep(UNDER_WAY)
                while not reading.over and resharding.moved < MOST_SLOTS:
                    resharding.move()

            options = filled.cluster.options(**SLOW)
            ended.append(read_meanwhile(options, ["strings"], filled.content, disturb))
    tell("half a million keys, slots moved", ended)
    assert any(each.error is None and each.passes > 1 for each in ended), [*map(str, ended)]


def test_slots_that_valkey_moves_by_itself(filled_valkey: Filled) -> None:
    cluster = filled_valkey.cluster
    ended: list[Ended] = []
    for _ in range(3):
        source, target, *_ = cluster.primaries()
        slots = sorted(source.myself().slots)[:MOST_SLOTS]
        ranges = [word for slot in slots for word in (slot, slot)]

        def disturb(_: Reading) -> None:
            time.sleep(UNDER_WAY)
            # As many ranges as there are slots, since these may lie anywhere.
            source.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", target.id())  # noqa: B023
            until("the slots have moved", lambda: target.myself().slots.issuperset(slots))  # noqa: B023

        options = cluster.options(**SLOW)
        ended.append(read_meanwhile(options, ["strings"], filled_valkey.content, disturb))
        cluster.settle()
    tell("half a million keys, slots moved by Valkey itself", ended)
    assert any(each.error is None and each.passes > 1 for each in ended), [*map(str, ended)]
