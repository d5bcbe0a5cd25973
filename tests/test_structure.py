"""The architecture holds: what may use what, and what may not occur at all."""

import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from lakeflow_redis._core import option_specs
from lakeflow_redis.cli import cli

from tests.rust_source import Source, sources, without_tests, without_text

ROOT = Path(__file__).parent.parent
SOURCES = sources()

MAY_USE = {
    "error": set[str](),
    "options": {"error"},
    "offset": {"error", "options"},
    "scanned": {"error"},
    "receipt": {"error", "scanned"},
    "seen": set[str](),
    "resp": {"error"},
    "columns": {"error", "options", "receipt", "resp"},
    "tables": {"error", "options", "offset", "receipt", "seen", "resp", "columns"},
    "connection": {"error", "options", "resp"},
    "retry": {"error", "receipt", "connection"},
    "topology": {"error", "options", "resp", "connection", "retry"},
}
"""What each module of the crate may use besides itself; the layers follow below."""

LAYERS = [
    *("pace", "scan", "visit", "plan", "partition"),
    *("permissions", "inspect", "reader", "python"),
]
"""Each of these may use all modules above, and those that stand before it here."""


def allowed(module: str) -> set[str]:
    """The modules that a module may use."""
    if module in LAYERS:
        return MAY_USE.keys() | set(LAYERS[: LAYERS.index(module)])
    return MAY_USE[module]


def outside_python() -> list[Source]:
    """The files of the core, which compiles without Python."""
    return [source for source in SOURCES if source.module != "python"]


def test_the_sources_are_found() -> None:
    found = {source.module for source in SOURCES}
    assert {"lib", "error", "options", "tables", "reader", "python"} <= found


def test_every_module_has_a_place() -> None:
    found = {source.module for source in SOURCES} - {"lib"}
    assert found <= MAY_USE.keys() | set(LAYERS), "say in MAY_USE what a new module may use"
    assert MAY_USE.keys() | set(LAYERS) <= found, "MAY_USE speaks of a module that is gone"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_imports_run_one_way(source: Source) -> None:
    if source.module == "lib":
        return
    used = source.uses() - {source.module}
    assert used <= allowed(source.module), (
        f"{source.name} must not use {used - allowed(source.module)}"
    )


PYTHON = ROOT / "python/lakeflow_redis"

MAY_IMPORT = {
    "spark": set[str](),
    "lakeflow": {"spark"},
    "ingest": set[str](),
    "pipeline": {"ingest"},
    "cli": {"ingest", "pipeline"},
    "demo": {"cli", "ingest"},
}
"""What each package of the Python side may import besides itself and the modules beside them."""


def test_every_package_has_a_place() -> None:
    assert {path.parent.name for path in PYTHON.glob("*/__init__.py")} == MAY_IMPORT.keys()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_one_way(package: str) -> None:
    texts = [path.read_text() for path in (PYTHON / package).rglob("*.py")]
    named = [re.findall(r"\b(?:from|import) lakeflow_redis\.(\w+)", text) for text in texts]
    used = {name for names in named for name in names} & MAY_IMPORT.keys()
    assert used - {package} <= MAY_IMPORT[package]


def test_a_file_at_the_top_names_others_by_the_crate() -> None:
    # `super::` there would hide what `uses` looks for.
    top = [source for source in SOURCES if source.path.parent.name == "src"]
    assert [line for source in top for line in source.lines(r"\bsuper::")] == []


def test_only_the_python_face_knows_pyo3() -> None:
    assert [line for source in outside_python() for line in source.lines("pyo3")] == []


def test_the_python_feature_is_asked_for_in_one_place() -> None:
    # The feature's name is a literal, which `without_text` empties: so look at the file itself.
    found = [
        source.name
        for source in SOURCES
        for _ in re.finditer(r'feature\s*=\s*"python"', source.path.read_text())
    ]
    assert found == ["lib.rs"]


def test_every_pyclass_is_frozen() -> None:
    classes = [
        (source.name, found)
        for source in SOURCES
        for found in re.findall(r"#\[(?:pyo3::)?pyclass\b([^\]]*)\]", source.code)
    ]
    assert classes, "there is no pyclass at all"
    assert [found for found in classes if not re.search(r"\bfrozen\b", found[1])] == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bunsafe\b(?!_code)",
        r"\.unwrap\(\)",
        r"\.unwrap_err\(\)",
        r"\.expect\(",
        r"\bpanic!",
        r"\btodo!",
        r"\bunimplemented!",
        r"\bunreachable!",
        r"\bdbg!",
        r"\bprintln!",
    ],
)
def test_nothing_in_the_crate_panics_or_prints(pattern: str) -> None:
    assert [line for source in SOURCES for line in source.lines(pattern)] == []


def test_unsafe_code_is_forbidden() -> None:
    assert re.search(r'^unsafe_code = "forbid"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)


def test_comments_strings_and_tests_are_not_code() -> None:
    rust = r"""
    let a = "panic!"; // panic!
    /* panic! */ let b = r#"a " panic!"#; let c = '"'; let d = b'\''; fn e<'a>(x: &'a str) {}
    let f = "a \" panic!";
    #[cfg(test)]
    mod tests { fn f() { panic!() } }
    #[cfg(test)]
    use std::panic;
    fn last() { g() }
    """
    code = without_tests(without_text(rust))
    assert "panic" not in code
    assert "fn e<'a>(x: &'a str)" in code
    assert "fn last() { g() }" in code
    assert code.count("\n") == rust.count("\n")


NAMES = [spec["name"] for spec in option_specs()]


def test_options_are_named_once_and_in_snake_case() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in NAMES)


def test_options_say_what_they_do_in_one_line() -> None:
    for spec in option_specs():
        assert spec["doc"].strip() == spec["doc"]
        assert "\n" not in spec["doc"]
        assert spec["doc"].endswith(".")
        assert spec["default"] is None or not spec["choices"] or spec["default"] in spec["choices"]
    assert {"password", "url"} <= {spec["name"] for spec in option_specs() if spec["secret"]}


def flags(command: str) -> set[str]:
    """The options of a command, as the table of options writes them."""
    found = cli.commands[command].params
    return {
        flag.removeprefix("--").replace("-", "_")
        for parameter in found
        if isinstance(parameter, click.Option)
        for flag in parameter.opts
        if flag.startswith("--")
    }


@pytest.mark.parametrize("command", ["check", "ingest", "read"])
def test_the_command_line_takes_the_options_of_the_table(command: str) -> None:
    assert set(NAMES) <= flags(command)


def test_the_command_line_has_no_options_of_the_server_besides() -> None:
    assert flags("check") == {*NAMES, "json"}


LONG = {
    "Cargo.lock": "written by cargo",
    "benches/RESULTS.svg": "drawn by the benchmark",
    "requirements/audit.txt": "written by uv",
    "requirements/dev.txt": "written by uv",
    "requirements/spark40.txt": "written by uv",
}
"""Files of more than 400 lines outside the tests, each with the reason."""

LINES = 400


def test_files_are_short() -> None:
    assert [name for name, lines in long_files().items() if name not in LONG] == []


def test_the_list_of_long_files_is_current() -> None:
    assert LONG.keys() <= long_files().keys(), "LONG speaks of files that are short, or gone"


def long_files() -> dict[str, int]:
    """The repository's text files of more than 400 lines outside the tests."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lengths = {
        name: lines_of(ROOT / name)
        for name in listed.stdout.splitlines()
        if not name.startswith("tests/") and (ROOT / name).is_file()
    }
    return {name: lines for name, lines in lengths.items() if lines > LINES}


def lines_of(path: Path) -> int:
    """How much there is to read: of a notebook its cells, and not the JSON that holds them."""
    if path.suffix == ".ipynb":
        return sum(len(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    return path.read_bytes().count(b"\n")
