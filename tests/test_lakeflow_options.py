"""What the Lakeflow framework hands over: which options are its own, and what must not be seen."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from lakeflow_redis import ConfigurationError, LakeflowRedisError
from lakeflow_redis._core import option_specs
from lakeflow_redis.lakeflow import RedisLakeflowConnect
from lakeflow_redis.lakeflow.framework_options import AGENT, FRAMEWORK

from tests import canary
from tests.servers import Server

FRAMEWORKS = {
    "tableName": "hashes",
    "tableNameList": '["hashes"]',
    "tableConfigs": "{}",
    "isDeleteFlow": "false",
    "namespace": "[]",
    "namespacePrefix": "[]",
    "sourceName": "redis",
    "externalOptionsAllowList": "tableName,key_pattern",
    "databricks.connection": "my_redis",
}
AGENTS = {
    "operation": "preview_table",
    "parent": "",
    "search": "h.*",
    "path": "",
    "name": "hashes",
    "metadataKey": "primary_key",
    "limit": "10",
    "catalogName": "c",
    "schemaName": "s",
}


def lower(options: dict[str, str]) -> dict[str, str]:
    """As Spark hands them over."""
    return {name.lower(): value for name, value in options.items()}


@pytest.mark.parametrize("spelling", [dict, lower])
@pytest.mark.parametrize("extra", [FRAMEWORKS, FRAMEWORKS | AGENTS])
def test_the_frameworks_own_options_are_left_out(
    one_server: Server, extra: dict[str, str], spelling: type[dict[str, str]]
) -> None:
    options = spelling(one_server.options() | {"key_pattern": "user:*"} | extra)
    connector = RedisLakeflowConnect(options)
    # With those of a table come those of the connection.
    assert connector.get_table_schema("hashes", options).names[0] == "key_name"
    assert connector.read_table_metadata("hashes", options)["ingestion_type"] == "snapshot"
    assert list(connector.read_table("hashes", None, options)[0]) == []


@pytest.mark.parametrize("name", sorted(AGENTS.keys() - {"operation"}))
def test_an_agents_options_are_mistakes_without_an_agent(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f'unknown option "{name.lower()}"'):
        RedisLakeflowConnect({"host": "h", name: AGENTS[name]})


def test_no_option_has_a_name_of_the_frameworks() -> None:
    assert {spec["name"] for spec in option_specs()} & (FRAMEWORK | AGENT) == set()
    assert {name.lower() for name in FRAMEWORKS} - {"databricks.connection"} == FRAMEWORK
    assert {name.lower() for name in AGENTS} == AGENT


@pytest.mark.parametrize("name", ["tablesName", "key_patern", "databricks_connection"])
def test_any_other_option_is_refused(name: str) -> None:
    connector = RedisLakeflowConnect({"host": "h"})
    with pytest.raises(ConfigurationError, match=name.lower()):
        RedisLakeflowConnect({"host": "h", name: "v"})
    with pytest.raises(ConfigurationError, match=name.lower()):
        connector.get_table_schema("hashes", {name: "v"})


def test_our_options_are_taken_in_any_case() -> None:
    connector = RedisLakeflowConnect({"Host": "h", "COLUMNS": "key_name"})
    assert connector.get_table_schema("strings", {}).names == ["key_name"]
    assert connector.get_table_schema("strings", {"Columns": "value"}).names == ["value"]
    with pytest.raises(ConfigurationError, match="`host` is given twice"):
        RedisLakeflowConnect({"host": "h", "HOST": "h"})


def test_a_table_cannot_have_a_connection_of_its_own() -> None:
    connector = RedisLakeflowConnect({"host": "h"})
    assert connector.get_table_schema("strings", {"host": "h"})
    with pytest.raises(ConfigurationError, match="`host` is for the connector as a whole"):
        connector.get_table_schema("strings", {"host": "other"})


@pytest.fixture
def referring(one_locked_server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Options with a reference to the password."""
    monkeypatch.setenv("LAKEFLOW_TEST_SECRET", canary.PASSWORD)
    return one_locked_server.options(password="{{ LAKEFLOW_TEST_SECRET }}")  # noqa: S106 - none.


def test_no_secret_is_in_what_goes_to_other_processes(
    one_locked_server: Server, referring: dict[str, str]
) -> None:
    with one_locked_server.client() as client:
        client.flushdb()
        client.xadd("a", {"f": "v"}, "1-1")
        client.hset("h", "f", "v")
    connector = RedisLakeflowConnect(referring)
    offset = connector.latest_offset("streams", referring, {})
    parts = connector.get_partitions("streams", referring, {}, offset)
    parts += connector.get_partitions("hashes", referring)
    assert parts
    pickled = pickle.dumps(connector).decode("latin-1")
    canary.assert_unseen(json.dumps(offset), json.dumps(parts), pickled, connector)
    again: RedisLakeflowConnect = pickle.loads(pickle.dumps(connector))
    assert list(again.read_partition("hashes", parts[-1], referring))


def test_no_secret_is_in_what_is_printed(one_locked_server: Server) -> None:
    options = one_locked_server.options()
    wrong = RedisLakeflowConnect(options | {"password": canary.WRONG_PASSWORD})
    for ask in (
        lambda: wrong.read_table("strings", None, {}),
        lambda: wrong.latest_offset("streams", {}, None),
        lambda: wrong.get_partitions("strings", {}),
        lambda: wrong.get_table_schema("strings", options),
    ):
        with pytest.raises(LakeflowRedisError) as caught:
            ask()
        canary.assert_unseen(caught.value)
    canary.assert_unseen(wrong)
    assert repr(wrong).startswith("<RedisLakeflowConnect to ")


INTERFACE = """
from abc import ABC, abstractmethod
class LakeflowConnect(ABC): pass
class SupportsPartition(ABC):
    @abstractmethod
    def get_partitions(self): ...
"""
NEWER = """
class SupportsPartitionedStream(SupportsPartition): pass
"""
LOOK = """
from databricks.labs.community_connector import interface
from lakeflow_redis.lakeflow import RedisLakeflowConnect
print(isinstance(RedisLakeflowConnect({"host": "h"}), getattr(interface, "NAME")))
"""


@pytest.mark.parametrize(
    ("interface", "name", "known"),
    [
        (INTERFACE, "LakeflowConnect", True),
        (INTERFACE, "SupportsPartition", False),
        (INTERFACE + NEWER, "LakeflowConnect", True),
        (INTERFACE + NEWER, "SupportsPartition", True),
        (INTERFACE + NEWER, "SupportsPartitionedStream", True),
    ],
)
def test_the_framework_is_told_what_the_connector_can(
    tmp_path: Path, interface: str, name: str, *, known: bool
) -> None:
    package = tmp_path / "databricks" / "labs" / "community_connector"
    package.mkdir(parents=True)
    (package / "interface.py").write_text(interface)
    assert looked(tmp_path, LOOK.replace("NAME", name)) == str(known)


def test_a_framework_that_lacks_something_says_so(tmp_path: Path) -> None:
    package = tmp_path / "databricks" / "labs" / "community_connector"
    package.mkdir(parents=True)
    (package / "interface.py").write_text("import not_installed")
    with pytest.raises(AssertionError, match="No module named 'not_installed'"):
        looked(tmp_path, "import lakeflow_redis.lakeflow")


def looked(folder: Path, code: str) -> str:
    """What a Python prints that finds the packages of a folder."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
