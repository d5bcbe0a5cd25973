"""Runs the examples of a page as a reader does, from top to bottom: `python -m tests.examples PAGE`.

Python has one namespace for a page. Of ```shell blocks, `lakeflow-redis` is run, but for commands
that name a server of the reader's by --url. A ```text block right behind a block is what that
prints, where `…` stands for anything.
"""

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from tests.documents import Block, blocks

COMMAND = "lakeflow-redis"
ANYTHING = "…"


def run(page: Path) -> None:
    """Run all that can be run of a page, in this process and the folder in which it is.

    Raises:
        Exception: what an example raises.
        AssertionError: an example printed something else than the page says.
    """
    namespace: dict[str, object] = {"__name__": page.stem}
    printed: str | None = None
    for block in blocks(page):
        if block.language == "text":
            if block.follows and printed is not None:
                check(block, printed)
            printed = None
        elif block.language == "python" and block.not_run is None:
            printed = _run_python(block, namespace)
        elif block.language == "shell" and block.not_run is None:
            printed = _run_shell(block)
        else:
            printed = None


def commands(block: Block) -> list[list[str]]:
    """The words of each `lakeflow-redis` in a block, without its name."""
    lines = (shlex.split(line, comments=True) for line in block.source.splitlines())
    return [words[1:] for words in lines if words and words[0] == COMMAND]


def check(block: Block, printed: str) -> None:
    """Compare what was printed with what a page says."""
    wanted = block.source.strip()
    pattern = ".*".join(re.escape(part) for part in wanted.split(ANYTHING))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), (
        f"{block.page}:{block.line}: wanted\n{wanted}\nand this was printed:\n{printed}"
    )


def _run_python(block: Block, namespace: dict[str, object]) -> str:
    # Lines are counted as in the page, so that a traceback points into it.
    code = compile("\n" * block.line + block.source, str(block.page), "exec")
    with redirect_stdout(io.StringIO()) as printed:
        exec(code, namespace)  # noqa: S102 - it is our own page.
    sys.stdout.write(printed.getvalue())
    return printed.getvalue()


def _run_shell(block: Block) -> str | None:
    # What is not ours prints something, too, so that nothing can be said of the whole.
    ours = [words for words in commands(block) if "--url" not in words]
    if not ours:
        return None
    printed = ""
    for words in ours:
        done = subprocess.run(
            [sys.executable, "-m", "lakeflow_redis", *words],
            capture_output=True,
            text=True,
            check=False,
            # Wide enough for any table, and not as wide as the terminal of whoever tests.
            env=os.environ | {"COLUMNS": "200"},
        )
        assert done.returncode == 0, f"{block.page}:{block.line}: {words}\n{done.stderr}"
        printed += done.stdout
    return printed


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
