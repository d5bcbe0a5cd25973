"""Slots that move from one node to another, and the keys that lie in them."""

from contextlib import ExitStack
from random import Random
from types import TracebackType
from typing import Self

from tests.clusters import MIGRATE_MS, PAGE, Cluster
from tests.moving import Keys
from tests.oracle import Raw

AT_ONCE = 2_000
"""Commands sent before their replies are read."""


def fill(cluster: Cluster, *given: Keys) -> None:
    """Make keys on the nodes that own them."""
    owners = {slot: node for node in cluster.primaries() for slot in node.myself().slots}
    with ExitStack() as stack:
        pipes = {
            node: stack.enter_context(node.local_client()).pipeline(transaction=False)
            for node in cluster.primaries()
        }
        for keys in given:
            for name, command in keys.commands():
                pipe = pipes[owners[cluster.slot_of(name)]]
                pipe.execute_command(*command)
                if len(pipe) >= AT_ONCE:
                    pipe.execute()
        for pipe in pipes.values():
            pipe.execute()


class Resharding:
    """Moves slots of one node to another, quickly: nobody waits until all have heard of each.

    Were it between changing nodes, some would miss a move, and disagree for ever.

    Args:
        cluster: it must not fail over meanwhile, and is settled at the end.
        number: which of the primaries gives slots to the next.
    """

    def __init__(self, cluster: Cluster, number: int = 0) -> None:
        primaries = cluster.primaries()
        primaries = primaries[number % 3 :] + primaries[: number % 3]
        self._cluster = cluster
        self._source, self._target, *_ = primaries
        self._stack = ExitStack()
        self._calls = {
            node: Raw(self._stack.enter_context(node.local_client())) for node in primaries
        }
        self._ids = {node: node.id() for node in primaries}
        self._slots = sorted(self._source.myself().slots)
        Random(number).shuffle(self._slots)
        self.moved = 0
        """Slots that were moved so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        self._cluster.settle()

    def move(self) -> None:
        """Move another slot."""
        slot = self._slots.pop()
        source, target = self._source, self._target
        at_source, at_target = self._calls[source], self._calls[target]
        at_target("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source])
        at_source("CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target])
        while keys := at_source("CLUSTER", "GETKEYSINSLOT", slot, PAGE):
            at_source("MIGRATE", target.host, target.port, "", 0, MIGRATE_MS, "KEYS", *keys)
        others = [node for node in self._calls if node not in {source, target}]
        for node in (target, source, *others):
            self._calls[node]("CLUSTER", "SETSLOT", slot, "NODE", self._ids[target])
        self.moved += 1
