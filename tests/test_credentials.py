"""Credentials come from where the options say, are tried once where they are wrong, and stay unseen."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lakeflow_redis import AuthenticationError, ConfigurationError, LakeflowConnect

from tests import canary
from tests.clusters import Cluster
from tests.deployments import Deployment
from tests.failing import complaint, failure
from tests.oracle import Raw
from tests.sentinels import Sentinels
from tests.servers import HOST, REDIS_7_0, Server
from tests.users import add_user

SENTINEL_PASSWORD = f"sentinel:{canary.PASSWORD}"
VARIABLE = "LAKEFLOW_TEST_CREDENTIAL"


def works(options: dict[str, str]) -> bool:
    """Whether a connector reaches its servers and reads."""
    connector = LakeflowConnect(options)
    if connector.test_connection()["status"] != "success":
        return False
    return len(connector.read_table("server_info")[0]) > 0


def without(options: dict[str, str], *names: str) -> dict[str, str]:
    """Options without some of them."""
    return {name: value for name, value in options.items() if name not in names}


# From a file


@pytest.fixture
def anonymous(one_locked_server: Server) -> dict[str, str]:
    """The options of a server that wants a password, without it."""
    return without(one_locked_server.options(), "password")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file with the right password and nothing else."""
    path = tmp_path / "password"
    path.write_text(canary.PASSWORD)
    return path


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_holds_the_password_with_a_line_break_or_without(
    anonymous: dict[str, str], password_file: Path, ending: str
) -> None:
    password_file.write_bytes(f"{canary.PASSWORD}{ending}".encode())
    assert works(anonymous | {"password_file": str(password_file)})


@pytest.mark.parametrize("content", ["", "\n", f"{canary.PASSWORD}\n\n", f" {canary.PASSWORD}"])
def test_only_the_last_line_break_is_no_part_of_the_password(
    anonymous: dict[str, str], password_file: Path, content: str
) -> None:
    password_file.write_text(content)
    error = failure(anonymous | {"password_file": str(password_file)})
    assert type(error) is AuthenticationError


def test_a_password_may_hold_blanks_and_line_breaks(password_file: Path) -> None:
    password = " two\nlines é "  # noqa: S105 - it is for show.
    password_file.write_text(f"{password}\n", encoding="utf-8")
    with Server(REDIS_7_0) as server:
        with server.client() as client:
            Raw(client)("ACL", "SETUSER", "someone", "on", f">{password}", "~*", "+@all")
        options = server.options(username="someone")
        assert works(options | {"password": password})
        assert works(options | {"password_file": str(password_file)})


def test_a_user_has_its_password_in_a_file(acl_server: Server, password_file: Path) -> None:
    with acl_server.client() as client:
        add_user(client, "someone", "~*", "+@all")
    options = acl_server.options(username="someone", password_file=str(password_file))
    assert works(options)
    assert type(failure(options | {"username": "nobody"})) is AuthenticationError


def test_a_file_is_read_anew_at_each_connection(
    anonymous: dict[str, str], password_file: Path
) -> None:
    connector = LakeflowConnect(anonymous | {"password_file": str(password_file)})
    for _ in range(2):
        assert connector.test_connection()["status"] == "success"
        password_file.write_text(canary.WRONG_PASSWORD)
        assert connector.test_connection()["status"] == "error"
        password_file.write_text(canary.PASSWORD)
    password_file.unlink()
    assert "password_file" in connector.test_connection()["message"]


def test_a_file_is_looked_for_only_when_it_is_needed(anonymous: dict[str, str]) -> None:
    connector = LakeflowConnect(anonymous | {"password_file": "/no-such-folder/password"})
    assert connector.list_tables()


def test_a_file_that_cannot_be_read_is_an_error_without_its_name(
    anonymous: dict[str, str], tmp_path: Path
) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe" + canary.PASSWORD.encode())
    for path in (tmp_path / "missing", tmp_path, binary):
        options = anonymous | {"password_file": str(path)}
        error = failure(options)
        assert type(error) is ConfigurationError
        for text in (str(error), complaint(options)):
            assert "`password_file`" in text
            # It may be the password, in the wrong option.
            assert str(path) not in text


@pytest.mark.parametrize(
    "other",
    [
        {"host": HOST, "password": canary.PASSWORD},
        {"url": f"redis://:{canary.QUOTED_PASSWORD}@localhost"},
        {"url": f"redis://user:{canary.QUOTED_PASSWORD}@localhost"},
    ],
)
def test_a_password_comes_from_one_place(other: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="`password_file`") as caught:
        LakeflowConnect(other | {"password_file": "/x"})
    canary.assert_unseen(caught.value)


def test_the_name_of_the_file_may_be_a_reference(
    anonymous: dict[str, str], password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(password_file))
    assert works(anonymous | {"password_file": f"{{{{ {VARIABLE} }}}}"})


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="`password`"):
        LakeflowConnect({"host": HOST, "username": "someone"})
    sentinel = {"mode": "sentinel", "nodes": HOST, "sentinel_master": "m"}
    with pytest.raises(ConfigurationError, match="`sentinel_password`"):
        LakeflowConnect(sentinel | {"sentinel_username": "someone"})


# Tried once


@pytest.fixture(scope="module")
def locked_cluster() -> Iterator[Cluster]:
    """A cluster whose nodes want a password."""
    with Cluster(REDIS_7_0, 3, 1, password=canary.PASSWORD) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def locked_sentinels() -> Iterator[Sentinels]:
    """Sentinels and servers that want a password, each another."""
    with Sentinels(REDIS_7_0, canary.PASSWORD, SENTINEL_PASSWORD) as sentinels:
        yield sentinels


def count_refused(deployment: Deployment | Server, act: Callable[[], object]) -> int:
    """How often servers refuse credentials meanwhile."""
    servers = deployment.servers if isinstance(deployment, Deployment) else [deployment]
    for server in servers:
        with server.local_client() as client:
            client.acl_log_reset()
    act()
    return sum(map(refusals, servers))


def refusals(server: Server) -> int:
    """How often a server has refused credentials."""
    with server.local_client() as client:
        log = Raw(client)("ACL", "LOG")
    entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in log]
    return sum(entry[b"count"] for entry in entries if entry[b"reason"] == b"auth")


def refuse(options: dict[str, str], address: str = "") -> Callable[[], None]:
    """What reads with wrong credentials, and sees that one of the servers is named."""

    def act() -> None:
        error = failure(options)
        assert type(error) is AuthenticationError
        assert address in str(error)

    return act


def seeds(cluster: Cluster) -> dict[str, str]:
    """The options of a cluster by way of all of its nodes."""
    nodes = ",".join(node.address for node in cluster.nodes)
    return {"nodes": nodes, "password": canary.PASSWORD}


def test_wrong_credentials_are_tried_once(one_locked_server: Server, password_file: Path) -> None:
    wrong = one_locked_server.options(password=canary.WRONG_PASSWORD)
    address = one_locked_server.address
    assert count_refused(one_locked_server, refuse(wrong, address)) == 1
    assert count_refused(one_locked_server, lambda: complaint(wrong)) == 1
    password_file.write_text(canary.WRONG_PASSWORD)
    by_file = without(wrong, "password") | {"password_file": str(password_file)}
    assert count_refused(one_locked_server, refuse(by_file, address)) == 1


@pytest.mark.parametrize("mode", ["auto", "cluster"])
@pytest.mark.parametrize("read_from", ["primary", "replica"])
def test_wrong_credentials_are_tried_at_one_node_of_a_cluster(
    locked_cluster: Cluster, mode: str, read_from: str
) -> None:
    right = seeds(locked_cluster) | {"mode": mode, "read_from": read_from}
    assert works(right)
    wrong = right | {"password": canary.WRONG_PASSWORD}
    address = locked_cluster.nodes[0].address
    assert count_refused(locked_cluster, refuse(wrong, address)) == 1
    assert count_refused(locked_cluster, lambda: complaint(wrong)) == 1


@pytest.mark.parametrize("option", ["password", "sentinel_password"])
@pytest.mark.parametrize("read_from", ["primary", "replica"])
def test_wrong_credentials_are_tried_once_under_sentinels(
    locked_sentinels: Sentinels, option: str, read_from: str
) -> None:
    right = locked_sentinels.options(read_from=read_from)
    assert works(right)
    wrong = right | {option: canary.WRONG_PASSWORD}
    assert count_refused(locked_sentinels, refuse(wrong)) == 1
    assert count_refused(locked_sentinels, lambda: complaint(wrong)) == 1


def test_no_password_where_sentinels_or_their_servers_want_one_is_refused(
    locked_sentinels: Sentinels,
) -> None:
    right = locked_sentinels.options()
    for option, servers in (
        ("sentinel_password", locked_sentinels.sentinels),
        ("password", locked_sentinels.nodes),
    ):
        error = failure(without(right, option))
        assert type(error) is AuthenticationError
        assert any(server.address in str(error) for server in servers)


def test_users_of_sentinels_are_told_from_those_of_their_servers(
    locked_sentinels: Sentinels,
) -> None:
    for servers, name in (
        (locked_sentinels.sentinels, "watcher"),
        (locked_sentinels.nodes, "reader"),
    ):
        for server in servers:
            with server.local_client() as client:
                add_user(client, name, "~*", "&*", "+@all")
    users = {"sentinel_username": "watcher", "username": "reader"}
    right = locked_sentinels.options(**users, sentinel_password=canary.PASSWORD)
    assert works(right)
    sentinel, primary = locked_sentinels.sentinels[0], locked_sentinels.primary()
    for option in ("sentinel_username", "sentinel_password"):
        error = failure(right | {option: canary.WRONG_PASSWORD.replace(canary.MARK, "")})
        assert type(error) is AuthenticationError
        assert f"Sentinel {sentinel.address}" in str(error)
    for option in ("username", "password"):
        error = failure(right | {option: canary.WRONG_PASSWORD.replace(canary.MARK, "")})
        assert type(error) is AuthenticationError
        assert primary.address in str(error)
        assert "Sentinel" not in str(error)


def test_each_database_server_has_the_users_of_its_own(locked_cluster: Cluster) -> None:
    for node in locked_cluster.nodes:
        with node.local_client() as client:
            add_user(client, "someone", "~*", "+@all")
    someone = seeds(locked_cluster) | {"username": "someone"}
    assert works(someone)
    with locked_cluster.primaries()[-1].local_client() as client:
        Raw(client)("ACL", "DELUSER", "someone")
    error = failure(someone)
    assert type(error) is AuthenticationError
    assert locked_cluster.primaries()[-1].address in str(error)
