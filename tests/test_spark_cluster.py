"""Spark with real executors: what they read, and that no password is seen in anything they leave."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import canary, data
from tests.servers import REDIS_7_0, Server, free_port
from tests.spark import home
from tests.streams import add, numbered

PASSWORD = "LAKEFLOW_TEST_SPARK_PASSWORD"  # noqa: S105 - a variable's name.
WRONG_PASSWORD = "LAKEFLOW_TEST_SPARK_WRONG_PASSWORD"  # noqa: S105 - so is this.
URL = "LAKEFLOW_TEST_SPARK_URL"

KEYS = 4_200
"""Fewer are not divided."""
ENTRIES = 50

WAYS = ["batch", "view", "stream"]
READS = ["by reference", "by a url", "as it is"]
FAILURES = ["wrong by reference", "wrong as it is", "nobody listens"]
"""Of passwords, and of servers."""


@dataclass(frozen=True)
class Application:
    """What an application told, and where it left its traces."""

    folder: Path
    told: dict[str, dict[str, Any]]
    output: str

    def traces(self) -> Iterator[tuple[str, str]]:
        """Everything that it wrote or printed, but for what was read."""
        yield "its output", self.output
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "sink" not in path.parts and "home" not in path.parts:
                yield str(path), path.read_bytes().decode("latin-1")
        for path in sorted((self.folder / "home" / "work").rglob("*")):
            if path.is_file() and path.suffix != ".jar":
                yield str(path), path.read_bytes().decode("latin-1")


def reference(name: str) -> str:
    """How options refer to an environment variable."""
    return f"{{{{ {name} }}}}"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    """One application for all tests here: starting one takes longer than what it does."""
    folder = tmp_path_factory.mktemp("application")
    with Server(REDIS_7_0, password=canary.PASSWORD) as server, server.client() as client:
        data.fill_many(client, KEYS)
        add(client, "events", *numbered(1, ENTRIES))
        place = {"host": server.host, "port": str(server.port), "num_partitions": "2"}
        nowhere = {"port": str(free_port()), "password": reference(PASSWORD)}
        task = {
            "by reference": (place | {"password": reference(PASSWORD)}, WAYS),
            "by a url": ({"url": reference(URL), "num_partitions": "2"}, WAYS[:1]),
            "as it is": (place | {"password": canary.PASSWORD}, WAYS),
            "wrong by reference": (place | {"password": reference(WRONG_PASSWORD)}, WAYS),
            "wrong as it is": (place | {"password": canary.WRONG_PASSWORD}, WAYS),
            "nobody listens": (place | nowhere, WAYS[:1]),
        }
        assert list(task) == READS + FAILURES
        variables = {
            PASSWORD: canary.PASSWORD,
            WRONG_PASSWORD: canary.WRONG_PASSWORD,
            URL: f"redis://:{canary.QUOTED_PASSWORD}@{server.address}/0",
            "SPARK_HOME": str(home(folder / "home")),
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.spark_job", str(folder), json.dumps(task)],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-5000:]
    told = json.loads((folder / "told.json").read_text())
    return Application(folder, told, done.stdout + done.stderr)


pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("name", READS)
def test_executors_read_each_row_once(application: Application, name: str) -> None:
    told = application.told[name]
    found = {row["key_name"]: row["value"] for row in told["batch"]["rows"]}
    assert found == {f"many:{number}": f"value {number}" for number in range(KEYS)}
    assert len(told["batch"]["rows"]) == KEYS
    assert told.get("view", KEYS) == KEYS
    assert told.get("stream", ENTRIES) == ENTRIES


def test_both_executors_read(application: Application) -> None:
    executors = application.told["by reference"]["batch"]["executors"]
    assert len(executors) == 2
    assert "the driver" not in executors


@pytest.mark.parametrize("name", FAILURES)
def test_a_read_that_fails_says_why(application: Application, name: str) -> None:
    why = "RedisConnectionError" if name == "nobody listens" else "AuthenticationError"
    assert all(why in told for told in application.told[name].values())


def test_no_password_is_seen_anywhere(application: Application) -> None:
    names = []
    for name, text in application.traces():
        names.append(name)
        assert canary.MARK not in text, (name, text[max(0, text.index(canary.MARK) - 300) :][:600])
    # All kinds of places were looked into.
    for place in ("events/", "checkpoint/offsets/", "/stderr"):
        assert any(place in name for name in names), place
