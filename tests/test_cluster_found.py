"""A cluster is found by way of any of its nodes, and refused where it is not whole."""

from collections.abc import Iterator

import pytest
from lakeflow_redis import (
    ConfigurationError,
    LakeflowConnect,
    RedisConnectionError,
    TopologyChangedError,
)

from tests.certificates import Certificates
from tests.clusters import Cluster
from tests.failing import DEADLINES, complaint, failure
from tests.hearsay import silent
from tests.nodes import Node
from tests.servers import HOST, REDIS_7_0, Server, free_port
from tests.waiting import until

KEYS = 300


def fill(cluster: Cluster) -> None:
    """Empty a cluster, and make keys on all nodes."""
    cluster.flush()
    with cluster.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", "v")


def assert_whole(options: dict[str, str]) -> None:
    """Fail unless a read has all keys."""
    names = [row["key_name"] for row in LakeflowConnect(options).read_table("strings")[0]]
    assert sorted(names) == sorted(f"key:{number}" for number in range(KEYS))


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_any_node_leads_to_all_others(cluster: Cluster, mode: str) -> None:
    fill(cluster)
    for node in cluster.nodes:
        assert_whole(node.options(mode=mode))
        assert_whole({"url": f"redis://{node.address}", "mode": mode})


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_nodes_that_are_not_there_are_passed_over(one_cluster: Cluster, mode: str) -> None:
    fill(one_cluster)
    nodes = [f"{HOST}:{free_port()}", f"{HOST}:{free_port()}", one_cluster.nodes[4].address]
    assert_whole({"nodes": ",".join(nodes), "mode": mode})
    assert_whole({"nodes": ",".join(reversed(nodes)), "mode": mode})


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_a_node_that_is_of_no_cluster_does_not_hide_the_others(
    one_cluster: Cluster, mode: str
) -> None:
    fill(one_cluster)
    with Node(REDIS_7_0) as alone:
        nodes = [alone.address, one_cluster.nodes[1].address]
        assert_whole({"nodes": ",".join(nodes), "mode": mode})
        assert "nobody in the cluster has slots 0-16383" in complaint(alone.options(mode=mode))


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_nodes_none_of_which_is_there_are_an_error(mode: str) -> None:
    nodes = [f"{HOST}:{free_port()}" for _ in range(3)]
    error = failure({"nodes": ",".join(nodes), "mode": mode} | DEADLINES)
    assert isinstance(error, RedisConnectionError)
    assert nodes[0] in str(error)


def test_a_unix_socket_does_not_lead_to_a_cluster_or_to_all_of_it(one_cluster: Cluster) -> None:
    fill(one_cluster)
    assert_whole({"unix_socket_path": one_cluster.nodes[1].unix_socket})


def test_a_server_alone_is_no_cluster(one_server: Server) -> None:
    error = failure(one_server.options(mode="cluster"))
    assert type(error) is ConfigurationError
    assert "`mode`" in str(error)
    several = f"{one_server.address},localhost:{one_server.port}"
    error = failure({"nodes": several})
    assert type(error) is ConfigurationError
    assert "`nodes`" in str(error)


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_a_silent_node_costs_one_deadline(one_cluster: Cluster, mode: str) -> None:
    fill(one_cluster)
    with silent() as (address, met):
        nodes = f"{address},{one_cluster.nodes[3].address}"
        assert_whole({"nodes": nodes, "mode": mode, "socket_timeout": "1"})
        assert len(met) == 1


def test_a_silent_node_costs_one_deadline_over_tls(certificates: Certificates) -> None:
    tls = certificates.tls()
    with Cluster(REDIS_7_0, 3, 0, tls=tls) as cluster, silent() as (address, met):
        fill(cluster)
        nodes = f"{address},{cluster.nodes[0].address}"
        deadlines = {"socket_timeout": "1", "socket_connect_timeout": "1"}
        assert_whole({"nodes": nodes, "mode": "cluster"} | deadlines | tls.options())
        assert len(met) == 1


def test_a_node_that_stands_still_is_passed_over(one_cluster: Cluster) -> None:
    fill(one_cluster)
    replica, *others = one_cluster.replicas()
    nodes = f"{replica.address},{others[0].address}"
    with replica.stopped():
        assert_whole({"nodes": nodes, "mode": "cluster", "socket_timeout": "1"})
    one_cluster.settle()


def test_a_primary_that_stands_still_is_named() -> None:
    with Cluster(REDIS_7_0, 3, 0) as cluster:
        fill(cluster)
        silent, other, _ = cluster.primaries()
        with silent.stopped():
            error = failure({"nodes": other.address, "mode": "cluster"} | DEADLINES)
    assert isinstance(error, RedisConnectionError | TopologyChangedError)
    assert silent.address in str(error)


# Not whole


@pytest.fixture
def bare() -> Iterator[Cluster]:
    """A cluster without replicas that goes on with some slots missing."""
    with Cluster(REDIS_7_0, 3, 0, "--cluster-require-full-coverage", "no") as cluster:
        fill(cluster)
        yield cluster


def assert_incomplete(node: Node, words: str) -> None:
    """Fail unless reading by way of a node is refused at once, with these words."""
    connector = LakeflowConnect(node.options(mode="cluster"))
    with pytest.raises(TopologyChangedError, match=words):
        connector.read_table("strings")


def test_slots_that_nobody_has_are_named(bare: Cluster) -> None:
    for node in bare.nodes:
        node.call("CLUSTER", "DELSLOTSRANGE", 5, 7, 9000, 9000)
    for node in bare.nodes:
        assert_incomplete(node, "slots 5-7, 9000")
    connector = LakeflowConnect(bare.options(mode="auto"))
    for table in ("streams", "server_info"):
        with pytest.raises(TopologyChangedError, match="slots 5-7, 9000"):
            connector.read_table(table)
    with pytest.raises(TopologyChangedError, match="slots 5-7, 9000"):
        connector.read_tables(["keys", "hashes"])
    assert "slots 5-7, 9000" in complaint(bare.options())


def test_slots_that_their_owner_disclaims_are_an_error_by_way_of_any_node(bare: Cluster) -> None:
    owner = bare.primary_of(6)
    owner.call("CLUSTER", "DELSLOTSRANGE", 5, 7)
    assert_incomplete(owner, "slots 5-7")
    for node in bare.nodes:
        assert_incomplete(node, "slots")


def test_a_cluster_without_one_of_its_primaries_is_an_error(bare: Cluster) -> None:
    killed = bare.kill_primary(1)
    others = [node for node in bare.nodes if node is not killed]
    for given_up in (False, True):
        if given_up:
            until("it is given up", lambda: all(fails(node, killed) for node in others))
        for node in others:
            error = failure(node.options(mode="cluster") | DEADLINES)
            assert isinstance(error, RedisConnectionError | TopologyChangedError)
            assert killed.address in str(error)


def fails(node: Node, other: Node) -> bool:
    """Whether a node takes another for failed."""
    reply = bytes(node.call("CLUSTER", "NODES")).decode()
    (line,) = (line for line in reply.splitlines() if f"{other.address}@" in line)
    return "fail" in line.split()[2].split(",")


def test_replicas_are_not_read_where_there_are_none(bare: Cluster) -> None:
    error = failure(bare.options(read_from="replica") | DEADLINES)
    assert type(error) is TopologyChangedError
    assert "`read_from`" in str(error)


def test_a_node_that_was_forgotten_is_no_cluster_of_its_own(bare: Cluster) -> None:
    forgotten = bare.nodes[0]
    forgotten.call("FLUSHALL")
    forgotten.call("CLUSTER", "RESET")
    assert_incomplete(forgotten, "slots 0-16383")
