"""What comes from elsewhere gets no further than SECURITY.md says: offsets, parts of a read, variables, servers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lakeflow_redis import LakeflowConnect, PermissionDeniedError

from tests import canary, peers
from tests.clusters import Cluster
from tests.failing import failure
from tests.servers import HOST, Server
from tests.test_cli import run
from tests.users import add_user, as_user, least_rules

OURS = "trust:ours"
THEIRS = "trust:theirs"


@pytest.fixture
def restricted(acl_server: Server) -> Iterator[LakeflowConnect]:
    """A connector whose user may read one of two streams."""
    with acl_server.client() as client:
        client.flushall()
        for key in (OURS, THEIRS):
            client.xadd(key, {"field": canary.PASSWORD}, id="5-0")
        rules = least_rules(acl_server.flavour, ["streams"], OURS)
        add_user(client, "trust", *rules)
        yield as_user(acl_server, "trust", key_pattern=OURS)
        client.acl_deluser("trust")


def forged(given: Any) -> Any:
    """An offset or a part of a read that names the other stream."""
    text = json.dumps(given)
    assert OURS in text
    return json.loads(text.replace(OURS, THEIRS))


def test_a_forged_part_reads_nothing_that_the_user_may_not(restricted: LakeflowConnect) -> None:
    (part,) = restricted.get_partitions("streams")
    assert len(restricted.read_partition("streams", part)) == 1
    with pytest.raises(PermissionDeniedError) as caught:
        list(restricted.read_partition("streams", forged(part)))
    assert THEIRS in str(caught.value)
    canary.assert_unseen(caught.value)


def test_a_forged_offset_reads_nothing_that_the_user_may_not(restricted: LakeflowConnect) -> None:
    records, end = restricted.read_table("streams")
    assert len(records) == 1
    with pytest.raises(PermissionDeniedError):
        list(restricted.read_table("streams", forged(end))[0])
    (part,) = restricted.get_partitions("streams", None, None, end)
    with pytest.raises(PermissionDeniedError):
        restricted.get_partitions("streams", {"num_partitions": "2"}, None, forged(end))
    (part,) = restricted.get_partitions("streams", None, None, forged(end))
    with pytest.raises(PermissionDeniedError):
        list(restricted.read_partition("streams", part))


def test_what_a_variable_holds_refers_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFLOW_TEST_OUTER", "{{ LAKEFLOW_TEST_INNER }}")
    monkeypatch.setenv("LAKEFLOW_TEST_INNER", canary.PASSWORD)
    path = "/nowhere/{{ LAKEFLOW_TEST_OUTER }}"
    error = failure({"unix_socket_path": path})
    assert "LAKEFLOW_TEST_INNER" in str(error)
    canary.assert_unseen(error)


def test_of_a_server_alone_no_other_is_connected_to(one_cluster: Cluster) -> None:
    """Though it names the others, as one that is not what it says could name any."""
    node, *others = one_cluster.nodes
    where = {"host": node.host, "port": str(node.port)}
    seen = [connections(other) for other in others]
    failure(where | {"mode": "standalone"})
    assert [connections(other) for other in others] == seen
    # Unless it may lead on.
    list(LakeflowConnect(where).read_table("strings")[0])
    assert [connections(other) for other in others] != seen


def connections(server: Server) -> int:
    """How many connections to a server have named themselves, as each of a connector does."""
    with server.client() as client:
        commands: dict[str, Any] = client.info("commandstats")
    return int(commands.get("cmdstat_client|setname", {}).get("calls", 0))


def test_what_a_server_says_moves_no_cursor(tmp_path: Path) -> None:
    """Of a terminal: its escapes are spelled."""
    with peers.saying(b"-ERR \x1b]0;owned\x07\r\n" * 10) as port:
        where = ["--host", HOST, "--port", str(port), "--socket-timeout", "1"]
        lake = ["--to", tmp_path / "lake", "--tables", "strings", "--log-level", "debug"]
        for command in (["check"], ["read", "strings"], ["ingest", *lake]):
            done = run(*command, *where)
            assert done.code == 1, done
            assert "owned" in done.stdout + done.stderr, "nothing of it was shown"
            assert not {"\x1b", "\x07"} & {*done.stdout, *done.stderr}
