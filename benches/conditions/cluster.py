"""What reading a cluster's nodes side by side is worth."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from functools import partial

from redis.crc import key_slot

from benches.conditions.delay import distant
from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import read
from benches.data import FAMILIES, Command, Family, send
from benches.limits import Limit
from benches.running import ReadFailedError
from tests.clusters import Cluster
from tests.nodes import Node
from tests.servers import HOST, REDIS_7_0, Server
from tests.waiting import until

NODES = 3
TABLES = ("strings", "hashes", "sorted_sets")
TURNS = 3
DELAY_SECONDS = 0.005
"""Each way."""
SHARE = "0.25"
"""Of its time that each server gives to the read, so that three and the reader fit two cores."""

WANTED = Wanted("at most 0.5 × the time of node after node", Limit(0.5))


def findings(scale: Fraction) -> Iterator[Finding]:
    """Read a cluster, and servers alone that hold the same keys one after the other."""
    alone = [Server(REDIS_7_0) for _ in range(NODES)]
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(REDIS_7_0, NODES, 0))
        for server in alone:
            stack.enter_context(server)
        primaries = cluster.primaries()
        for family in FAMILIES:
            if family.table in TABLES:
                spread(cluster, primaries, alone, family, scale)
        cases: list[tuple[str, str, Sequence[str], dict[str, str]]] = []
        near = [f"redis://{HOST}:{server.port}" for server in alone]
        seed = f"redis://{HOST}:{primaries[0].port}"
        cases.append(("loopback", seed, near, {}))
        cases.append(
            (f"each server at {SHARE} of its time", seed, near, {"max_server_share": SHARE})
        )
        yield from compare(scale, cases)
        far = [stack.enter_context(distant(HOST, server.port, DELAY_SECONDS)) for server in alone]
        lines = [stack.enter_context(distant(HOST, node.port, DELAY_SECONDS)) for node in primaries]
        for node, port in zip(primaries, lines, strict=True):
            node.call("CONFIG", "SET", "cluster-announce-port", port)
        until("all nodes know the ports", announced(cluster, lines))
        away = [f"redis://{HOST}:{port}" for port in far]
        name = f"{DELAY_SECONDS * 1000:g} ms each way"
        seed = f"redis://{HOST}:{lines[0]}"
        yield from compare(
            scale,
            [
                (name, seed, away, {}),
                (f"{name}, {SHARE} of each server's time", seed, away, {"max_server_share": SHARE}),
            ],
        )


def spread(
    cluster: Cluster,
    primaries: Sequence[Node],
    alone: Sequence[Server],
    family: Family,
    scale: Fraction,
) -> None:
    """Write a family's keys to the nodes whose slots they have, and to a server for each node."""
    owners = {slot: place for place, node in enumerate(primaries) for slot in node.myself().slots}
    for place, (node, server) in enumerate(zip(primaries, alone, strict=True)):

        def commands(place: int = place) -> Iterator[Command]:
            for number in range(family.count(scale)):
                for command in family.commands(number):
                    if owners[key_slot(str(command[1]).encode())] == place:
                        yield command

        for target in (node, server):
            send(target.host, target.port, commands())


def announced(cluster: Cluster, ports: Sequence[int]) -> Callable[[], bool]:
    """Whether each node sends clients to these ports."""

    def are_known() -> bool:
        known = [
            {int(shard[2][1]) for shard in node.call("CLUSTER", "SLOTS")} for node in cluster.nodes
        ]
        return all(ports_known == set(ports) for ports_known in known)

    return are_known


def compare(
    scale: Fraction, cases: Sequence[tuple[str, str, Sequence[str], dict[str, str]]]
) -> Iterator[Finding]:
    """Measure each case for each table, by turns, and judge the best."""
    for name, seed, servers, options in cases:
        for family in FAMILIES:
            if family.table in TABLES:
                measure = partial(ratio, family, scale, seed, servers, options)
                yield WANTED.attempt(f"{family.table}, {name}", measure)


def ratio(
    family: Family, scale: Fraction, seed: str, servers: Sequence[str], options: dict[str, str]
) -> tuple[str, float]:
    """The cluster's time over the sum of the servers'."""
    rows = family.count(scale) * family.rows_per_key
    together = apart = float("inf")
    for _ in range(TURNS):
        together = min(together, read(seed, family.table, rows, options).wall_seconds)
        apart = min(apart, one_by_one(servers, family.table, rows, options))
    return f"cluster {together:.2f} s, node after node {apart:.2f} s", together / apart


def one_by_one(servers: Sequence[str], table: str, rows: int, options: dict[str, str]) -> float:
    """How long the servers take, each read when the one before is through.

    Raises:
        ReadFailedError: not all rows came.
    """
    samples = [read(url, table, None, options) for url in servers]
    found = sum(sample.rows for sample in samples)
    if found != rows:
        raise ReadFailedError(f"{found:,} rows of {table} came; {rows:,} are there")
    return sum(sample.wall_seconds for sample in samples)


CLUSTER = Condition(
    "cluster",
    "Cluster",
    f"A cluster of {NODES} primaries beside {NODES} servers that hold the same keys as one node each and are "
    "read one after the other, all on one machine. At a share of its time, a server is idle "
    "otherwise, as if it had a core of its own. Through proxies that delay every byte each way. "
    f"The best of {TURNS} turns.",
    findings,
)
