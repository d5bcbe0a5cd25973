"""Bad options and names fail before anything is connected to, and say what to write instead."""

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from lakeflow_redis import ConfigurationError, LakeflowConnect

from tests import canary
from tests.test_connector import NOWHERE


def message(options: Mapping[str, str]) -> str:
    """What the error says that a connector with these options is."""
    with pytest.raises(ConfigurationError) as caught:
        LakeflowConnect(options)
    canary.assert_unseen(caught.value)
    return str(caught.value)


BAD_VALUES = [
    *(
        ("port", value)
        for value in ("abc", "70000", "65536", "-1", "6379.0", "", "6379 ", "0x1", "٣")
    ),
    *(
        ("db", value)
        for value in ("-1", "abc", "1.5", "", "99999999999999999999", "0,", "0,0", "**")
    ),
    *(("mode", value) for value in ("redis", "Cluster", "")),
    *(("nodes", value) for value in ("", "a,,b", "a:b", "redis://a", "a:1,a:1")),
    *(("read_from", value) for value in ("slave", "")),
    *(("ssl_cert_reqs", value) for value in ("optional", "")),
    *(("on_denied", value) for value in ("ignore", "")),
    *(("sync_rules", value) for value in ("", "{}", "[]", "all")),
    *(("batch_size", value) for value in ("0", "-5", "many", "1e3", "")),
    *(("max_records_per_batch", value) for value in ("0", "-1", "all")),
    *(("socket_timeout", value) for value in ("-1", "soon", "nan", "inf", "")),
    *(("socket_connect_timeout", value) for value in ("-0.5", "NaN", "1e400")),
    *(("invalid_utf8", value) for value in ("ignore", "Error", "")),
    *(("value_type", value) for value in ("bytes", "")),
    *(("fail_on_data_loss", value) for value in ("maybe", "1.0", "")),
    *(("ssl", value) for value in ("perhaps", "")),
    ("client_name", "two words"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_named_with_its_option(name: str, value: str) -> None:
    assert f"`{name}`" in message(NOWHERE | {name: value})


TABLE_OPTIONS = {
    *("sync_rules", "on_denied"),
    *("batch_size", "max_records_per_batch", "invalid_utf8", "value_type", "fail_on_data_loss"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, value in BAD_VALUES if name in TABLE_OPTIONS]
)
def test_a_bad_value_for_one_read_is_named_too(name: str, value: str) -> None:
    for call in calls("strings", {name: value}):
        with pytest.raises(ConfigurationError, match=f"`{name}`"):
            call()


def calls(table: str, options: Mapping[str, str] | None = None) -> list[Callable[[], Any]]:
    """The three calls that name a table, on a connector without a server."""
    connector = LakeflowConnect(NOWHERE)
    return [
        lambda: connector.get_table_schema(table, options),
        lambda: connector.read_table_metadata(table, options),
        lambda: connector.read_table(table, None, options),
    ]


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("pasword", "password"),
        ("passwd", "password"),
        ("hots", "host"),
        ("usename", "username"),
        ("batchsize", "batch_size"),
        ("keypattern", "key_pattern"),
        ("socket_timeot", "socket_timeout"),
        ("invalid_utf", "invalid_utf8"),
    ],
)
def test_an_unknown_option_offers_the_nearest(given: str, nearest: str) -> None:
    text = message(NOWHERE | {given: canary.PASSWORD})
    assert given in text
    assert f"`{nearest}`" in text


def test_an_unknown_option_of_one_read_offers_the_nearest() -> None:
    for call in calls("strings", {"key_patern": "a*"}):
        with pytest.raises(ConfigurationError, match="`key_pattern`"):
            call()


@pytest.mark.parametrize("name", ["host", "port", "db", "password", "url", "socket_timeout"])
def test_an_option_of_the_connector_is_none_of_one_read(name: str) -> None:
    for call in calls("strings", {name: "1"}):
        with pytest.raises(ConfigurationError, match=f"`{name}`"):
            call()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"url": "redis://localhost"}, {"host": "localhost"}),
        ({"url": "redis://localhost"}, {"port": "6379"}),
        ({"url": "redis://localhost"}, {"unix_socket_path": "/run/redis.sock"}),
        ({"url": f"redis://:{canary.QUOTED_PASSWORD}@localhost"}, {"password": canary.PASSWORD}),
        ({"url": "redis://localhost/1"}, {"db": "1"}),
        ({"unix_socket_path": "/run/redis.sock"}, {"host": "localhost"}),
        ({"unix_socket_path": "/run/redis.sock"}, {"port": "6379"}),
    ],
)
def test_options_that_contradict_each_other_are_both_named(
    one: dict[str, str], other: dict[str, str]
) -> None:
    text = message(one | other)
    assert all(f"`{name}`" in text for name in one | other)


def test_a_connector_needs_to_know_its_server() -> None:
    for options in ({}, {"db": "1"}, {"port": "6379"}, {"password": canary.PASSWORD}):
        assert "`host`" in message(options)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        "http://localhost",
        f"redis://:{canary.QUOTED_PASSWORD}@localhost:port",
        f"redis://:{canary.QUOTED_PASSWORD}@localhost:70000",
        f"redis://:{canary.QUOTED_PASSWORD}@localhost/one",
        f"redis://:{canary.QUOTED_PASSWORD}@localhost/-1",
        f"redis://:{canary.PASSWORD}@localhost",
        f"redis//:{canary.QUOTED_PASSWORD}@localhost",
        f"rediss://:{canary.QUOTED_PASSWORD}@localhost/one",
    ],
)
def test_a_bad_url_is_named_and_not_shown(url: str) -> None:
    assert "url" in message({"url": url}).lower()


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("hash", "hashes"),
        ("Strings", "strings"),
        ("zsets", "sets"),
        ("stream", "streams"),
        ("serverinfo", "server_info"),
        ("sortedsets", "sorted_sets"),
    ],
)
def test_an_unknown_table_is_named_at_once_with_the_nearest(given: str, nearest: str) -> None:
    for call in calls(given):
        with pytest.raises(ConfigurationError, match=given) as caught:
            call()
        assert f"`{nearest}`" in str(caught.value)


def test_an_empty_name_of_a_table_is_an_error() -> None:
    for call in calls(""):
        with pytest.raises(ConfigurationError):
            call()


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({"port": "abc"}, ("port",)),
        ({"url": "redis://localhost"}, ("url", "host")),
        ({"ssl_keyfile": "key.pem"}, ("ssl_keyfile", "ssl")),
        ({"sync_rules": "[]"}, ("sync_rules",)),
        ({"no_option": "1"}, ()),
    ],
)
def test_errors_know_which_options_they_are_about(
    given: dict[str, str], about: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LakeflowConnect({"host": "localhost", **given})
    assert caught.value.options == about
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.options) == (str(caught.value), about)


def test_configuration_errors_are_value_errors() -> None:
    with pytest.raises(ValueError, match="`port`"):
        LakeflowConnect({"host": "localhost", "port": "abc"})
