"""A process that runs again and again as its parent tells it; run by `test_schedule`.

`python -m tests.rounds SECONDS|once` says "run" with the tables' names, waits for a line that says what
comes of it (`ok`, `failed`, `more NAME…`, `raise`), and goes on. In the end it says how it ended.
"""

import signal
import sys

from lakeflow_redis.pipeline.schedule import Outcome, Stop, Terminated, repeat


def say(*words: object) -> None:
    """Tell the parent."""
    print(*words, flush=True)


def run(only: frozenset[str] | None) -> Outcome:
    """Do as the parent says."""
    say("run", *sorted(only or ()))
    match sys.stdin.readline().split():
        case ["ok"]:
            return Outcome(failed=False)
        case ["failed"]:
            return Outcome(failed=True)
        case ["more", *names]:
            return Outcome(failed=False, more=frozenset(names))
        case ["raise"]:
            raise OSError("raised")
        case words:
            raise AssertionError(words)


def main(every: str) -> None:
    """Run, and say how it ended."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        with Stop() as stop:
            failed = repeat(run, None if every == "once" else float(every), stop)
        say("ended", "failed" if failed else "well")
    except Terminated:
        say("terminated")
    except KeyboardInterrupt:
        say("interrupted")
    except OSError as error:
        say("raised", error)
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    say("handlers", "as before" if after == before else f"{before} became {after}")


if __name__ == "__main__":
    main(*sys.argv[1:])
