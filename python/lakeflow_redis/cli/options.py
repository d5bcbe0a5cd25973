"""The connector's options as options of commands, all from the core's one table of them."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from lakeflow_redis._core import LakeflowConnect, option_specs

if TYPE_CHECKING:  # The stub's own, for types only.
    from lakeflow_redis.shapes import OptionSpec

HEADINGS = {"connection": "The server", "table": "What to read, and how"}
"""In --help, by the scope of the options under them."""

METAVARS = {"string": "TEXT", "integer": "INTEGER", "number": "NUMBER", "boolean": "true|false"}


class HeadedOption(click.Option):
    """An option that --help shows under a heading of its own."""

    def __init__(self, *declarations: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.heading = heading


class HeadedCommand(click.Command):
    """A command whose --help has a section for each heading, and one for the other options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections into the help text."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                heading = parameter.heading if isinstance(parameter, HeadedOption) else "Options"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def with_connector(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all of the connector's options, and hand it the connector that they make.

    Values stay text: the core checks them, and its messages say more than click's.
    """
    specs = option_specs()

    @wraps(command)
    def run(**parameters: Any) -> None:
        given = {spec["name"]: parameters.pop(spec["name"]) for spec in specs}
        options = {name: value for name, value in given.items() if value is not None}
        command(LakeflowConnect(options), **parameters)

    for spec in reversed(specs):  # As decorators do: the last applied is the first shown.
        option = click.option(
            "--" + spec["name"].replace("_", "-"),
            spec["name"],
            cls=HeadedOption,
            heading=HEADINGS[spec["scope"]],
            metavar="|".join(spec["choices"]) or METAVARS[spec["type"]],
            envvar=_variable(spec),
            help=_help(spec),
        )
        option(run)
    return run


def _variable(spec: "OptionSpec") -> str:
    return "LAKEFLOW_REDIS_" + spec["name"].upper()


def _help(spec: "OptionSpec") -> str:
    text = spec["doc"]
    if spec["secret"]:
        # Every user of a machine can see the arguments of every process.
        text += (
            f" Keep secrets off the command line: use {_variable(spec)}, or {{{{ NAME }}}} here."
        )
    if spec["default"] is not None:
        text += f"  [default: {spec['default']}]"
    return text
