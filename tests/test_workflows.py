"""The workflows do what RELEASING.md says; they can only be run where they are hosted."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.documents import ROOT

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))

PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
"""An action by its commit, which nobody can move, with the version that it is."""

PLATFORMS = {
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("macos", "x86_64"),
    ("macos", "aarch64"),
}

workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(name: str) -> dict[Any, Any]:
    """A workflow; YAML reads its key `on` as true."""
    found = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(found, dict)
    return found


def steps(job: dict[str, Any]) -> str:
    """All that a job runs and uses."""
    return "\n".join(f"{step.get('uses', '')} {step.get('run', '')}" for step in job["steps"])


def test_the_workflows_are_those_that_are_told_of() -> None:
    assert [path.stem for path in WORKFLOWS] == ["audit", "ci", "release"]


@workflows
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    used = [line for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.search(line)] == []


@workflows
def test_an_action_has_one_version_everywhere(path: Path) -> None:
    texts = "\n".join(other.read_text() for other in WORKFLOWS)
    for action, commit in re.findall(r"uses: ([\w/-]+)@(\w+)", path.read_text()):
        assert set(re.findall(rf"uses: {action}@(\w+)", texts)) == {commit}


@workflows
def test_nothing_may_be_written_but_where_it_is_said(path: Path) -> None:
    workflow = load(path.name)
    assert workflow["permissions"] == {"contents": "read"}
    asked = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    assert asked == ({"publish": {"id-token": "write"}} if path.stem == "release" else {})


def test_what_has_to_pass_is_what_anybody_can_run() -> None:
    assert steps(load("ci.yml")["jobs"]["test"]).endswith(" .ci/run")


def test_what_is_known_to_be_wrong_is_looked_for_without_a_change_too() -> None:
    workflow = load("audit.yml")
    assert set(workflow[True]) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert steps(workflow["jobs"]["audit"]).endswith(" make audit")


@pytest.mark.parametrize("job", ["wheel", "smoke"])
def test_every_platform_is_built_and_tried(job: str) -> None:
    matrix = load("release.yml")["jobs"][job]["strategy"]["matrix"]
    assert {(one["platform"], one["target"]) for one in matrix["include"]} == PLATFORMS
    assert all(one["runner"] for one in matrix["include"])
    if job == "smoke":  # Of a product; `include` adds a runner to each of its members.
        product = {(one, other) for one in matrix["platform"] for other in matrix["target"]}
        assert product == PLATFORMS
        assert matrix["python"][0] == oldest_python()


def test_wheels_are_built_for_old_systems_and_any_python() -> None:
    text = steps(load("release.yml")["jobs"]["wheel"])
    assert "cp311-abi3" in text
    build = maturin("wheel")
    assert build["manylinux"] == "2_28"
    assert build["target"] == "${{ matrix.target }}"
    assert "--release" in build["args"]


def test_a_wheel_is_looked_at_for_what_it_is_made_of() -> None:
    assert "sboms/lakeflow-redis.cyclonedx.json" in steps(load("release.yml")["jobs"]["wheel"])


@pytest.mark.parametrize("job", ["wheel", "sdist"])
def test_what_is_released_is_built_by_the_maturin_of_the_lock(job: str) -> None:
    lock = (ROOT / "requirements/build.txt").read_text()
    (version,) = re.findall(r"^maturin==(\S+)", lock, re.MULTILINE)
    assert maturin(job)["maturin-version"] == f"v{version}"


def test_a_wheel_is_tried_without_the_checkout() -> None:
    text = steps(load("release.yml")["jobs"]["smoke"])
    assert "actions/checkout" not in text
    assert "import lakeflow_redis" in text
    assert "lakeflow-redis --help" in text
    assert "python -m lakeflow_redis.demo" in text


def test_only_what_was_tried_is_published_and_only_for_tags() -> None:
    workflow = load("release.yml")
    assert set(workflow[True]) == {"push", "workflow_dispatch"}
    assert workflow[True]["push"] == {"tags": ["v*"]}
    publish = workflow["jobs"]["publish"]
    assert set(publish["needs"]) == {"smoke", "sdist"}
    assert "github.event_name == 'push' && github.ref_type == 'tag'" in publish["if"]
    assert publish["environment"] == "pypi"
    assert "secrets." not in (FOLDER / "release.yml").read_text(), "PyPI trusts the workflow"


@pytest.mark.parametrize(
    ("tag", "passes"), [("v{version}", True), ("v99.0.0", False), ("{version}", False)]
)
def test_a_tag_must_be_the_version_that_the_changelog_has(
    tag: str, *, passes: bool, tmp_path: Path
) -> None:
    version = cargo_version()
    (tmp_path / "Cargo.toml").write_text((ROOT / "Cargo.toml").read_text())
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{version}] - 2026-12-01\n")
    script = load("release.yml")["jobs"]["version"]["steps"][-1]["run"]
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "GITHUB_REF_TYPE": "tag",
            "GITHUB_REF_NAME": tag.format(version=version),
        },
        check=False,
    )
    assert (done.returncode == 0) is passes


def test_the_platforms_are_told_of() -> None:
    text = (ROOT / "RELEASING.md").read_text()
    jobs = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert jobs == set(load("release.yml")["jobs"])


def maturin(job: str) -> dict[str, str]:
    """What a job of the release asks maturin for."""
    (asked,) = [
        step["with"]
        for step in load("release.yml")["jobs"][job]["steps"]
        if step.get("uses", "").startswith("PyO3/maturin-action@")
    ]
    assert isinstance(asked, dict)
    return asked


def cargo_version() -> str:
    """The version in Cargo.toml."""
    return str(tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"])


def oldest_python() -> str:
    """The oldest Python that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["requires-python"]).removeprefix(">=")
