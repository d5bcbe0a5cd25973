"""What is in a cluster, as an independent reader finds it on each of its primaries."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from tests import oracle
from tests.clusters import Cluster
from tests.deployments import wait_for_copies
from tests.nodes import Node
from tests.oracle import Raw, Row
from tests.servers import Server


def rows(cluster: Cluster, table: str, *, binary: bool = False) -> list[Row]:
    """The rows that a table of keys must have, in no particular order."""
    return list(chain(*(_rows(node, table, binary=binary) for node in cluster.primaries())))


def _rows(node: Node, table: str, *, binary: bool) -> list[Row]:
    with node.local_client() as client:
        return oracle.read(client, table, binary=binary)


def let_replicas_follow(cluster: Cluster) -> None:
    """Wait until all replicas have what their primaries have."""
    for primary in cluster.primaries():
        wait_for_copies(primary, cluster.replicas(primary))


@contextmanager
def counted(*servers: Server) -> Iterator[dict[str, int]]:
    """How often each command comes to servers meanwhile; known in the end."""
    calls: dict[str, int] = {}
    for server in servers:
        with server.local_client() as client:
            client.config_resetstat()
    yield calls
    for server in servers:
        with server.local_client() as client:
            for line in Raw(client)("INFO", "commandstats").decode().split():
                name, _, facts = line.partition(":")
                if name.startswith("cmdstat_"):
                    count = int(facts.split(",")[0].removeprefix("calls="))
                    command = name.removeprefix("cmdstat_")
                    calls[command] = calls.get(command, 0) + count
