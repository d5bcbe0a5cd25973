"""Over TLS the tables are the same, and what is wrong with it is said in so many words."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest
from lakeflow_redis import LakeflowConnect, LakeflowRedisWarning, RedisConnectionError

from tests import data, faults, oracle, tls_peers
from tests.certificates import Certificates
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES
from tests.failing import DEADLINES, failure
from tests.faults import Proxy
from tests.servers import HOST, REDIS_7_0, Server

HEAVY_DB = 1
HUGE_DB = 2
CUT_DB = 3

HUGE = 30_000_000
"""Bytes of a value that fills two thousand TLS records."""

CUT_KEYS = 3_000
CUT_VALUE = b"x" * 1_000

tables = pytest.mark.parametrize("table", [*CONTENT_TABLES, "keys"])


@pytest.fixture(params=["tls", "mtls"])
def encrypted(request: pytest.FixtureRequest, tls_server: Server, mtls_server: Server) -> Server:
    """Each server that speaks TLS in turn: one asks its clients for certificates."""
    return tls_server if request.param == "tls" else mtls_server


def names(options: dict[str, str]) -> list[str]:
    """The names of the strings that a connector reads."""
    records, _ = LakeflowConnect(options).read_table("strings")
    return [row["key_name"] for row in records]


@pytest.mark.parametrize("mode", ["string", "binary"])
@tables
def test_rows_equal_the_oracles_over_unkind_data(encrypted: Server, table: str, mode: str) -> None:
    words = data.WORDS if mode == "binary" else data.TEXTS
    with encrypted.client() as client:
        client.flushdb()
        data.fill(client, "strings" if table == "keys" else table, words)
        expected = oracle.read(client, table, binary=mode == "binary")
    assert len(expected) > len(words)
    records, _ = LakeflowConnect(encrypted.options(value_type=mode)).read_table(table)
    assert_same_rows(table, records, expected)


def test_server_info_is_that_of_the_server(encrypted: Server) -> None:
    records, _ = LakeflowConnect(encrypted.options()).read_table("server_info")
    found = {(row["section"], row["property"]): row["value"] for row in records}
    with encrypted.local_client() as client:
        assert found["server", "run_id"] == client.info("server")["run_id"]


@pytest.fixture(scope="module")
def heavy(tls_server: Server, mtls_server: Server) -> Iterator[None]:
    """One key of 100 k elements for each table, on both servers, in a database of its own."""
    servers = (tls_server, mtls_server)
    for server in servers:
        with server.local_client(HEAVY_DB) as client:
            data.fill_heavily(client)
    yield
    for server in servers:
        with server.local_client(HEAVY_DB) as client:
            client.flushdb()


@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_collections_of_100_k_elements_come_whole(
    heavy: None, encrypted: Server, table: str
) -> None:
    with encrypted.local_client(HEAVY_DB) as client:
        expected = oracle.read(client, table)
    assert len(expected) == (1 if table == "strings" else data.HEAVY)
    records, _ = LakeflowConnect(encrypted.options(db=str(HEAVY_DB))).read_table(table)
    assert_same_rows(table, records, expected)


def test_a_value_of_30_mb_comes_whole(encrypted: Server) -> None:
    huge = (data.MEGABYTE * 30)[:HUGE].decode()
    with encrypted.local_client(HUGE_DB) as client:
        client.set("huge", huge)
        client.hset("hash", "huge", huge)
        options = encrypted.options(db=str(HUGE_DB))
        (string,) = LakeflowConnect(options).read_table("strings")[0]
        (field,) = LakeflowConnect(options).read_table("hashes")[0]
        client.flushdb()
    assert string["value"] == field["value"] == huge


def test_several_tables_come_at_once(encrypted: Server) -> None:
    with encrypted.client() as client:
        client.flushdb()
        data.fill(client, "hashes", data.TEXTS)
        expected = {table: oracle.read(client, table) for table in ("keys", "hashes", "streams")}
    found, _ = LakeflowConnect(encrypted.options()).read_tables(expected)
    for table, rows in found.read_all().items():
        assert_same_rows(table, rows.to_pylist(), expected[table])


@pytest.fixture
def marked(encrypted: Server) -> Server:
    """The same server with one key."""
    with encrypted.local_client() as client:
        client.flushdb()
        client.set("marked", "v")
    return encrypted


def in_text(server: Server, certificates: Certificates) -> dict[str, str]:
    """The options of a server, with PEM text where it has paths."""
    texts = {
        "ssl_ca_certs": certificates.ca_pem,
        "ssl_certfile": certificates.client.certificate_pem,
        "ssl_keyfile": certificates.client.key_pem,
    }
    return {name: texts.get(name, value) for name, value in server.options().items()}


def test_certificates_come_as_text(marked: Server, certificates: Certificates) -> None:
    assert names(in_text(marked, certificates)) == ["marked"]


def test_certificates_come_by_references_and_survive_a_pickle(
    marked: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = in_text(marked, certificates)
    for name in [name for name in options if name.startswith("ssl_")]:
        monkeypatch.setenv(f"LAKEFLOW_TEST_{name}", options[name])
        options[name] = f"{{{{ LAKEFLOW_TEST_{name} }}}}"
    pickled = pickle.dumps(LakeflowConnect(options))
    assert b"BEGIN" not in pickled
    records, _ = pickle.loads(pickled).read_table("strings")
    assert [row["key_name"] for row in records] == ["marked"]


@pytest.mark.parametrize("host", [HOST, "localhost"])
def test_a_url_asks_for_tls_by_its_scheme(marked: Server, host: str) -> None:
    where = {"host", "port", "ssl"}
    options = {name: text for name, text in marked.options().items() if name not in where}
    options["url"] = f"rediss://{host}:{marked.port}/0"
    assert names(options) == ["marked"]


SYSTEM = """
import sys
from lakeflow_redis import LakeflowConnect
options = {"host": sys.argv[1], "port": sys.argv[2], "ssl": "true"}
print(LakeflowConnect(options).test_connection())
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_the_systems_authorities_are_trusted_where_none_is_named(
    tls_server: Server, certificates: Certificates, trusted: bool
) -> None:
    store = certificates.ca if trusted else certificates.foreign_ca
    done = subprocess.run(
        [sys.executable, "-c", SYSTEM, tls_server.host, str(tls_server.port)],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env=os.environ | {"SSL_CERT_FILE": str(store)},
    )
    assert ("'success'" in done.stdout) is trusted, done.stdout
    assert ("ssl_ca_certs" in done.stdout) is not trusted


def test_inspecting_says_that_the_connection_is_encrypted(
    marked: Server, one_server: Server
) -> None:
    assert LakeflowConnect(marked.options()).inspect()["tls"] is True
    assert LakeflowConnect(one_server.options()).inspect()["tls"] is False


def test_a_server_that_is_believed_unseen_comes_with_one_warning(
    certificates: Certificates,
) -> None:
    with Server(REDIS_7_0, tls=certificates.tls(server=certificates.elsewhere)) as server:
        with server.local_client() as client:
            data.fill_many(client, 2_000)
        options = {"host": server.host, "port": str(server.port)}
        trusting = options | {"ssl": "true", "ssl_cert_reqs": "none"}
        connector = LakeflowConnect(trusting)
        assert "ssl_cert_reqs" in connector.test_connection()["message"]
        records, _ = connector.read_table("strings")
        with pytest.warns(LakeflowRedisWarning, match="ssl_cert_reqs") as issued:
            assert len(list(records)) == 2_000
    assert len(issued) == 1
    assert records.receipt["warnings"] == [str(issued[0].message)]


@pytest.fixture(scope="module")
def cuttable(tls_server: Server) -> Iterator[Server]:
    """The server with 3 MB in a database of its own."""
    with tls_server.local_client(CUT_DB) as client:
        client.mset({f"cut:{number}": CUT_VALUE for number in range(CUT_KEYS)})
        yield tls_server
        client.flushdb()


def assert_broken(options: dict[str, str]) -> None:
    """Fail unless a read ends in an error of the connection, where it is not made anew."""
    assert isinstance(failure(options | {"retry_deadline": "0"}), RedisConnectionError)


@pytest.mark.parametrize("after", [3_000, 20_000, 100_000, 1_000_000, 2_500_000])
@pytest.mark.parametrize("between_records", [True, False])
def test_a_connection_that_is_cut_is_no_short_table(
    cuttable: Server, after: int, between_records: bool
) -> None:
    cut = tls_peers.cut_between_records if between_records else faults.cut
    with Proxy(cuttable.port, cut(after)) as proxy:
        assert_broken(cuttable.options(port=str(proxy.port), db=str(CUT_DB)) | DEADLINES)


@pytest.mark.parametrize("after", [20_000, 1_000_000, 2_500_000])
def test_a_goodbye_in_the_middle_of_a_reply_is_no_short_table(
    cuttable: Server, one_server: Server, certificates: Certificates, after: int
) -> None:
    with one_server.client(CUT_DB) as client:
        client.flushdb()
        client.mset({f"cut:{number}": CUT_VALUE for number in range(CUT_KEYS)})
        with tls_peers.parting(one_server.port, after, certificates.server) as port:
            assert_broken(cuttable.options(port=str(port), db=str(CUT_DB)) | DEADLINES)
        client.flushdb()
