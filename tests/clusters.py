"""A cluster of our own on the loopback interface, and what may happen to it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from redis.cluster import RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.deployments import Deployment, wait_for_copies
from tests.nodes import Member, Node
from tests.servers import Flavour
from tests.tls import Tls
from tests.waiting import until

SLOTS = REDIS_CLUSTER_HASH_SLOTS

PAGE = 100
"""Keys that one MIGRATE moves; both nodes stand still meanwhile."""

MIGRATE_MS = 60_000

FAILOVER_SECONDS = 7.0
"""After 5 s a replica gives up a failover that nobody voted for, and may be asked again."""


class Cluster(Deployment):
    """Primaries with the same number of slots each, and their replicas.

    What it does to its nodes goes over their Unix sockets, and each step waits until all nodes
    that run agree about who has what.

    Args:
        flavour: which server; Redis 7.0 or Valkey 9.1, as the others cannot choose a bus port.
        primaries: how many.
        replicas: how many for each of them.
        config: further arguments for all nodes.
        password: what the default user must give, on each node; none by default.
        tls: how their ports and the bus speak TLS; they do not by default.
    """

    def __init__(
        self,
        flavour: Flavour,
        primaries: int = 3,
        replicas: int = 1,
        *config: str,
        password: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        if password is not None:
            config = ("--masterauth", password, *config)
        self.flavour = flavour
        self.password = password
        self.tls = tls
        self.nodes = [
            Node(flavour, *config, password=password, tls=tls)
            for _ in range(primaries * (1 + replicas))
        ]
        """All nodes, those first that were primaries in the beginning."""
        self._width = primaries

    @property
    def servers(self) -> Sequence[Node]:
        """The nodes."""
        return self.nodes

    def running(self) -> list[Node]:
        """The nodes that have a process which does not stand still."""
        return [node for node in self.nodes if node.running]

    def primaries(self) -> list[Node]:
        """The running nodes that take themselves for primaries now, by their lowest slot."""
        known = [(node, node.myself()) for node in self.running()]
        found = [(node, myself) for node, myself in known if myself.primary_id is None]
        found.sort(key=lambda each: min(each[1].slots, default=SLOTS))
        return [node for node, _ in found]

    def replicas(self, primary: Node | None = None) -> list[Node]:
        """The running nodes that are replicas now, of one primary or of any."""
        of = None if primary is None else primary.id()
        known = [(node, node.myself().primary_id) for node in self.running()]
        return [node for node, its in known if its is not None and of in {None, its}]

    def primary_of(self, slot: int) -> Node:
        """The running node that owns a slot."""
        known = [(node, node.myself()) for node in self.running()]
        claims = [(myself.epoch, node) for node, myself in known if slot in myself.slots]
        assert claims, f"no running node owns slot {slot}"
        return max(claims, key=lambda claim: claim[0])[1]

    @staticmethod
    def slot_of(key: bytes | str) -> int:
        """The slot in which a key is."""
        return key_slot(key.encode() if isinstance(key, str) else key)

    def client(self, **options: Any) -> RedisCluster:
        """A redis-py client of the whole cluster, in bytes."""
        node = self.running()[0]
        tls = {} if self.tls is None else self.tls.client_options()
        options = {"password": self.password, "protocol": 2, "socket_timeout": 60} | tls | options
        return RedisCluster(node.host, node.port, **options)

    def options(self, **more: str) -> dict[str, str]:
        """The connector's options by way of the first node that runs, and further ones."""
        return self.running()[0].options(mode="cluster") | more

    def flush(self) -> None:
        """Empty the cluster, replicas too."""
        for primary in self.primaries():
            primary.call("FLUSHALL")
            wait_for_copies(primary, self.replicas(primary))

    def move_slot(self, slot: int, target: Node) -> None:
        """Move a slot with all its keys to another primary."""
        self.open_slot(slot, target, keys=0)
        self.close_slot(slot)

    def open_slot(self, slot: int, target: Node, keys: int = 0) -> None:
        """Begin to move a slot to another primary, and leave it open after so many keys."""
        source = self.primary_of(slot)
        self._open(slot, source, target)
        while keys > 0:
            moved = self._move_keys(slot, source, target, min(keys, PAGE))
            if moved == 0:
                break
            keys -= moved

    def close_slot(self, slot: int) -> None:
        """Move the rest of an open slot, and let everybody know."""
        source = self.primary_of(slot)
        primaries = self.primaries()
        target = next(node for node in primaries if slot in node.myself().importing)
        # Where the source has failed over, it has forgotten the move, and the target the source.
        target.call("CLUSTER", "SETSLOT", slot, "NODE", source.id())
        self._open(slot, source, target)
        while self._move_keys(slot, source, target, PAGE):
            pass
        # The target first: from then on it takes everything, and nothing falls between the two.
        others = [node for node in primaries if node not in {source, target}]
        for node in (target, source, *others):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id())
        self.settle()

    def fail_over(self, primary: Node) -> Node:
        """Let a running primary hand over to its replica, which is returned.

        A slot that it was moving stays open. In Valkey the replica goes on with the move; in Redis
        it knows of none, and the target is down, until `close_slot`.
        """
        replica = self.replicas(primary)[0]
        until("the replica takes over", partial(self._takes_over, replica))
        self.settle()
        return replica

    def kill_primary(self, number: int = 0) -> Node:
        """Kill one of `primaries()` as a crash would, and return it.

        Its replicas have all that it had. One takes over after some seconds, for which `settle`
        waits; without replicas, the cluster is down until `restart`.
        """
        primary = self.primaries()[number]
        wait_for_copies(primary, self.replicas(primary))
        primary.kill()
        return primary

    def restart(self, node: Node) -> None:
        """Start a killed node again: as a replica, or empty if nobody took over from it."""
        node.restart()
        self.settle()

    def _join(self) -> None:
        primaries, replicas = self.nodes[: self._width], self.nodes[self._width :]
        for epoch, node in enumerate(self.nodes, 1):
            # Otherwise all begin with the same, and settle that among themselves, slowly.
            node.call("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for primary, (first, last) in zip(primaries, self._ranges(), strict=True):
            primary.call("CLUSTER", "ADDSLOTSRANGE", first, last)
        for position, node in enumerate(self.nodes):
            # Each pair, as rumours would take seconds.
            for other in self.nodes[:position]:
                node.meet(other)
        for position, replica in enumerate(replicas):
            primary_id = primaries[position % self._width].id()
            until("the replica knows its primary", partial(self._knows, replica, primary_id))
            replica.call("CLUSTER", "REPLICATE", primary_id)

    def _ranges(self) -> Iterator[tuple[int, int]]:
        for number in range(self._width):
            yield (
                SLOTS * number // self._width,
                SLOTS * (number + 1) // self._width - 1,
            )

    @staticmethod
    def _knows(node: Node, other: str) -> bool:
        return any(m.id == other and "handshake" not in m.flags for m in node.members())

    @staticmethod
    def _takes_over(replica: Node) -> bool:
        if replica.myself().primary_id is None:
            return True
        replica.call("CLUSTER", "FAILOVER")
        try:
            until("done", lambda: replica.myself().primary_id is None, FAILOVER_SECONDS)
        except TimeoutError:
            return False
        return True

    def _is_settled(self) -> bool:
        running = self.running()
        views = [node.members() for node in running]
        selves = [m for view in views for m in view if "myself" in m.flags]
        owned = [slot for myself in selves for slot in myself.slots]
        return (
            len(owned) == SLOTS == len(set(owned))
            and all(self._agrees(view, selves) for view in views)
            and all(node.is_well() for node in running)
        )

    @staticmethod
    def _agrees(view: list[Member], selves: list[Member]) -> bool:
        seen = {member.id: member for member in view}
        # Of these it may not know whose they are: see `Node.is_well`.
        excused = next(member.importing for member in view if "myself" in member.flags)
        return all(
            myself.id in seen
            and seen[myself.id].primary_id == myself.primary_id
            and seen[myself.id].slots ^ myself.slots <= excused
            and not seen[myself.id].flags & {"handshake", "fail", "fail?", "noaddr"}
            for myself in selves
        )

    @staticmethod
    def _open(slot: int, source: Node, target: Node) -> None:
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id())
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id())

    def _move_keys(self, slot: int, source: Node, target: Node, count: int) -> int:
        keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            auth = () if self.password is None else ("AUTH", self.password)
            where = (target.host, target.port, "", 0, MIGRATE_MS)
            source.call("MIGRATE", *where, "REPLACE", *auth, "KEYS", *keys)
        return len(keys)
