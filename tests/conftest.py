"""Running servers, emptied databases and connectors for the tests."""

from collections.abc import Iterator
from typing import Protocol

import pytest
import redis
from lakeflow_redis import LakeflowConnect

from tests import canary
from tests.servers import FLAVOURS, REDIS_7_0, Flavour, Server, ServerPool


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
