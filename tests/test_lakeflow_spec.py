"""`connector_spec.yaml` is of the framework's form, and says what the table of options says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from lakeflow_redis._core import option_specs

PATH = Path(__file__).parent.parent / "connector_spec.yaml"


@pytest.fixture(scope="module")
def spec() -> Any:
    """The file, as the framework reads it."""
    return yaml.safe_load(PATH.read_text())


def names(scope: str) -> list[str]:
    """The options of a scope."""
    return [spec["name"] for spec in option_specs() if spec["scope"] == scope]


def test_the_file_is_what_is_generated() -> None:
    command = [sys.executable, "-m", "lakeflow_redis.lakeflow.spec"]
    generated = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert PATH.read_text() == generated, f"run `{' '.join(command[1:])} > {PATH.name}`"


def test_it_has_what_the_framework_looks_for(spec: Any) -> None:
    assert spec.keys() == {"display_name", "connection", "external_options_allowlist"}
    assert spec["display_name"] == "Redis"
    assert spec["connection"].keys() == {"parameters"}


def test_the_connections_options_are_parameters(spec: Any) -> None:
    parameters = spec["connection"]["parameters"]
    assert [each["name"] for each in parameters] == names("connection")
    by_name = {each["name"]: each for each in option_specs()}
    for parameter in parameters:
        option = by_name[parameter["name"]]
        secret = {"secret": True} if option["secret"] else {}
        assert parameter == secret | {
            "name": option["name"],
            "type": option["type"],
            "required": False,
            "description": option["doc"],
        }


def test_all_other_options_may_be_given_for_a_table(spec: Any) -> None:
    assert spec["external_options_allowlist"].split(",") == names("table")
