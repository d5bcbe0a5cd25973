"""The connector's options as options of commands, all from the core's one table of them."""

from collections.abc import Callable, Container
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

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
    """Give a command all of the connector's options, and hand it the connector that they make."""

    @wraps(command)
    def run(options: dict[str, str], **parameters: Any) -> None:
        command(LakeflowConnect(options), **parameters)

    return with_options(run)


def with_options(
    command: Callable[..., None], names: Container[str] | None = None
) -> Callable[..., None]:
    """Give a command the connector's options, and hand it those that are given.

    Values stay text: the core checks them, and its messages say more than click's.

    Args:
        command: takes them as its first argument, by name.
        names: which ones; all for None.
    """
    specs = [spec for spec in option_specs() if names is None or spec["name"] in names]

    @wraps(command)
    def run(**parameters: Any) -> None:
        given = {spec["name"]: parameters.pop(spec["name"]) for spec in specs}
        options = {name: value for name, value in given.items() if value is not None}
        command(options, **parameters)

    for spec in reversed(specs):  # As decorators do: the last applied is the first shown.
        option = click.option(
            "--" + spec["name"].replace("_", "-"),
            spec["name"],
            cls=HeadedOption,
            heading=HEADINGS[spec["scope"]],
            metavar="|".join(spec["choices"]) or METAVARS[spec["type"]],
            envvar=variable(spec["name"]),
            help=_help(spec),
        )
        option(run)
    return run


def on_command_line(names: Container[str]) -> list[str]:
    """Which parameters of the command at hand stand on the command line, as they are written there."""
    context = click.get_current_context()
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def variable(name: str) -> str:
    """The environment variable from which an option may come."""
    return "LAKEFLOW_REDIS_" + name.upper()


def _help(spec: "OptionSpec") -> str:
    text = spec["doc"]
    if spec["secret"]:
        # Every user of a machine can see the arguments of every process.
        text += f" Keep secrets off the command line: use {variable(spec['name'])}, or {{{{ NAME }}}} here."
    if spec["default"] is not None:
        text += f"  [default: {spec['default']}]"
    return text
