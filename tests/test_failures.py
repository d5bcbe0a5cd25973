"""What goes wrong with a server is a typed error that names the place and shows no password."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest
import redis
from lakeflow_redis import (
    AuthenticationError,
    ConfigurationError,
    LakeflowConnect,
    ProtocolError,
    RedisConnectionError,
    RedisTimeoutError,
    ServerError,
    TopologyChangedError,
)

from tests import canary, data, loading, peers
from tests.contract import TABLES
from tests.failing import DEADLINES, SOON, complaint, failure
from tests.servers import HOST, REDIS_7_0, Server, free_port
from tests.users import add_user


def options_for(port: int, **more: str) -> dict[str, str]:
    """Options for a peer on a port, with the canary for a password and short deadlines."""
    return {"host": HOST, "port": str(port), "password": canary.PASSWORD} | DEADLINES | more


def address(port: int | str) -> str:
    """A peer as errors name it."""
    return f"{HOST}:{port}"


def test_a_wrong_password_is_refused(locked_server: Server) -> None:
    options = locked_server.options(password=canary.WRONG_PASSWORD)
    error = failure(options)
    assert type(error) is AuthenticationError
    assert address(locked_server.port) in str(error)
    assert address(locked_server.port) in complaint(options)


def test_a_wrong_password_in_a_url_is_refused(locked_server: Server) -> None:
    url = f"redis://:{canary.WRONG_PASSWORD}@{address(locked_server.port)}/0"
    error = failure({"url": url})
    assert type(error) is AuthenticationError
    assert address(locked_server.port) in str(error)


def test_no_password_where_one_is_needed_is_refused(locked_server: Server) -> None:
    options = {"host": HOST, "port": str(locked_server.port)}
    error = failure(options)
    assert type(error) is AuthenticationError
    assert "password" in str(error).lower() or "auth" in str(error).lower()
    assert complaint(options)


def test_a_password_where_none_is_needed_is_refused(server: Server) -> None:
    assert type(failure(server.options(password=canary.WRONG_PASSWORD))) is AuthenticationError


def test_the_right_password_is_taken(locked_server: Server) -> None:
    connector = LakeflowConnect(locked_server.options())
    assert connector.test_connection()["status"] == "success"
    assert len(connector.read_table("server_info")[0]) > 0


def test_users_have_passwords_of_their_own(acl_server: Server) -> None:
    with acl_server.client() as client:
        add_user(client, "someone", "~*", "+@all")
    right = acl_server.options(username="someone", password=canary.PASSWORD)
    assert LakeflowConnect(right).test_connection()["status"] == "success"
    wrong = right | {"password": canary.WRONG_PASSWORD}
    assert type(failure(wrong)) is AuthenticationError
    assert type(failure(right | {"username": "nobody"})) is AuthenticationError


@pytest.mark.parametrize("table", TABLES)
def test_a_closed_port_is_named_when_the_table_is_read(table: str) -> None:
    port = free_port()
    connector = LakeflowConnect(options_for(port))
    # Not only once the rows are consumed.
    with pytest.raises(RedisConnectionError, match=address(port)) as caught:
        connector.read_table(table)
    canary.assert_unseen(caught.value)
    assert address(port) in complaint(options_for(port))


def test_connection_errors_are_also_pythons_own() -> None:
    with pytest.raises(ConnectionError):
        LakeflowConnect(options_for(free_port())).read_table("strings")


def test_a_socket_that_is_not_there_is_named() -> None:
    path = "/no-such-folder/redis.sock"
    error = failure({"unix_socket_path": path})
    assert isinstance(error, RedisConnectionError)
    assert path in str(error)


def test_a_host_that_has_no_address_is_named() -> None:
    # Longer than a name may be, so that no name server is asked.
    host = "x" * 64 + ".invalid"
    error = failure({"host": host, "password": canary.PASSWORD} | DEADLINES)
    assert isinstance(error, RedisConnectionError)
    assert host in str(error)


def test_a_web_server_is_no_redis() -> None:
    with peers.http() as port:
        error = failure(options_for(port))
        assert type(error) is ProtocolError
        assert address(port) in str(error)
        assert address(port) in complaint(options_for(port))


def test_a_peer_that_hangs_up_is_a_lost_connection() -> None:
    with peers.closing() as port:
        error = failure(options_for(port))
        assert isinstance(error, RedisConnectionError)
        assert address(port) in str(error)


@pytest.mark.parametrize(
    ("peer", "option"),
    [(peers.silent, "socket_timeout"), (peers.full, "socket_connect_timeout")],
    ids=["silent", "full"],
)
def test_a_peer_that_says_nothing_is_given_up_at_the_deadline(
    peer: Callable[[], AbstractContextManager[int]], option: str
) -> None:
    with peer() as port:
        error = failure(options_for(port))
        assert type(error) is RedisTimeoutError
        assert isinstance(error, TimeoutError)
        assert address(port) in str(error)
        assert option in str(error)
        assert address(port) in complaint(options_for(port))


def test_a_server_that_falls_silent_is_given_up_at_the_deadline(one_server: Server) -> None:
    connector = LakeflowConnect(one_server.options(**DEADLINES))
    began = time.monotonic()
    with one_server.stopped(), pytest.raises(RedisTimeoutError):
        connector.read_table("streams")
    assert time.monotonic() - began < SOON


NOT_REPLIES = {
    "a length in scientific notation": b"$9e18\r\n",
    "a length below zero": b"$-2\r\n",
    "a length past memory": b"$9223372036854775807\r\n",
    "a count past memory": b"*9223372036854775807\r\n",
    "a count below zero": b"*-2\r\n",
    "an unknown type": b"?what\r\n",
    "an empty line": b"\r\n",
    "NUL": b"\0\0\0\0",
    "an integer that is none": b":12x\r\n",
    "nested arrays": b"*1\r\n" * 1_000_000,
    "a line without an end": b"+" + b"x" * 10_000_000,
    "a greeting": b"220 mail.example.com ESMTP\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
}


@pytest.mark.parametrize("answer", NOT_REPLIES.values(), ids=NOT_REPLIES.keys())
def test_nonsense_is_an_error_that_names_the_peer(answer: bytes) -> None:
    with peers.saying(answer) as port:
        error = failure(options_for(port))
        assert isinstance(error, (ProtocolError, RedisConnectionError)), error
        assert address(port) in str(error)
        assert len(str(error)) < 2000


def test_an_error_line_that_is_no_text_is_an_error_all_the_same() -> None:
    with peers.saying(b"-ERR \xff\xfe\0\r\n" * 10) as port:
        error = failure(options_for(port))
        assert address(port) in str(error)


def test_a_reply_that_breaks_off_is_given_up_at_the_deadline() -> None:
    with peers.saying(b"+OK\r\n+OK\r\n$100\r\nredis_version:7") as port:
        assert type(failure(options_for(port))) is RedisTimeoutError


def test_a_database_that_the_server_does_not_have_is_a_configuration_error(
    server: Server,
) -> None:
    error = failure(server.options(db="9999"))
    assert type(error) is ConfigurationError
    assert "`db`" in str(error)


def test_the_connection_test_tells_its_causes_apart(acl_server: Server) -> None:
    with acl_server.client() as client:
        add_user(client, "someone", "~*", "+@all", "-info", "-ping")
    someone = acl_server.options(username="someone", password=canary.PASSWORD)
    unreachable = complaint(options_for(free_port()))
    refused = complaint(someone | {"password": canary.WRONG_PASSWORD})
    forbidden = complaint(someone)
    assert "connect" in unreachable.lower()
    assert "credentials" in refused.lower()
    assert "permit" in forbidden.lower()
    assert "credentials" not in unreachable.lower() + forbidden.lower()
    assert "permit" not in unreachable.lower() + refused.lower()


def test_a_server_that_dies_in_the_middle_of_a_read_fails_it() -> None:
    with Server(REDIS_7_0) as server:
        fill_with_megabytes(server)
        records, _ = LakeflowConnect(server.options(**DEADLINES)).read_table("strings")
        rows = iter(records)
        next(rows)
        server.kill()
        with pytest.raises(RedisConnectionError) as caught:
            for _ in rows:
                pass
        assert address(server.port) in str(caught.value)
        assert isinstance(records.error, RedisConnectionError)
        assert records.receipt["complete"] is False


# That it is made anew is a warning.
@pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")
def test_a_connection_that_is_cut_costs_no_row_or_fails_the_read(one_server: Server) -> None:
    with one_server.client() as client:
        client.flushdb()
        names = fill_with_megabytes(one_server)
        records, _ = LakeflowConnect(one_server.options()).read_table("strings")
        rows = iter(records)
        found = [next(rows)["key_name"]]
        cut(client)
        try:
            found += [row["key_name"] for row in rows]
        except RedisConnectionError:
            assert records.receipt["complete"] is False
        else:
            assert sorted(found) == sorted(names)
        client.flushdb()


def fill_with_megabytes(server: Server, count: int = 128) -> list[str]:
    """Make more data than a read may hold at once; gives the keys."""
    names = [f"large:{number}" for number in range(count)]
    with server.client() as client:
        for name in names:
            client.set(name, data.MEGABYTE)
    return names


def cut(client: redis.Redis) -> None:
    """End the connector's connections."""
    ours = [each for each in client.client_list() if each["name"] == "lakeflow-redis"]
    assert ours, "there is no connection to cut"
    for each in ours:
        client.client_kill_filter(_id=each["id"])


def test_a_server_without_auth_does_not_give_the_password_away() -> None:
    with Server(REDIS_7_0, "--rename-command", "AUTH", "") as server:
        options = server.options(password=canary.PASSWORD)
        assert isinstance(failure(options), AuthenticationError)
        assert "AUTH" in complaint(options)


def test_a_server_that_is_loading_its_data_is_waited_for() -> None:
    with Server(REDIS_7_0, *loading.CONFIG) as server:
        with server.client() as client:
            client.mset({f"string:{number}": "value" for number in range(5_000)})
        connector = LakeflowConnect(server.options())
        with ThreadPoolExecutor() as pool:
            loading.begin_to_load(pool, server)
            records, _ = connector.read_table("strings")
            assert not loading.is_loading(server)
            assert len(records) == 5_000
        with ThreadPoolExecutor() as pool:
            loading.begin_to_load(pool, server)
            impatient = server.options(retry_deadline="0.3")
            assert "LOADING" in complaint(impatient)


def test_too_many_clients_are_not_taken_for_wrong_credentials() -> None:
    with Server(REDIS_7_0, "--maxclients", "1", password=canary.PASSWORD) as server:
        with server.client() as only:
            only.ping()
            error = failure(server.options(**DEADLINES))
        assert isinstance(error, ServerError | RedisConnectionError)


def test_a_node_of_a_cluster_alone_is_refused_since_it_does_not_hold_all_keys() -> None:
    # Its own choice, 10,000 above the port, may not exist.
    bus = ("--cluster-port", str(free_port()))
    with Server(REDIS_7_0, "--cluster-enabled", "yes", *bus) as server:
        error = failure(server.options(mode="standalone"))
        assert isinstance(error, ConfigurationError)
        assert "standalone" in str(error)
        error = failure(server.options())
        assert isinstance(error, TopologyChangedError)
        assert "0-16383" in str(error)
