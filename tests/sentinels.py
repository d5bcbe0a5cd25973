"""A primary with replicas that sentinels watch over, and what may happen to them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import redis

from tests.deployments import Deployment, wait_for_copies
from tests.oracle import Raw
from tests.servers import Flavour, Server
from tests.waiting import until

MASTER = "mymaster"
"""What the sentinels call the primary with its replicas."""

REPLICAS = 2
SENTINELS = 3
QUORUM = 2
"""A majority, so that one sentinel may be missing."""

DOWN_AFTER_MS = 1_000
FAILOVER_TIMEOUT_MS = 5_000

PERIODS_MS = {"INFO-PERIOD": 500, "PUBLISH-PERIOD": 500, "PING-PERIOD": 200}
"""How often sentinels ask and tell, which otherwise is once in 10, 2 and 1 s.

For four publish periods they let a primary be that should be a replica: the one that was replaced,
but also the one that takes over, until they hear of it. That takes over a second, whatever the
periods are; with less than that they would undo their own failover, and wait 10 s for the next.
"""

TILT_TRIGGER_MS = 600_000
"""A sentinel that stood still for longer than this, otherwise 2 s, trusts nothing for 30 s."""

FAILOVER_ATTEMPT_SECONDS = 10.0
"""Twice their timeout, after which the sentinels may have given up."""


class Sentinel(Server):
    """A sentinel for one primary.

    Args:
        flavour: which server.
        primary: what it watches at first; it must have been started before.
        password: what its own clients must give, other sentinels too; none by default.
    """

    def __init__(self, flavour: Flavour, primary: Server, password: str | None = None) -> None:
        super().__init__(flavour, password=password)
        self._primary = primary

    def call(self, *command: Any) -> Any:
        """Give a command; the reply is what the sentinel sent, in bytes."""
        with self.local_client() as client:
            return Raw(client)(*command)

    def primary_port(self) -> int:
        """The port of what it takes for the primary."""
        _, port = self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(port)

    def states(self, kind: str) -> list[dict[str, str]]:
        """What it knows of the primary's REPLICAS, or of the other SENTINELS."""
        return [
            dict(zip(texts[::2], texts[1::2], strict=True))
            for each in self.call("SENTINEL", kind, MASTER)
            for texts in [[bytes(word).decode() for word in each]]
        ]

    def hurry(self) -> None:
        """Let it look more often, and on at once after a pause; it forgets that when it ends."""
        for name, milliseconds in (*PERIODS_MS.items(), ("TILT-TRIGGER", TILT_TRIGGER_MS)):
            self.call("SENTINEL", "DEBUG", name, milliseconds)

    def restart(self) -> Self:
        """Start it again after it was killed; it remembers what it knew."""
        super().restart()
        self.hurry()
        return self

    def _arguments(self) -> list[str]:
        # A sentinel keeps what it knows in its configuration, so that is not written twice.
        path = self._require_folder() / "sentinel.conf"
        if not path.exists() or f"port {self.port}\n" not in path.read_text():
            path.write_text("\n".join(self._settings()) + "\n")
        return [str(path), "--sentinel"]

    def _settings(self) -> Iterator[str]:
        yield f"port {self.port}"
        yield f"bind {self.host}"
        yield f"unixsocket {self.unix_socket}"
        yield f"dir {self._require_folder()}"
        yield "sentinel resolve-hostnames no"
        yield f"sentinel monitor {MASTER} {self._primary.host} {self._primary.port} {QUORUM}"
        yield f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}"
        yield f"sentinel failover-timeout {MASTER} {FAILOVER_TIMEOUT_MS}"
        if self._primary.password is not None:
            yield f'sentinel auth-pass {MASTER} "{self._primary.password}"'
        if self.password is not None:
            yield f'requirepass "{self.password}"'
            yield f'sentinel sentinel-pass "{self.password}"'


class Sentinels(Deployment):
    """A primary, two replicas, and three sentinels that agree by two.

    Args:
        flavour: which server; 7.0 or later, as the earlier ones cannot be told to hurry.
        password: what the default user must give, on the primary and the replicas.
        sentinel_password: what must be given to the sentinels. Neither may hold a blank, which
            a sentinel does not quote when it rewrites its configuration.
        config: further arguments of the primary and the replicas.
    """

    def __init__(
        self,
        flavour: Flavour,
        password: str | None = None,
        sentinel_password: str | None = None,
        config: Sequence[str] = (),
    ) -> None:
        config = [*config, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        if password is not None:
            config += ["--masterauth", password]
        self.flavour = flavour
        self.nodes = [Server(flavour, *config, password=password) for _ in range(1 + REPLICAS)]
        """The primary and the replicas, first the one that was the primary in the beginning."""
        self.sentinels = [
            Sentinel(flavour, self.nodes[0], sentinel_password) for _ in range(SENTINELS)
        ]
        """The sentinels."""

    @property
    def servers(self) -> Sequence[Server]:
        """The nodes, then the sentinels."""
        return [*self.nodes, *self.sentinels]

    def primary(self) -> Server:
        """The primary, as the first sentinel that runs says; it need not run itself."""
        port = self._voices()[0].primary_port()
        return next(node for node in self.nodes if node.port == port)

    def replicas(self) -> list[Server]:
        """The running nodes besides."""
        primary = self.primary()
        return [node for node in self.nodes if node.running and node is not primary]

    def client(self, **options: Any) -> redis.Redis:
        """A redis-py client of what is the primary now, in bytes; it does not follow a change."""
        return self.primary().client(**options)

    def options(self, **more: str) -> dict[str, str]:
        """The connector's options by way of all sentinels, and further ones."""
        options = {
            "mode": "sentinel",
            "nodes": ",".join(sentinel.address for sentinel in self.sentinels),
            "sentinel_master": MASTER,
        }
        if (password := self.nodes[0].password) is not None:
            options["password"] = password
        if (password := self.sentinels[0].password) is not None:
            options["sentinel_password"] = password
        return options | more

    def flush(self) -> None:
        """Empty the primary, and with it the replicas."""
        with self.client() as client:
            client.flushall()
        wait_for_copies(self.primary(), self.replicas())

    def fail_over(self) -> Server:
        """Let the sentinels make a replica the primary, and return it; it has all that was there.

        The one before goes on as a primary for two seconds more, and what it takes then is lost.
        """
        before = self.primary()
        wait_for_copies(before, self.replicas())
        until("the sentinels agree on another", partial(self._replaced, before))
        self.settle()
        return self.primary()

    def kill_primary(self) -> Server:
        """Kill the primary as a crash would, and return it.

        The replicas have all that it had. The sentinels make one of them the primary after some
        seconds, for which `settle` waits.
        """
        primary = self.primary()
        wait_for_copies(primary, self.replicas())
        primary.kill()
        return primary

    def restart(self, server: Server) -> None:
        """Start a killed server again, and wait until it has its place.

        A killed primary must have been replaced before, or it comes back empty and in charge.
        """
        server.restart()
        self.settle()

    @contextmanager
    def silence(self, number: int) -> Iterator[Sentinel]:
        """Let a sentinel stand still: it accepts and says nothing."""
        sentinel = self.sentinels[number]
        with sentinel.stopped():
            yield sentinel

    def _voices(self) -> list[Sentinel]:
        return [sentinel for sentinel in self.sentinels if sentinel.running]

    def _join(self) -> None:
        primary, *replicas = self.nodes
        for replica in replicas:
            with replica.local_client() as client:
                client.replicaof(primary.host, primary.port)
        for sentinel in self.sentinels:
            sentinel.hurry()

    def _replaced(self, before: Server) -> bool:
        if self._none_names(before):
            return True
        self._voices()[0].call("SENTINEL", "FAILOVER", MASTER)
        try:
            until("done", partial(self._none_names, before), FAILOVER_ATTEMPT_SECONDS)
        except TimeoutError:
            return False
        return True

    def _none_names(self, node: Server) -> bool:
        return all(sentinel.primary_port() != node.port for sentinel in self._voices())

    def _is_settled(self) -> bool:
        primary = self.primary()
        return (
            primary.running
            and all(each.primary_port() == primary.port for each in self._voices())
            and all(self._is_in_place(node, primary) for node in self.nodes if node.running)
            and all(self._knows_all(sentinel) for sentinel in self._voices())
        )

    @staticmethod
    def _is_in_place(node: Server, primary: Server) -> bool:
        with node.local_client() as client:
            state = client.info("replication")
        if node is primary:
            return bool(state["role"] == "master")
        return bool(
            state["role"] == "slave"
            and state["master_port"] == primary.port
            and state["master_link_status"] == "up"
        )

    def _knows_all(self, sentinel: Sentinel) -> bool:
        """Whether it knows the other sentinels, and as good replicas those servers that run.

        One that still had a new replica for a primary would undo the next failover to it.
        """
        good = {
            state["port"]
            for state in sentinel.states("REPLICAS")
            if state["flags"] == state["role-reported"] == "slave"
        }
        others = sentinel.states("SENTINELS")
        return good == {str(node.port) for node in self.replicas()} and len(others) == SENTINELS - 1
