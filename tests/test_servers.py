"""The tests' own deployments are what they say, as redis-py sees them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests import canary
from tests.certificates import Certificates
from tests.clusters import Cluster
from tests.sentinels import Sentinels
from tests.servers import REDIS_7_0, Server
from tests.tls import Pair

ROOT = Path(__file__).parent.parent

KEYS = {f"key:{number}".encode(): f"value {number}".encode() for number in range(1000)}
TAGGED = {b"{here}:\xff:%d" % number: b"value %d" % number for number in range(250)}
"""Keys of one slot, more than one MIGRATE takes, that are no UTF-8."""


NOTHING = {"ssl_certfile": None, "ssl_keyfile": None}
"""What a client takes so as to show no certificate."""


def shown(pair: Pair) -> dict[str, str]:
    """What a client takes so as to show a certificate."""
    return {"ssl_certfile": str(pair.certificate), "ssl_keyfile": str(pair.key)}


def ping(server: Server, **options: Any) -> bool:
    """Whether a server answers, asked once only."""
    with server.client(retry=Retry(NoBackoff(), 0), **options) as client:
        return bool(client.ping())


def test_a_server_speaks_tls_on_its_port(tls_server: Server, certificates: Certificates) -> None:
    assert ping(tls_server)
    with pytest.raises(redis.ConnectionError):
        ping(tls_server, ssl=False)
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        ping(tls_server, ssl_ca_certs=str(certificates.foreign_ca))
    with tls_server.local_client() as local:
        assert local.ping()


def test_a_server_demands_a_certificate(mtls_server: Server, certificates: Certificates) -> None:
    assert ping(mtls_server)
    with pytest.raises(redis.ConnectionError):
        ping(mtls_server, **NOTHING)
    with pytest.raises(redis.ConnectionError):
        ping(mtls_server, **shown(certificates.foreign_client))


def test_a_server_takes_a_certificate_or_none(certificates: Certificates) -> None:
    with Server(REDIS_7_0, tls=certificates.tls("optional")) as server:
        assert ping(server)
        assert ping(server, **NOTHING)
        with pytest.raises(redis.ConnectionError):
            ping(server, **shown(certificates.foreign_client))


@pytest.mark.parametrize(
    ("kind", "complaint"), [("expired", "expired"), ("elsewhere", "IP address mismatch")]
)
def test_a_server_shows_a_bad_certificate(
    certificates: Certificates, kind: str, complaint: str
) -> None:
    tls = certificates.tls(server=getattr(certificates, kind))
    with (
        Server(REDIS_7_0, tls=tls) as server,
        pytest.raises(redis.ConnectionError, match=complaint),
    ):
        ping(server)


def test_options_name_what_a_server_needs(
    tls_server: Server, mtls_server: Server, certificates: Certificates
) -> None:
    ca = {"ssl": "true", "ssl_ca_certs": str(certificates.ca)}
    where = {"host": tls_server.host, "port": str(tls_server.port)}
    assert tls_server.options() == where | ca
    assert mtls_server.tls is not None
    assert mtls_server.tls.anonymous().options() == ca
    assert mtls_server.tls.options() == ca | shown(certificates.client)


def held(cluster: Cluster, slot: int) -> dict[int, int]:
    """How many keys of a slot each primary has, by its port, where it has some."""
    counts = {
        node.port: int(node.call("CLUSTER", "COUNTKEYSINSLOT", slot))
        for node in cluster.primaries()
    }
    return {port: count for port, count in counts.items() if count}


def fill(cluster: Cluster, values: Mapping[bytes, bytes]) -> None:
    with cluster.client() as client:
        for key, value in values.items():
            client.set(key, value)


def assert_holds(cluster: Cluster, values: Mapping[bytes, bytes]) -> None:
    with cluster.client() as client:
        assert {key: client.get(key) for key in values} == values


def test_a_cluster_takes_keys_moves_slots_and_fails_over(cluster: Cluster) -> None:
    assert (len(cluster.primaries()), len(cluster.replicas())) == (3, 3)
    assert cluster.options()["mode"] == "cluster"
    cluster.flush()
    everything = KEYS | TAGGED
    fill(cluster, everything)
    slot = cluster.slot_of("{here}")
    source = cluster.primary_of(slot)
    target = next(node for node in cluster.primaries() if node is not source)

    cluster.move_slot(slot, target)
    assert cluster.primary_of(slot) is target
    assert held(cluster, slot) == {target.port: len(TAGGED)}

    cluster.open_slot(slot, source, keys=120)
    assert held(cluster, slot) == {source.port: 120, target.port: len(TAGGED) - 120}
    assert_holds(cluster, everything)
    cluster.close_slot(slot)
    assert held(cluster, slot) == {source.port: len(TAGGED)}

    replica = cluster.fail_over(source)
    assert cluster.primary_of(slot) is replica
    assert cluster.replicas(replica) == [source]
    assert_holds(cluster, everything)
    cluster.flush()
    assert held(cluster, slot) == {}


def test_a_cluster_with_a_password_and_tls_survives_a_crash(certificates: Certificates) -> None:
    with Cluster(REDIS_7_0, password=canary.PASSWORD, tls=certificates.tls("yes")) as cluster:
        assert {"password", "ssl_certfile"} <= cluster.options().keys()
        fill(cluster, TAGGED)
        slot = cluster.slot_of("{here}")
        target = next(node for node in cluster.primaries() if slot not in node.myself().slots)
        cluster.move_slot(slot, target)
        killed = cluster.kill_primary(cluster.primaries().index(target))
        assert killed is target
        cluster.settle()
        assert_holds(cluster, TAGGED)
        cluster.restart(killed)
        assert cluster.replicas(cluster.primary_of(slot)) == [killed]


def test_a_cluster_has_the_shape_that_is_asked_for() -> None:
    with Cluster(REDIS_7_0, 2, 0, "--cluster-require-full-coverage", "no") as cluster:
        first, second = cluster.primaries()
        assert cluster.replicas() == []
        assert (len(first.myself().slots), len(second.myself().slots)) == (8192, 8192)
        cluster.restart(cluster.kill_primary(1))
        assert cluster.primaries() == [first, second]


def test_sentinels_fail_over(sentinels: Sentinels) -> None:
    assert len(sentinels.replicas()) == 2
    sentinels.flush()
    before = sentinels.primary()
    with sentinels.client() as client:
        client.set("key", "value")
    with sentinels.silence(0) as silent:
        assert not silent.running
        after = sentinels.fail_over()
    assert after is not before
    sentinels.settle()
    assert sentinels.primary() is after
    assert before in sentinels.replicas()
    with sentinels.client() as client:
        assert client.get("key") == b"value"


def test_sentinels_with_passwords_replace_a_primary_that_crashed() -> None:
    passwords = {"password": canary.PASSWORD, "sentinel_password": f"sentinel:{canary.PASSWORD}"}
    with Sentinels(REDIS_7_0, **passwords) as sentinels:
        assert passwords.items() <= sentinels.options().items()
        for server in sentinels.servers:
            with pytest.raises(redis.AuthenticationError):
                ping(server, password=None)
        killed = sentinels.kill_primary()
        sentinels.settle()
        assert sentinels.primary() is not killed
        sentinels.restart(killed)
        assert killed in sentinels.replicas()


STARTED = """
import time
from tests.sentinels import Sentinels
from tests.servers import REDIS_7_0
print(*(server.pid for server in Sentinels(REDIS_7_0).start().servers), flush=True)
time.sleep(100)
"""


def test_an_interrupt_leaves_no_server_behind() -> None:
    command = [sys.executable, "-c", STARTED]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        pids = [int(pid) for pid in child.stdout.readline().split()]
        child.send_signal(signal.SIGINT)
        child.wait()
    assert len(pids) == 6
    assert [pid for pid in pids if is_running(pid)] == []


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
