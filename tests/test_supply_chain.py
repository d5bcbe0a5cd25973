"""What the project is made of and built by is written down, allowed, and comes from where it should."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import files
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DENY = tomllib.loads((ROOT / "deny.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"

LOCKS = {
    "audit": ["audit"],
    "build": ["build"],
    "dev": ["dev", "cli"],
    "redis5": ["redis5"],
    "run": ["client", "cli"],
    "server": ["server"],
    "spark40": ["spark40"],
}
"""Of each lock, the groups and extras of pyproject.toml that it is of."""

ENVIRONMENTS = [
    {
        "python_version": version,
        "python_full_version": f"{version}.9",
        "sys_platform": system,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    for version in ("3.11", "3.14")
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]
"""Where the locks have to be good for."""

locks = pytest.mark.parametrize("lock", LOCKS)
HINT = "run `make lock`"


# Packages of Python


def test_every_lock_is_told_of() -> None:
    assert {path.stem for path in (ROOT / "requirements").iterdir()} == LOCKS.keys()
    assert set(re.findall(r"requirements/(\w+)\.txt", MAKEFILE)) == LOCKS.keys()


@locks
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: "-".join(one.values()))
def test_a_lock_has_what_is_asked_for(lock: str, environment: Mapping[str, str]) -> None:
    locked = pins(lock, environment)
    for asked in wanted(LOCKS[lock]):
        if asked.marker and not asked.marker.evaluate(dict(environment)):
            continue
        version = locked.get(canonicalize_name(asked.name))
        assert version is not None, f"{asked} is not in the lock; {HINT}"
        assert asked.specifier.contains(version, prereleases=True), f"{asked}; {HINT}"


@locks
def test_a_lock_says_one_version_and_what_it_hashes_to(lock: str) -> None:
    for requirement, hashes in lines(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, requirement


@locks
def test_a_lock_names_no_host(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    assert re.findall(r"\S+://\S+|^--(?!hash)\S+|\bindex\b", text, re.MULTILINE) == []


@pytest.mark.parametrize("part", ["audit", "build", "run", "server"])
def test_what_joins_an_environment_agrees_with_it(part: str) -> None:
    for environment in ENVIRONMENTS:
        whole = pins("dev", environment)
        own = pins(part, environment)
        assert own
        if part != "audit":  # It has packages that nothing else needs.
            assert own.keys() <= whole.keys(), HINT
        assert {name: whole.get(name, version) for name, version in own.items()} == own, HINT


def test_nothing_is_installed_but_by_a_lock() -> None:
    (install,) = re.findall(r"^INSTALL := (.+)$", MAKEFILE, re.MULTILINE)
    assert "--require-hashes" in install
    assert "--no-build-isolation" in install, "what builds a package would come without a lock"
    asked = re.findall(r"\$\(INSTALL\)(.*)$", MAKEFILE, re.MULTILINE)
    assert asked
    assert [line for line in asked if "--requirement requirements/" not in line] == []
    # Besides, only the project itself, of which nothing else comes.
    others = re.findall(r"^(?!INSTALL).*\bpip\b(?:.|\\\n)*?$", MAKEFILE, re.MULTILINE)
    commands = [line for line in others if re.search(r"-m pip|\binstall\b", line)]
    assert len(commands) == 1
    assert "--no-deps --editable ." in MAKEFILE
    assert "pip install" not in MAKEFILE


def wanted(names: list[str]) -> Iterator[Requirement]:
    """What groups and extras ask for, the project's own dependencies among it."""
    extras = PROJECT["project"]["optional-dependencies"]
    for name in names:
        if name in extras:
            yield from map(Requirement, [*PROJECT["project"]["dependencies"], *extras[name]])
        else:
            yield from of_group(name)


def of_group(name: str) -> Iterator[Requirement]:
    """What a group asks for, and the groups that it includes."""
    for entry in PROJECT["dependency-groups"][name]:
        if isinstance(entry, dict):
            yield from of_group(entry["include-group"])
        else:
            yield Requirement(entry)


def pins(lock: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Versions by name, of a lock in an environment."""
    found: dict[str, str] = {}
    for requirement, _ in lines(lock):
        if requirement.marker and not requirement.marker.evaluate(dict(environment)):
            continue
        (only,) = requirement.specifier
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{requirement} is there twice"
        found[name] = only.version
    return found


@cache
def lines(lock: str) -> list[tuple[Requirement, list[str]]]:
    """Of a lock each requirement with its hashes."""
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    without_comments = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    found = []
    for line in without_comments.replace("\\\n", "").splitlines():
        requirement, *hashes = line.split("--hash=")
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", one) for one in hashes), requirement
        found.append((Requirement(requirement.strip()), hashes))
    return found


# Crates


@cache
def crates() -> list[dict[str, Any]]:
    """All crates that any platform or feature could need, as cargo tells of them."""
    done = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["packages"]
    return found


def test_crates_come_from_one_registry() -> None:
    sources = {crate["name"]: crate["source"] for crate in crates()}
    assert {name for name, source in sources.items() if source is None} == {"lakeflow-redis"}
    assert set(sources.values()) == {None, CRATES_IO}
    assert DENY["sources"] == {"unknown-registry": "deny", "unknown-git": "deny"}


def test_every_crate_has_a_licence_that_is_allowed() -> None:
    allowed = set(DENY["licenses"]["allow"])
    elsewhere = {"tiny-keccak": "CC0-1.0"}  # None of the platforms in deny.toml needs it.
    refused = {
        crate["name"]: crate["license"]
        for crate in crates()
        if not is_allowed(crate["license"] or "", allowed | {elsewhere.get(crate["name"], "")})
    }
    assert refused == {}


def test_every_build_is_locked() -> None:
    building = re.findall(r"\$\(CARGO\) ((?:clippy|test|bench|install|build|check)\b.*)", MAKEFILE)
    assert len(building) > 3
    assert [line for line in building if "--locked" not in line] == []
    assert PROJECT["tool"]["maturin"]["locked"] is True


def test_the_wheel_says_what_it_is_made_of() -> None:
    """As it was built into this environment; a wheel for others has the same."""
    assert PROJECT["tool"]["maturin"]["sbom"]["rust"] is True
    boms = [
        path
        for path in files("lakeflow-redis") or []
        if path.match("*.dist-info/sboms/lakeflow-redis.cyclonedx.json")
    ]
    assert len(boms) == 1
    bom = json.loads(boms[0].read_text())
    assert bom["bomFormat"] == "CycloneDX"
    listed = {(one["name"], one["version"]): one for one in bom["components"]}
    locked = {(crate["name"], crate["version"]) for crate in crates()}
    assert listed.keys() <= locked, "it was built by another Cargo.lock"
    assert {"arrow-array", "pyo3", "redis", "ring", "rustls"} <= {name for name, _ in listed}
    assert [name for name, one in listed.items() if not one.get("hashes")] == []
    assert [name for name, one in listed.items() if not one.get("licenses")] == []


@pytest.mark.parametrize(
    ("licence", "passes"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0", True),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0", False),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-3.0) AND ISC", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("Apache-2.0 WITH Other-exception", False),
        ("", False),
    ],
)
def test_licences_are_understood(licence: str, *, passes: bool) -> None:
    allowed = {"Apache-2.0 WITH LLVM-exception", "ISC", "MIT"}
    assert is_allowed(licence, allowed) is passes


def is_allowed(licence: str, allowed: set[str]) -> bool:
    """Whether one of the choices that a licence expression leaves is allowed."""
    words = re.findall(r"[()]|[\w.+-]+(?: WITH [\w.-]+)?", licence.replace("/", " OR "))
    return bool(words) and _any_of(words, allowed) and not words


def _any_of(words: list[str], allowed: set[str]) -> bool:
    found = _all_of(words, allowed)
    while words and words[0] == "OR":
        del words[0]
        found |= _all_of(words, allowed)
    return found


def _all_of(words: list[str], allowed: set[str]) -> bool:
    found = _one(words, allowed)
    while words and words[0] == "AND":
        del words[0]
        found &= _one(words, allowed)
    return found


def _one(words: list[str], allowed: set[str]) -> bool:
    word = words.pop(0)
    if word != "(":
        return word in allowed
    found = _any_of(words, allowed)
    assert words.pop(0) == ")"
    return found
