"""Running servers, emptied databases and connectors for the tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Protocol

import pytest
import redis
from lakeflow_redis import LakeflowConnect
from pyspark.sql import SparkSession

from tests import canary
from tests import spark as sessions
from tests.certificates import Certificates
from tests.clusters import Cluster
from tests.sentinels import Sentinels
from tests.servers import FLAVOURS, REDIS_7_0, VALKEY_9_1, Flavour, Server, ServerPool

# Spark's many JVMs live too short to earn back what their best compiler and collector cost.
os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class Connect(Protocol):
    """Makes a connector for the test's server; further options go over the defaults."""

    def __call__(self, **options: str) -> LakeflowConnect: ...


def make_connect(server: Server) -> Connect:
    """A factory of connectors for one server."""

    def connect(**options: str) -> LakeflowConnect:
        return LakeflowConnect(server.options(**options))

    return connect


@pytest.fixture(scope="session")
def pool() -> Iterator[ServerPool]:
    """The servers that all tests share, one of each flavour."""
    pool = ServerPool()
    yield pool
    pool.stop()


@pytest.fixture(scope="session", params=FLAVOURS, ids=str)
def server(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """Each server in turn: a test that asks for it runs on all of them."""
    flavour: Flavour = request.param
    return pool.get(flavour)


@pytest.fixture(scope="session")
def one_server(pool: ServerPool) -> Server:
    """One server, for what does not depend on its version."""
    return pool.get(REDIS_7_0)


@pytest.fixture(scope="session", params=FLAVOURS, ids=str)
def locked_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each server in turn, whose default user has the password `canary.PASSWORD`."""
    with Server(request.param, password=canary.PASSWORD) as server:
        yield server


@pytest.fixture(scope="session")
def one_locked_server() -> Iterator[Server]:
    """One such server."""
    with Server(REDIS_7_0, password=canary.PASSWORD) as server:
        yield server


@pytest.fixture(
    scope="session", params=[flavour for flavour in FLAVOURS if flavour.has_acl], ids=str
)
def acl_server(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """Each server that knows users, in turn."""
    flavour: Flavour = request.param
    return pool.get(flavour)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for servers and clients, good and bad ones."""
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls_server(certificates: Certificates) -> Iterator[Server]:
    """A server whose port speaks TLS, and that asks its clients for nothing."""
    with Server(REDIS_7_0, tls=certificates.tls()) as server:
        yield server


@pytest.fixture(scope="session")
def mtls_server(certificates: Certificates) -> Iterator[Server]:
    """A server whose port speaks TLS, and that takes only clients with a certificate."""
    with Server(REDIS_7_0, tls=certificates.tls("yes")) as server:
        yield server


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[Flavour], Cluster]]:
    """The clusters that all tests share, one of each flavour, started when first asked for."""
    with ExitStack() as stack:
        yield cache(lambda flavour: stack.enter_context(Cluster(flavour)))


@pytest.fixture(scope="session", params=[REDIS_7_0, VALKEY_9_1], ids=str)
def cluster(request: pytest.FixtureRequest, clusters: Callable[[Flavour], Cluster]) -> Cluster:
    """A cluster of three primaries with a replica each, of either product in turn.

    It is for all tests: one that moves slots or fails over leaves it whole, and one that kills
    or does not end a move starts its own.
    """
    return clusters(request.param)


@pytest.fixture(scope="session")
def one_cluster(clusters: Callable[[Flavour], Cluster]) -> Cluster:
    """One such cluster, for what does not depend on the product."""
    return clusters(REDIS_7_0)


@pytest.fixture(scope="session")
def sentinels() -> Iterator[Sentinels]:
    """A primary and two replicas with three sentinels, for all tests like `cluster`."""
    with Sentinels(REDIS_7_0) as sentinels:
        yield sentinels


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A Spark session in this process; starting one takes as long as a dozen reads."""
    spark = sessions.start(tmp_path_factory.mktemp("spark"))
    yield spark
    spark.stop()


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A client on the emptied database 0 of `server`."""
    with server.client() as client:
        client.flushdb()
        yield client


@pytest.fixture
def one_client(one_server: Server) -> Iterator[redis.Redis]:
    """A client on the emptied database 0 of `one_server`."""
    with one_server.client() as client:
        client.flushdb()
        yield client


@pytest.fixture
def connect(server: Server, client: redis.Redis) -> Connect:
    """Makes connectors for `server`, whose database 0 is empty at first."""
    return make_connect(server)


@pytest.fixture
def one_connect(one_server: Server, one_client: redis.Redis) -> Connect:
    """Makes connectors for `one_server`, whose database 0 is empty at first."""
    return make_connect(one_server)
