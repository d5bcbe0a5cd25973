"""The command `lakeflow-redis`, which is also `python -m lakeflow_redis`."""

import sys
from collections.abc import Callable
from functools import partial

PACKAGES = {"click", "rich", "deltalake", "duckdb", "obstore"}
"""What the extra `cli` brings."""

main: Callable[[], object]
"""The command; without its packages, something that says what to install (exit code 2)."""


def _ask_for(package: str) -> None:
    sys.stderr.write(
        f"lakeflow-redis needs the package {package}: pip install 'lakeflow-redis[cli]'\n"
    )
    sys.exit(2)


try:
    from lakeflow_redis.cli import cli
except ModuleNotFoundError as error:
    if error.name not in PACKAGES:
        raise
    main = partial(_ask_for, error.name)
else:
    main = cli

if __name__ == "__main__":
    main()
