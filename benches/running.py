"""Runs reads in processes of their own."""

import json
import subprocess
import sys
from dataclasses import asdict

from benches.reading import Contestant, Read, Sample, Task


class ReadFailedError(Exception):
    """A read ended in an error, whose last words are the message."""


def run(interpreter: str, module: str, *arguments: str) -> dict[str, float]:
    """Run a module of this package and return the JSON that it prints.

    Raises:
        ReadFailedError: it failed.
    """
    command = [interpreter, "-m", module, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ReadFailedError(words[-1])
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def run_child(contestant: Contestant, task: Task) -> Sample:
    """Measure one read in a fresh process."""
    answer = run(contestant.interpreter, "benches.child", contestant.name, json.dumps(asdict(task)))
    return Sample(**answer)  # type: ignore[arg-type]


def run_ours(task: Task) -> Read:
    """Read with ours in a fresh process that asks the server nothing else."""
    return Read(**run(sys.executable, "benches.ours", json.dumps(asdict(task))))  # type: ignore[arg-type]
