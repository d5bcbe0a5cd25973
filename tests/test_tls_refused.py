"""What is wrong with an encrypted connection is an error that says what, and what to do."""

import pickle
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from lakeflow_redis import (
    ConfigurationError,
    LakeflowConnect,
    LakeflowRedisError,
    LakeflowRedisWarning,
    ProtocolError,
    RedisConnectionError,
    TlsError,
)

from tests import canary, data, peers, tls_peers
from tests.certificates import Certificates
from tests.failing import DEADLINES, complaint, failure
from tests.servers import HOST, REDIS_7_0, Server, free_port
from tests.tls import Pair


def shown(pair: Pair) -> dict[str, str]:
    """The options by which a connector shows a certificate."""
    return {"ssl_certfile": str(pair.certificate), "ssl_keyfile": str(pair.key)}


def assert_refused(options: dict[str, str], *words: str) -> None:
    """Fail unless TLS is refused with these words and the server's address."""
    error = failure(options)
    assert type(error) is TlsError, repr(error)
    told = complaint(options)
    for word in (*words, f"{options['host']}:{options['port']}"):
        assert word in str(error)
        assert word in told


def test_tls_errors_are_also_errors_of_the_connection() -> None:
    assert issubclass(TlsError, RedisConnectionError)
    assert issubclass(TlsError, ConnectionError)


def test_a_server_of_another_authority_is_refused(
    tls_server: Server, certificates: Certificates
) -> None:
    foreign = tls_server.options(ssl_ca_certs=str(certificates.foreign_ca))
    assert_refused(foreign, "no authority that is trusted", "`ssl_ca_certs`")
    assert_refused(
        tls_server.options(ssl_ca_certs=certificates.foreign_ca_pem), "no authority that is trusted"
    )
    assert_refused(foreign | {"ssl_check_hostname": "false"}, "no authority that is trusted")


@pytest.mark.parametrize("host", [HOST, "localhost"])
def test_a_certificate_for_another_host_is_refused(certificates: Certificates, host: str) -> None:
    with Server(REDIS_7_0, tls=certificates.tls(server=certificates.elsewhere)) as server:
        options = server.options(host=host)
        assert_refused(options, "another host", "other.example", "`ssl_check_hostname`")
        named = LakeflowConnect(options | {"ssl_check_hostname": "false"})
        assert named.test_connection()["status"] == "success"


def test_a_certificate_whose_time_is_over_is_refused(certificates: Certificates) -> None:
    with Server(REDIS_7_0, tls=certificates.tls(server=certificates.expired)) as server:
        assert_refused(server.options(), "expired")
        assert_refused(server.options(ssl_check_hostname="false"), "expired")


def test_a_server_of_an_older_protocol_is_refused(certificates: Certificates) -> None:
    with Server(REDIS_7_0, "--tls-protocols", "TLSv1.1", tls=certificates.tls()) as server:
        assert_refused(server.options(), "TLS 1.2", "`tls-protocols`")


def test_texts_that_were_put_together_without_a_line_break_are_all_heeded(
    certificates: Certificates,
) -> None:
    with Server(REDIS_7_0, tls=certificates.tls()) as server:
        authorities = certificates.foreign_ca.read_text().rstrip() + certificates.ca_pem
        found = LakeflowConnect(server.options(ssl_ca_certs=authorities)).test_connection()
        assert found["status"] == "success"


@pytest.mark.parametrize("kind", ["server", "elsewhere", "expired", "foreign_client"])
def test_a_server_that_need_not_be_known_may_show_anything(
    certificates: Certificates, kind: str
) -> None:
    with Server(REDIS_7_0, tls=certificates.tls(server=getattr(certificates, kind))) as server:
        with server.local_client() as client:
            data.add_one(client, "strings", "k")
        options = {"host": server.host, "port": str(server.port), "ssl": "true"}
        records, _ = LakeflowConnect(options | {"ssl_cert_reqs": "none"}).read_table("strings")
        with pytest.warns(LakeflowRedisWarning, match="ssl_cert_reqs"):
            assert [row["key_name"] for row in records] == ["k"]


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_no_certificate_where_one_is_needed_is_refused(
    certificates: Certificates, protocol: str
) -> None:
    demanding = certificates.tls("yes")
    with Server(REDIS_7_0, "--tls-protocols", protocol, tls=demanding) as server:
        with server.client() as client:
            data.add_one(client, "strings", "k")
        records, _ = LakeflowConnect(server.options()).read_table("strings")
        assert [row["key_name"] for row in records] == ["k"]
        anonymous = {
            "host": server.host,
            "port": str(server.port),
        } | demanding.anonymous().options()
        # Which of several messages comes depends on which side is faster.
        for _ in range(10):
            assert_refused(anonymous, "`ssl_certfile`", "`ssl_keyfile`")


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_a_certificate_of_another_authority_is_refused_by_the_server(
    certificates: Certificates, protocol: str
) -> None:
    with Server(REDIS_7_0, "--tls-protocols", protocol, tls=certificates.tls("yes")) as server:
        for _ in range(10):
            assert_refused(server.options(**shown(certificates.foreign_client)), "`ssl_certfile`")


def test_a_server_that_speaks_no_tls_is_named(
    one_server: Server, certificates: Certificates
) -> None:
    plain = one_server.options(ssl="true", ssl_ca_certs=str(certificates.ca)) | DEADLINES
    assert_refused(plain, "does not speak TLS")


def test_a_server_that_speaks_tls_is_told_from_one_that_is_not_there(tls_server: Server) -> None:
    plain = {"host": tls_server.host, "port": str(tls_server.port)} | DEADLINES
    error = failure(plain)
    assert isinstance(error, RedisConnectionError | ProtocolError)
    for text in (str(error), complaint(plain)):
        assert "`ssl`" in text
        assert tls_server.address in text


def test_a_port_on_which_nobody_listens_is_not_an_error_of_tls(certificates: Certificates) -> None:
    nowhere = {"host": HOST, "port": str(free_port())} | certificates.tls().options()
    assert type(failure(nowhere)) is RedisConnectionError


def encrypted_key(pair: Pair) -> str:
    """A pair's key, locked by a password."""
    key = load_pem_private_key(pair.key.read_bytes(), None)
    locked = BestAvailableEncryption(canary.PASSWORD.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode()


def openssl_key(pair: Pair) -> str:
    """The same in OpenSSL's older form."""
    key = load_pem_private_key(pair.key.read_bytes(), None)
    locked = BestAvailableEncryption(canary.PASSWORD.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, locked).decode()


def assert_useless(server: Server, option: str, value: str, *words: str) -> None:
    """Fail unless an option is refused with its name, these words, and nothing of a key."""
    secrets = canary.lines_of_key(value) if "KEY" in value else []
    error = failure(server.options(**{option: value}), secrets=secrets)
    assert isinstance(error, ConfigurationError | TlsError), repr(error)
    for word in (f"`{option}`", *words):
        assert word in str(error)


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there_is_named(mtls_server: Server, option: str) -> None:
    assert_useless(mtls_server, option, "/no-such-folder/x.pem", "No such file")


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\xff\xfe\0",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
    ids=["empty", "garbage", "binary", "begun", "no base64", "no certificate", "no key"],
)
def test_a_file_that_holds_something_else_is_named(
    mtls_server: Server, tmp_path: Path, option: str, content: bytes
) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(content)
    assert_useless(mtls_server, option, str(path))


def test_a_certificate_in_the_place_of_a_key_is_named(
    mtls_server: Server, certificates: Certificates
) -> None:
    assert_useless(mtls_server, "ssl_keyfile", str(certificates.client.certificate), "private key")
    assert_useless(mtls_server, "ssl_certfile", str(certificates.client.key), "certificate")


def test_a_key_that_does_not_fit_the_certificate_is_named(
    mtls_server: Server, certificates: Certificates
) -> None:
    foreign = certificates.foreign_client
    for key in (str(foreign.key), foreign.key_pem):
        assert_useless(mtls_server, "ssl_keyfile", key, "`ssl_certfile`")


@pytest.mark.parametrize("lock", [encrypted_key, openssl_key])
def test_a_key_with_a_password_is_named(
    mtls_server: Server, certificates: Certificates, tmp_path: Path, lock: object
) -> None:
    assert callable(lock)
    text: str = lock(certificates.client)
    path = tmp_path / "locked.key"
    path.write_text(text)
    for key in (str(path), text):
        assert_useless(mtls_server, "ssl_keyfile", key, "unencrypted")


TLS_OPTIONS = {
    "ssl_ca_certs": "/ca.pem",
    "ssl_certfile": "/c.pem",
    "ssl_keyfile": "/k.pem",
    "ssl_cert_reqs": "required",
    "ssl_check_hostname": "true",
}


@pytest.mark.parametrize("name", TLS_OPTIONS)
@pytest.mark.parametrize("ssl", [{}, {"ssl": "false"}, {"url": "redis://localhost"}])
def test_options_of_tls_without_tls_are_refused(name: str, ssl: dict[str, str]) -> None:
    where = ssl if "url" in ssl else {"host": HOST} | ssl
    with pytest.raises(ConfigurationError, match=f"`{name}`"):
        LakeflowConnect(where | {name: TLS_OPTIONS[name]})


def test_options_of_tls_that_contradict_each_other_are_refused() -> None:
    here = {"host": HOST, "ssl": "true"}
    for name, other in (("ssl_certfile", "ssl_keyfile"), ("ssl_keyfile", "ssl_certfile")):
        with pytest.raises(ConfigurationError, match=f"`{name}` needs `{other}`"):
            LakeflowConnect(here | {name: "/x"})
    for name in ("ssl_ca_certs", "ssl_check_hostname"):
        with pytest.raises(ConfigurationError, match=f"`ssl_cert_reqs`.*`{name}`"):
            LakeflowConnect(here | {"ssl_cert_reqs": "none", name: TLS_OPTIONS[name]})
    with pytest.raises(ConfigurationError, match="`ssl`"):
        LakeflowConnect({"unix_socket_path": "/s", "ssl": "true"})
    for scheme, ssl in (("rediss", "false"), ("redis", "true")):
        with pytest.raises(ConfigurationError, match="`ssl`"):
            LakeflowConnect({"url": f"{scheme}://localhost", "ssl": ssl})


@pytest.mark.parametrize(("host", "name"), [("localhost", "localhost"), (HOST, None)])
def test_a_server_is_told_the_name_that_it_is_called_by(
    certificates: Certificates, host: str, name: str | None
) -> None:
    with tls_peers.hearing(certificates.server) as (port, names):
        error = failure({"host": host, "port": str(port)} | certificates.tls().options())
    assert isinstance(error, RedisConnectionError)
    assert names == [name]


def to(port: int, certificates: Certificates) -> dict[str, str]:
    """The options for a peer, with a password that it must not make seen."""
    return (
        {"host": HOST, "port": str(port), "password": canary.PASSWORD}
        | DEADLINES
        | (certificates.tls().options())
    )


def assert_typed(error: LakeflowRedisError, port: int) -> None:
    """Fail unless an error is one of the connection that names the peer."""
    assert isinstance(error, RedisConnectionError), repr(error)
    assert f"{HOST}:{port}" in str(error)
    assert pickle.loads(pickle.dumps(error)).args == error.args


@pytest.mark.parametrize(
    "then",
    [
        lambda _: None,
        socket.socket.close,
        lambda peer: peer.sendall(b"+OK\r\n" * 10_000),
        lambda peer: peer.sendall(b"\0" * 1_000_000),
        lambda peer: peer.sendall(b"\x15\x03\x03\x00\x02\x02\x28"),
    ],
    ids=["silent", "hanging up", "garbage", "NUL", "an alert"],
)
def test_a_handshake_that_breaks_off_is_an_error_in_time(
    certificates: Certificates, then: object
) -> None:
    assert callable(then)
    with tls_peers.halfway(certificates.server, then) as port:
        assert_typed(failure(to(port, certificates)), port)


@pytest.mark.parametrize(
    "peer",
    [
        peers.silent,
        peers.closing,
        lambda: peers.saying(b"-ERR Protocol error\r\n"),
        lambda: peers.saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        lambda: peers.saying(b"\0" * 100_000),
        lambda: peers.saying(b"\x16\x03\x03\xff\xff" + b"\xff" * 70_000),
        lambda: peers.saying(b"\x16\x03\x03\x00"),
    ],
    ids=["silent", "closing", "redis", "http", "NUL", "a record too long", "a record begun"],
)
def test_a_peer_that_shakes_no_hands_is_an_error_in_time(
    certificates: Certificates, peer: object
) -> None:
    assert callable(peer)
    with peer() as port:
        error = failure(to(port, certificates))
        assert_typed(error, port)
        assert type(error) is TlsError


def test_a_peer_that_is_silent_after_the_handshake_is_given_up(
    mtls_server: Server, certificates: Certificates
) -> None:
    with mtls_server.stopped():
        assert isinstance(failure(mtls_server.options(**DEADLINES)), RedisConnectionError)
