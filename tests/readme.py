"""The parts of README.md that are generated: `python -m tests.readme --write` rewrites them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakeflow_redis._core import option_specs

if TYPE_CHECKING:  # The stub's own, for types only.
    from lakeflow_redis.shapes import OptionSpec

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- options -->"
END = "<!-- /options -->"


def options_table(specs: "Sequence[OptionSpec]") -> str:
    """The table of options in Markdown."""
    rows = [
        ["Option", "Value", "Default", "Per read", "What it does"],
        ["---"] * 5,
        *(_cells(spec) for spec in specs),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def between_markers(text: str) -> str:
    """What stands between the markers of a README.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise ValueError(f"the README needs {BEGIN} and then {END}, once each")
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def with_options(text: str, specs: "Sequence[OptionSpec]") -> str:
    """The README with its table of options as it must be."""
    between_markers(text)
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{options_table(specs)}\n{END}{tail}"


def _cells(spec: "OptionSpec") -> list[str]:
    value = " or ".join(f"`{choice}`" for choice in spec["choices"]) or spec["type"]
    cells = [
        f"`{spec['name']}`",
        f"{value}, secret" if spec["secret"] else value,
        "" if spec["default"] is None else f"`{spec['default']}`",
        "yes" if spec["scope"] == "table" else "",
        spec["doc"],
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def main(arguments: Sequence[str]) -> int:
    """Say whether README.md is as it must be, or with `--write` make it so."""
    text = README.read_text()
    wanted = with_options(text, option_specs())
    if list(arguments) == ["--write"]:
        README.write_text(wanted)
        return 0
    if text != wanted:
        print("README.md is out of date; run `python -m tests.readme --write`", file=sys.stderr)
    return int(text != wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
