"""Whether a contestant's modules are there, in the Python that it runs in, and which versions.

`python -m benches.installed MODULE…` prints versions as JSON, null where a module is missing.
"""

import json
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from benches.reading import Contestant


def version_of(module: str) -> str | None:
    """Return the version of the distribution of the same name."""
    try:
        return version(module)
    except PackageNotFoundError:
        return None


@cache
def versions(interpreter: str, modules: tuple[str, ...]) -> dict[str, str | None]:
    """Return modules' versions in some Python, None where they are not installed."""
    command = [interpreter, "-m", "benches.installed", *modules]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def missing(contestant: Contestant) -> list[str]:
    """Name the modules that the contestant needs and does not have."""
    found = versions(contestant.interpreter, contestant.modules)
    return [module for module, its_version in found.items() if its_version is None]


if __name__ == "__main__":
    sys.stdout.write(json.dumps({module: version_of(module) for module in sys.argv[1:]}))
