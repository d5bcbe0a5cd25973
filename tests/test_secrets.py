"""No password and no private key is seen in what fails: not in errors, logs, output or pickles."""

import json
import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lakeflow_redis import LakeflowConnect, LakeflowRedisError
from lakeflow_redis._core import option_specs

from tests import canary
from tests.certificates import Certificates
from tests.clusters import Cluster
from tests.failing import DEADLINES
from tests.sentinels import MASTER, Sentinels
from tests.servers import HOST, REDIS_7_0, Server, free_port
from tests.test_cli import run
from tests.test_tls_refused import encrypted_key

Options = dict[str, str]
Cases = dict[str, Options]

SENTINEL_PASSWORD = f"sentinel:{canary.PASSWORD}"
NAMES = [
    "wrong password",
    "wrong password in a url",
    "wrong password in a file",
    "password file that is missing",
    "nobody listens",
    "no such database",
    "TLS: foreign authority",
    "TLS: no client certificate",
    "TLS: reached in plaintext",
    "TLS: plaintext server",
    "TLS: key of another certificate",
    "TLS: key in the place of a certificate",
    "TLS: key in the place of an authority",
    "TLS: key with a password",
    "TLS: key on one line",
    "TLS: key without its first line",
    "cluster: wrong password",
    "cluster: no node listens",
    "cluster: as a standalone server",
    "sentinel: wrong password",
    "sentinel: wrong sentinel_password",
    "sentinel: no such master",
    "sentinel: no sentinel listens",
]
cases = pytest.mark.parametrize("name", NAMES)


@dataclass(frozen=True)
class Failing:
    """Options that fail, each for another reason, and what must not be seen of them."""

    options: Cases
    secrets: list[str]


@pytest.fixture(scope="module")
def failing(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Failing]:
    """Deployments that want passwords, and options that do not come in there."""
    wrong_file = tmp_path_factory.mktemp("secrets") / "password"
    wrong_file.write_text(canary.WRONG_PASSWORD)
    locked = {"locked": encrypted_key(certificates.client), "key": certificates.client.key_pem}
    with (
        Server(REDIS_7_0, password=canary.PASSWORD, tls=certificates.tls("yes")) as encrypted,
        Server(REDIS_7_0, password=canary.PASSWORD) as server,
        Cluster(REDIS_7_0, 3, 0, password=canary.PASSWORD) as cluster,
        Sentinels(REDIS_7_0, canary.PASSWORD, SENTINEL_PASSWORD) as sentinels,
    ):
        options = (
            standalone(server, wrong_file)
            | over_tls(encrypted, server, certificates, locked)
            | clustered(cluster)
            | under_sentinels(sentinels)
        )
        assert list(options) == NAMES
        secrets = [line for pem in locked.values() for line in canary.lines_of_key(pem)]
        yield Failing({name: DEADLINES | each for name, each in options.items()}, secrets)


def standalone(server: Server, wrong_file: Path) -> Cases:
    """What fails with a server alone."""
    right = server.options()
    place = {"host": server.host, "port": str(server.port)}
    return {
        "wrong password": right | {"password": canary.WRONG_PASSWORD},
        "wrong password in a url": {
            "url": f"redis://:{canary.WRONG_PASSWORD}@{server.address}/0",
        },
        "wrong password in a file": place | {"password_file": str(wrong_file)},
        "password file that is missing": place | {"password_file": f"{wrong_file}.gone"},
        "nobody listens": right | {"port": str(free_port())},
        "no such database": right | {"db": "9999"},
    }


def over_tls(
    encrypted: Server, plain: Server, certificates: Certificates, keys: dict[str, str]
) -> Cases:
    """What fails over TLS."""
    right = encrypted.options() | {"ssl_keyfile": keys["key"]}
    anonymous = {n: text for n, text in right.items() if n not in {"ssl_certfile", "ssl_keyfile"}}
    in_plaintext = {n: text for n, text in anonymous.items() if not n.startswith("ssl")}
    other = certificates.foreign_client.certificate_pem
    lines = keys["key"].splitlines()
    return {
        "TLS: foreign authority": right | {"ssl_ca_certs": certificates.foreign_ca_pem},
        "TLS: no client certificate": anonymous,
        "TLS: reached in plaintext": in_plaintext,
        "TLS: plaintext server": right | {"port": str(plain.port)},
        "TLS: key of another certificate": right | {"ssl_certfile": other},
        "TLS: key in the place of a certificate": right | {"ssl_certfile": keys["key"]},
        "TLS: key in the place of an authority": right | {"ssl_ca_certs": keys["key"]},
        "TLS: key with a password": right | {"ssl_keyfile": keys["locked"]},
        "TLS: key on one line": right | {"ssl_keyfile": " ".join(lines)},
        "TLS: key without its first line": right | {"ssl_keyfile": "\n".join(lines[1:])},
    }


def clustered(cluster: Cluster) -> Cases:
    """What fails with a cluster."""
    right = cluster.options()
    nowhere = f"{HOST}:{free_port()},{HOST}:{free_port()}"
    return {
        "cluster: wrong password": right | {"password": canary.WRONG_PASSWORD},
        "cluster: no node listens": {
            "mode": "cluster",
            "nodes": nowhere,
            "password": canary.PASSWORD,
        },
        "cluster: as a standalone server": right | {"mode": "standalone"},
    }


def under_sentinels(sentinels: Sentinels) -> Cases:
    """What fails under Sentinels."""
    right = sentinels.options()
    return {
        "sentinel: wrong password": right | {"password": canary.WRONG_PASSWORD},
        "sentinel: wrong sentinel_password": right | {"sentinel_password": canary.WRONG_PASSWORD},
        "sentinel: no such master": right | {"sentinel_master": f"not-{MASTER}"},
        "sentinel: no sentinel listens": right | {"nodes": f"{HOST}:{free_port()}"},
    }


def by_reference(options: Options, monkeypatch: pytest.MonkeyPatch) -> Options:
    """The same options with references to the secret ones, and to those that hold a secret."""
    secret = {spec["name"] for spec in option_specs() if spec["secret"]} & options.keys()
    secret |= {name for name, text in options.items() if "PRIVATE KEY" in text}
    for name in secret:
        monkeypatch.setenv(f"LAKEFLOW_TEST_{name}", options[name])
    return {
        name: f"{{{{ LAKEFLOW_TEST_{name} }}}}" if name in secret else value
        for name, value in options.items()
    }


def errors(connector: LakeflowConnect) -> Iterator[LakeflowRedisError]:
    """The errors of all that a connector can be asked for."""
    for ask in (
        lambda: list(connector.read_table("strings")[0]),
        lambda: list(connector.read_table("streams", {"entry_id": "1-1"})[0]),
        lambda: list(connector.read_tables(["keys", "hashes"])[0]),
        lambda: list(connector.read_table("server_info")[0]),
        connector.inspect,
    ):
        with pytest.raises(LakeflowRedisError) as caught:
            ask()
        yield caught.value


@pytest.mark.parametrize("referring", [False, True])
@cases
def test_nothing_of_a_secret_is_seen_where_something_fails(
    failing: Failing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    name: str,
    referring: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    options = failing.options[name]
    if referring:
        options = by_reference(options, monkeypatch)
    try:
        connector = LakeflowConnect(options)
    except LakeflowRedisError as error:
        canary.assert_unseen(error, secrets=failing.secrets)
        return
    told = connector.test_connection()
    assert told["status"] == "error"
    shown = [told, connector, connector._repr_html_(), *errors(connector)]
    canary.assert_unseen(*shown, secrets=failing.secrets)
    canary.assert_unseen(caplog.text, *capfd.readouterr(), secrets=failing.secrets)
    if referring:
        pickled = pickle.dumps(connector).decode("latin-1")
        again = pickle.loads(pickle.dumps(connector))
        assert again.test_connection()["status"] == "error"
        canary.assert_unseen(pickled, again, secrets=failing.secrets)


@cases
def test_nothing_of_a_secret_is_seen_on_the_command_line(
    failing: Failing, tmp_path: Path, name: str
) -> None:
    options = failing.options[name]
    secret = {spec["name"] for spec in option_specs() if spec["secret"]}
    env = {f"LAKEFLOW_REDIS_{n.upper()}": options[n] for n in secret & options.keys()}
    public = [f"--{n.replace('_', '-')}={text}" for n, text in options.items() if n not in secret]
    for command in (
        ["check", *public],
        ["read", "strings", *public],
        ["ingest", "--to", tmp_path / "lake", "--tables", "strings,streams", *public],
    ):
        done = run(*command, env=env)
        assert done.code in {1, 2}, done
        assert "Traceback" not in done.stderr
        # What stands in an argument by mistake was seen by whoever typed it.
        canary.assert_unseen(done.stdout, done.stderr, secrets=failing.secrets)


def test_nothing_of_a_secret_is_in_an_offset_or_a_receipt(failing: Failing) -> None:
    # The one place that all of these options have right is the server of the first.
    options = failing.options["wrong password"] | {"password": canary.PASSWORD}
    connector = LakeflowConnect(options)
    records, offset = connector.read_table("streams")
    assert list(records) == []
    canary.assert_unseen(json.dumps(offset), json.dumps(records.receipt), connector.inspect())
    canary.assert_unseen(connector.test_connection(), records, records._repr_html_())
