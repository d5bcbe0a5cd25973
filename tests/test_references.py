"""`{{ NAME }}` in an option stands for an environment variable, read when connecting."""

import copy
import pickle

import pytest
import redis
from lakeflow_redis import ConfigurationError, LakeflowConnect

from tests import canary
from tests.servers import Server

PASSWORD = "LAKEFLOW_TEST_PASSWORD"  # noqa: S105 - the name of a variable.
PORT = "LAKEFLOW_TEST_PORT"


def works(connector: LakeflowConnect) -> bool:
    """Whether a connector reaches its server."""
    return connector.test_connection()["status"] == "success"


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """A reference to the right password of the locked server."""
    monkeypatch.setenv(PASSWORD, canary.PASSWORD)
    return f"{{{{ {PASSWORD} }}}}"


def test_a_reference_is_resolved(one_locked_server: Server, password: str) -> None:
    assert works(LakeflowConnect(one_locked_server.options(password=password)))


@pytest.mark.parametrize("form", ["{{%s}}", "{{ %s }}", "{{  %s}}"])
def test_spaces_around_the_name_do_not_matter(
    one_locked_server: Server, password: str, form: str
) -> None:
    assert password
    assert works(LakeflowConnect(one_locked_server.options(password=form % PASSWORD)))


def test_a_reference_can_be_a_part_of_a_value(
    one_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, rest = str(one_server.port)[0], str(one_server.port)[1:]
    monkeypatch.setenv("LAKEFLOW_TEST_FIRST", first)
    monkeypatch.setenv("LAKEFLOW_TEST_REST", rest)
    port = "{{ LAKEFLOW_TEST_FIRST }}{{ LAKEFLOW_TEST_REST }}"
    assert works(LakeflowConnect({"host": one_server.host, "port": port}))


def test_any_password_can_stand_in_a_url_by_reference(
    one_locked_server: Server, password: str
) -> None:
    url = f"redis://:{password}@{one_locked_server.host}:{one_locked_server.port}/0"
    assert works(LakeflowConnect({"url": url}))


def test_a_whole_url_can_be_a_reference(
    one_locked_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{one_locked_server.host}:{one_locked_server.port}"
    monkeypatch.setenv("LAKEFLOW_TEST_URL", f"redis://:{canary.QUOTED_PASSWORD}@{address}")
    connector = LakeflowConnect({"url": "{{ LAKEFLOW_TEST_URL }}"})
    assert works(connector)
    canary.assert_unseen(connector, connector._repr_html_())


def test_a_table_option_can_be_a_reference(
    one_server: Server, one_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_client.mset({"a:1": "v", "b:1": "v"})
    monkeypatch.setenv("LAKEFLOW_TEST_PATTERN", "b:*")
    connector = LakeflowConnect(one_server.options())
    records, _ = connector.read_table(
        "strings", None, {"key_pattern": "{{ LAKEFLOW_TEST_PATTERN }}"}
    )
    assert [row["key_name"] for row in records] == ["b:1"]


def test_a_reference_is_read_each_time(
    one_server: Server, one_locked_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = LakeflowConnect({"host": one_server.host, "port": f"{{{{ {PORT} }}}}"})
    monkeypatch.setenv(PORT, str(one_server.port))
    assert works(connector)
    monkeypatch.setenv(PORT, str(one_locked_server.port))
    assert not works(connector)
    monkeypatch.setenv(PORT, str(one_server.port))
    assert works(connector)


@pytest.mark.parametrize("option", ["password", "host", "port", "url", "key_pattern"])
def test_a_variable_that_is_missing_is_named(
    one_server: Server, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.delenv("LAKEFLOW_TEST_MISSING", raising=False)
    options = {} if option == "url" else one_server.options()
    connector = LakeflowConnect(options | {option: "{{ LAKEFLOW_TEST_MISSING }}"})
    with pytest.raises(ConfigurationError, match="LAKEFLOW_TEST_MISSING") as caught:
        connector.read_table("strings")
    assert f"`{option}`" in str(caught.value)


def test_what_a_variable_holds_is_checked_and_not_shown_where_secret(
    one_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PORT, "abc")
    connector = LakeflowConnect({"host": one_server.host, "port": f"{{{{ {PORT} }}}}"})
    with pytest.raises(ConfigurationError, match="`port`"):
        connector.read_table("strings")
    monkeypatch.setenv("LAKEFLOW_TEST_URL", f"http://:{canary.QUOTED_PASSWORD}@localhost")
    connector = LakeflowConnect({"url": "{{ LAKEFLOW_TEST_URL }}"})
    with pytest.raises(ConfigurationError, match="`url`") as caught:
        connector.read_table("strings")
    canary.assert_unseen(caught.value, connector)


def test_a_secret_in_the_wrong_option_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, canary.PASSWORD)
    for option in ("port", "db", "socket_timeout", "ssl"):
        options = {"unix_socket_path": "/nowhere"} if option != "port" else {"host": "localhost"}
        connector = LakeflowConnect(options | {option: f"{{{{ {PASSWORD} }}}}"})
        with pytest.raises(ConfigurationError, match=f"`{option}`") as caught:
            connector.read_table("strings")
        canary.assert_unseen(caught.value)


def test_a_pickle_holds_the_reference_and_not_the_value(
    one_locked_server: Server, password: str
) -> None:
    connector = LakeflowConnect(one_locked_server.options(password=password))
    assert works(connector)
    pickled = pickle.dumps(connector)
    assert PASSWORD.encode() in pickled
    assert canary.MARK.encode() not in pickled
    again = pickle.loads(pickled)
    assert works(again)
    assert works(copy.copy(again))
    assert works(copy.deepcopy(again))
    canary.assert_unseen(connector, again)


def test_a_wrong_password_by_reference_is_not_shown(
    one_locked_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, canary.WRONG_PASSWORD)
    connector = LakeflowConnect(one_locked_server.options(password=f"{{{{ {PASSWORD} }}}}"))
    result = connector.test_connection()
    assert result["status"] == "error"
    with pytest.raises(Exception, match="credentials") as caught:
        connector.read_table("strings")
    canary.assert_unseen(result, caught.value)
