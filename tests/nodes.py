"""A node of a cluster: a server with a bus, and what it says of the others."""

from dataclasses import dataclass
from typing import Any, Self

from tests.oracle import Raw
from tests.servers import Server, free_port

CONFIG = (
    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
    *("--cluster-node-timeout", "2000"),
    # A replica may take over however long it was cut off; otherwise nobody would, in a test.
    *("--cluster-replica-validity-factor", "0"),
    # Replicas sync at once, instead of waiting 5 s for others that may want the same.
    *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
)


@dataclass(frozen=True)
class Member:
    """A node as some node knows it: a line of CLUSTER NODES."""

    id: str
    flags: frozenset[str]
    primary_id: str | None
    """The id of the node whose replica it is."""
    epoch: int
    """Of two nodes that claim a slot, the one with the higher epoch has it."""
    slots: frozenset[int]
    importing: frozenset[int]
    """The open slots that it gets; a node knows them only of itself."""

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line."""
        name, _, flags, primary, _, _, epoch, _, *ranges = line.split()
        slots: set[int] = set()
        importing: set[int] = set()
        for each in ranges:
            if each.startswith("["):
                slot, coming, _ = each.removeprefix("[").partition("-<-")
                if coming:
                    importing.add(int(slot))
            else:
                first, _, last = each.partition("-")
                slots.update(range(int(first), int(last or first) + 1))
        return cls(
            name,
            frozenset(flags.split(",")),
            None if primary == "-" else primary,
            int(epoch),
            frozenset(slots),
            frozenset(importing),
        )


class Node(Server):
    """A server that is a node of a cluster; it takes what a `Server` takes."""

    bus_port = 0
    """Where the other nodes reach it."""

    def call(self, *command: Any) -> Any:
        """Give a command; the reply is what the node sent, in bytes."""
        with self.local_client() as client:
            return Raw(client)(*command)

    def info(self, section: str) -> dict[str, Any]:
        """A section of INFO."""
        with self.local_client() as client:
            found: dict[str, Any] = client.info(section)
            return found

    def id(self) -> str:
        """The name under which the nodes know it."""
        return bytes(self.call("CLUSTER", "MYID")).decode()

    def members(self) -> list[Member]:
        """All nodes as this one knows them, itself among them."""
        reply = bytes(self.call("CLUSTER", "NODES")).decode()
        return [Member.parse(line) for line in reply.splitlines()]

    def myself(self) -> Member:
        """The node as it sees itself."""
        return next(member for member in self.members() if "myself" in member.flags)

    def meet(self, other: "Node") -> None:
        """Tell it where another node is; the two introduce themselves by and by."""
        self.call("CLUSTER", "MEET", other.host, other.port, other.bus_port)

    def is_well(self) -> bool:
        """Whether it knows an owner for each slot and, as a replica, follows its primary.

        One that imports a slot may be without: where Redis fails over from that slot's owner, it
        knows the slot for nobody's until somebody tells it, and takes the cluster for down.
        """
        reply = bytes(self.call("CLUSTER", "INFO")).decode()
        health = dict(line.split(":", 1) for line in reply.split())
        whole = health["cluster_state"] == "ok" and health["cluster_slots_ok"] == "16384"
        linked: str = self.info("replication").get("master_link_status", "up")
        return linked == "up" and (whole or bool(self.myself().importing))

    def _choose_ports(self) -> None:
        super()._choose_ports()
        # Its own choice, 10,000 above the port, may not exist.
        self.bus_port = free_port()

    def _arguments(self) -> list[str]:
        # The further arguments of the test come last and may differ.
        own = super()._arguments()
        return [*CONFIG, "--cluster-port", str(self.bus_port), *own]
