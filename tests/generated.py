"""What is generated in README.md and docs/: `python -m tests.generated --write` renews it.

Each such part stands between two comments of its own, so that it reads on any site that shows
Markdown. It comes from the core's table of options, or from the command itself.
"""

import html
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from lakeflow_redis._core import option_specs
from lakeflow_redis.cli import cli
from lakeflow_redis.cli.options import HeadedOption

if TYPE_CHECKING:  # The stub's own, for types only.
    from lakeflow_redis.shapes import OptionSpec

ROOT = Path(__file__).parent.parent
COMMAND = "lakeflow-redis"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file that is generated."""

    path: str
    name: str
    """What its comments say: `<!-- name -->` before it, and `<!-- /name -->` behind."""
    write: Callable[[], str]

    def found(self, text: str) -> str:
        """What stands there.

        Raises:
            ValueError: the comments are not there, once each and in order.
        """
        begin, end = self._marks()
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
            raise ValueError(f"{self.path} needs {begin} and then {end}, once each")
        return text.partition(begin)[2].partition(end)[0].strip()

    def renewed(self, text: str) -> str:
        """The file's text with this part as it must be."""
        self.found(text)
        begin, end = self._marks()
        head, _, rest = text.partition(begin)
        tail = rest.partition(end)[2]
        return f"{head}{begin}\n{self.write()}\n{end}{tail}"

    def _marks(self) -> tuple[str, str]:
        return f"<!-- {self.name} -->", f"<!-- /{self.name} -->"


def all_options() -> str:
    """The table of all options."""
    headings = ["Option", "Value", "Default", "Per read", "What it does"]
    return _table(headings, map(_with_scope, option_specs()))


def options_of(scope: str) -> str:
    """The table of the options of one scope; each row can be linked to by the option's name."""
    return _table(
        ["Option", "Value", "Default", "What it does"],
        (_with_anchor(spec) for spec in option_specs() if spec["scope"] == scope),
    )


def commands() -> str:
    """A section for each command, from what its own --help says."""
    context = click.Context(cli, info_name=COMMAND)
    assert cli.epilog is not None
    sections = [cli.epilog, *_sections(cli, context)]
    return "\n\n".join(sections)


PARTS = [
    Part("README.md", "options", all_options),
    Part("docs/reference/options.md", "connection options", lambda: options_of("connection")),
    Part("docs/reference/options.md", "table options", lambda: options_of("table")),
    Part("docs/reference/command-line.md", "commands", commands),
]


def _sections(group: click.Group, parent: click.Context) -> Iterator[str]:
    for name in group.list_commands(parent):
        command = group.commands[name]
        context = click.Context(command, info_name=name, parent=parent)
        if isinstance(command, click.Group):
            yield from _sections(command, context)
        else:
            yield from _section(command, context)


def _of_the_connector(given: Sequence[click.Option]) -> Iterator[str]:
    """Which of the connector's options a command has, in words."""
    names = {str(option.name) for option in given}
    of_connections = {spec["name"] for spec in option_specs() if spec["scope"] == "connection"}
    if names == {spec["name"] for spec in option_specs()}:
        yield "Besides, all [options of the connector](options.md), with hyphens."
    elif names:
        assert names > of_connections
        others = " and ".join(
            f"`--{name.replace('_', '-')}`" for name in sorted(names - of_connections)
        )
        yield (
            "Besides, the [options of the connection](options.md#the-server), with hyphens, and "
            f"{others}."
        )


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```"
    yield from (" ".join(paragraph.split()) for paragraph in (command.help or "").split("\n\n"))
    options = [option for option in command.params if isinstance(option, click.Option)]
    own = [option for option in options if not isinstance(option, HeadedOption)]
    if records := [record for option in own if (record := option.get_help_record(context))]:
        yield _table(["Option", "What it does"], ([_code(flag), text] for flag, text in records))
    yield from _of_the_connector([option for option in options if option not in own])


def _with_scope(spec: "OptionSpec") -> list[str]:
    name, *cells, doc = _cells(spec)
    return [name, *cells, "yes" if spec["scope"] == "table" else "", doc]


def _with_anchor(spec: "OptionSpec") -> list[str]:
    name, *cells = _cells(spec)
    return [f'<a id="{spec["name"]}"></a>{name}', *cells]


def _cells(spec: "OptionSpec") -> list[str]:
    value = " or ".join(f"`{choice}`" for choice in spec["choices"]) or spec["type"]
    return [
        f"`{spec['name']}`",
        f"{value}, secret" if spec["secret"] else value,
        "" if spec["default"] is None else f"`{spec['default']}`",
        spec["doc"],
    ]


def _code(text: str) -> str:
    """Text as code in a table's cell, bars too: renderers disagree on them between backticks."""
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"


def _table(headings: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [
        headings,
        ["---"] * len(headings),
        *([cell.replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Say which files are not as they must be, or with `--write` make them so."""
    stale = False
    for part in PARTS:
        path = ROOT / part.path
        text = path.read_text()
        wanted = part.renewed(text)
        if list(arguments) == ["--write"]:
            path.write_text(wanted)
        elif text != wanted:
            stale = True
            print(f"{part.path}: <!-- {part.name} --> is out of date", file=sys.stderr)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
