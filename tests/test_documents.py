"""What README.md, docs/ and the documents beside them say is there is there, and as they say it."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import click
import lakeflow_redis
import pytest
from lakeflow_redis import LakeflowRedisError
from lakeflow_redis.cli import cli
from lakeflow_redis.pipeline import load

from tests.contract import TABLES, Table
from tests.documents import ALSO, DOCS, FENCE, PAGES, README, ROOT, blocks, name
from tests.examples import COMMAND, commands
from tests.generated import PARTS, Part

DOCUMENTS = [*PAGES, *ALSO]
PROMISES = DOCS / "reliability.md"

LANGUAGES = {"python", "shell", "text", "toml"}
"""Of blocks; another spelling would be passed over by what runs them."""

TEST = re.compile(r"\b(tests/\w+\.py)(?:::(test_\w+))?")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
NAMED = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
PLACE = re.compile(
    r"`((?:\.ci|\.github|benches|docs|examples|notebooks|python|src|tests)/[\w./-]*)`"
)
"""A file or folder of the repository, said as code."""

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=name)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.path}: {part.name}")
def test_what_is_generated_is_current(part: Part) -> None:
    found = part.found((ROOT / part.path).read_text())
    assert found == part.write(), "run `python -m tests.generated --write`"


@documents
def test_tests_that_are_named_are_there(document: Path) -> None:
    for file, function in TEST.findall(document.read_text()):
        assert (ROOT / file).is_file(), file
        if function:
            assert function in functions(ROOT / file), f"{file}::{function}"


def test_each_promise_names_tests_that_hold_it() -> None:
    sections = re.split(r"^## (\w+): .*$", PROMISES.read_text(), flags=re.MULTILINE)[1:]
    held = {title: TEST.findall(text) for title, text in zip(*[iter(sections)] * 2, strict=True)}
    assert list(held) == [*(f"P{number}" for number in range(1, 9)), "Landing"]
    assert all(held.values()), held


def test_what_is_said_of_security_leads_to_the_same_places_everywhere() -> None:
    """Its links are by name, since it stands in the repository and on the site."""
    there, here = (
        {name: (path.parent / target).resolve() for name, target in NAMED.findall(path.read_text())}
        for path in (ROOT / "SECURITY.md", DOCS / "security.md")
    )
    assert there == here
    used = set(re.findall(r"\]\[(\w+)\]", (ROOT / "SECURITY.md").read_text()))
    assert used == there.keys()


@documents
def test_links_lead_somewhere(document: Path) -> None:
    """The site's own are checked when it is built; here, as a site that shows the files sees them."""
    text = FENCE.sub("", document.read_text())
    for link in ("".join(either) for either in LINK.findall(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@documents
def test_places_in_the_repository_are_there(document: Path) -> None:
    missing = [
        place for place in PLACE.findall(document.read_text()) if not (ROOT / place).exists()
    ]
    assert missing == []


@documents
def test_blocks_of_code_are_spelled_so_that_they_are_found(document: Path) -> None:
    text = document.read_text()
    found = blocks(document)
    assert 2 * len(found) == len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE))
    assert {block.language for block in found} <= LANGUAGES
    marks = re.findall(r"^\s*<!-- *not run", text, re.MULTILINE)
    assert len(marks) == len([block for block in found if block.not_run])


@documents
def test_commands_are_such_that_the_command_takes_them(document: Path) -> None:
    text = document.read_text()
    assert f"\n    {COMMAND} " not in text, "a block for the shell is fenced, so that it is found"
    for block in blocks(document):
        if block.language == "shell":
            for words in commands(block):
                take(words)
    for line in re.findall(rf"`{COMMAND} ([a-z][^`\n]*)`", FENCE.sub("", text)):
        resolve(shlex.split(line))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_toml_is_a_pipeline(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            (tmp_path / "pipeline.toml").write_text(block.source)
            assert load(tmp_path / "pipeline.toml").tables


@pytest.mark.parametrize("line", ["ingest --folder ./lake", "land --to ./lake"])
def test_a_command_that_is_none_is_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        take(shlex.split(line))


@pytest.mark.parametrize(("table", "columns"), TABLES.items())
def test_the_readme_has_the_columns_of_each_table(table: str, columns: Table) -> None:
    found = re.search(rf"^\| `{table}` \| [^|]* \| (.+) \|$", README.read_text(), re.MULTILINE)
    assert found
    names: list[tuple[str, bool, str]] = []
    for group in found[1].split("; "):
        listed, kind = group.split(": ")
        names += [(n.strip("*"), n.startswith("**"), kind) for n in listed.split(", ")]
    assert names == [(c.name, c.key, ARROW[str(c.type)]) for c in columns.columns]


@pytest.mark.parametrize(("table", "columns"), TABLES.items())
def test_the_reference_has_the_columns_of_each_table(table: str, columns: Table) -> None:
    text = (DOCS / "reference/tables.md").read_text()
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (own,) = [part for part in section if part.startswith(f"{table}\n")]
    found = re.findall(r"^\| (\**)`(\w+)`\**? \| (\w+)(, \*bytes\*)? \| .+ \|$", own, re.MULTILINE)
    assert [(n, bool(bold), kind, bool(raw)) for bold, n, kind, raw in found] == [
        (c.name, c.key, ARROW[str(c.type)], c.raw) for c in columns.columns
    ]


def test_every_error_is_told_with_what_to_do() -> None:
    text = (DOCS / "reference/errors.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` ", text, re.MULTILINE))
    found = {
        one for one in lakeflow_redis.__all__ if isinstance(getattr(lakeflow_redis, one), type)
    }
    errors = {one for one in found if issubclass(getattr(lakeflow_redis, one), LakeflowRedisError)}
    assert told == errors - {"LakeflowRedisError"}


ARROW = {"string": "Utf8", "int64": "Int64", "double": "Float64"}
"""Arrow's names for what pyarrow calls otherwise."""


@cache
def functions(path: Path) -> set[str]:
    """The names of the functions in a file of Python."""
    return {node.name for node in ast.parse(path.read_text()).body if hasattr(node, "name")}


@cache
def anchors(path: Path) -> set[str]:
    """What can be linked to in a document."""
    text = path.read_text()
    headings = HEADING.findall(FENCE.sub("", text))
    slugs = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def take(words: list[str]) -> None:
    """Take a command's options apart, and run nothing.

    Raises:
        click.UsageError: there is no such command, option or argument, or one is missing.
    """
    command, rest = resolve(words)
    command.make_context(COMMAND, rest)


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that is meant, and the words for it.

    Raises:
        click.UsageError: there is none.
    """
    command: click.Command = cli
    while isinstance(command, click.Group) and words:
        _, found, words = command.resolve_command(click.Context(command), words)
        assert found is not None
        command = found
    return command, words
