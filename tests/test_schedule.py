"""Runs come one after the other, and signals end them where nothing is broken by it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lakeflow_redis.pipeline.schedule import Outcome, Stop, repeat

LONG = "600"
"""Seconds between runs that no test waits for."""

SHORT = "0.05"


class Child:
    """A process of `tests.rounds`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def hears(self, *lines: str) -> None:
        """Wait for lines, in this order and with no other in between."""
        assert self.process.stdout is not None
        for line in lines:
            assert self.process.stdout.readline() == f"{line}\n"

    def does(self, what: str) -> None:
        """Say what comes of the run at hand."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def ends(self, how: str) -> None:
        """Wait until it has ended, in a certain way and with its handlers as they were."""
        self.hears(how, "handlers as before")
        assert self.process.wait() == 0


@contextmanager
def child(every: str) -> Iterator[Child]:
    """Start one, which waits in its first run."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.rounds", every],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            child = Child(process)
            child.hears("run")
            yield child
        finally:
            process.kill()


@pytest.mark.parametrize(("outcome", "how"), [("ok", "ended well"), ("failed", "ended failed")])
def test_without_an_interval_there_is_one_run(outcome: str, how: str) -> None:
    with child("once") as runs:
        runs.does(outcome)
        runs.ends(how)


def test_without_an_interval_what_is_left_is_for_the_next_time() -> None:
    with child("once") as runs:
        runs.does("more streams")
        runs.ends("ended well")


def test_runs_come_again_also_after_one_that_failed() -> None:
    with child(SHORT) as runs:
        for outcome in ("ok", "failed", "failed", "ok"):
            runs.does(outcome)
            runs.hears("run")
        runs.process.send_signal(signal.SIGTERM)
        runs.does("ok")
        runs.ends("ended well")


@pytest.mark.parametrize(("outcome", "how"), [("ok", "ended well"), ("failed", "ended failed")])
@pytest.mark.parametrize("every", ["once", SHORT, LONG])
def test_sigterm_lets_the_run_at_hand_end(every: str, outcome: str, how: str) -> None:
    with child(every) as runs:
        runs.process.send_signal(signal.SIGTERM)
        runs.does(outcome)
        runs.ends(how)


def test_it_is_the_last_run_that_counts() -> None:
    with child(SHORT) as runs:
        runs.does("failed")
        runs.hears("run")
        runs.process.send_signal(signal.SIGTERM)
        runs.does("ok")
        runs.ends("ended well")


@pytest.mark.parametrize(("outcome", "how"), [("ok", "ended well"), ("failed", "ended failed")])
def test_sigterm_ends_the_wait_for_the_next_run(outcome: str, how: str) -> None:
    with child(LONG) as runs:
        runs.does(outcome)
        # Nothing tells from outside when it begins to wait; both moments must do.
        runs.process.send_signal(signal.SIGTERM)
        runs.ends(how)


def test_sigterm_at_any_moment_ends_a_wait() -> None:
    # One in some thousands came where it was not heard.
    subprocess.run([sys.executable, "-m", "tests.woken", "20000"], check=True)


def test_sigterm_wakes_what_has_waited_for_a_while() -> None:
    with child(LONG) as runs:
        runs.does("ok")
        with pytest.raises(subprocess.TimeoutExpired):
            runs.process.wait(0.3)
        runs.process.send_signal(signal.SIGTERM)
        runs.ends("ended well")


@pytest.mark.parametrize("every", ["once", LONG])
def test_a_second_sigterm_breaks_the_run_off(every: str) -> None:
    with child(every) as runs:
        runs.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            runs.process.wait(0.3)
        runs.process.send_signal(signal.SIGTERM)
        runs.ends("terminated")


@pytest.mark.parametrize("before", [[], [signal.SIGTERM]])
def test_ctrl_c_breaks_the_run_off_at_once(before: list[signal.Signals]) -> None:
    with child(LONG) as runs:
        for number in before:
            runs.process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            runs.process.wait(0.3)
        runs.process.send_signal(signal.SIGINT)
        runs.ends("interrupted")


def test_what_is_left_behind_is_read_at_once_and_alone() -> None:
    with child(LONG) as runs:
        runs.does("more orders streams")
        runs.hears("run orders streams")
        runs.does("more streams")
        runs.hears("run streams")
        runs.does("failed")
        runs.process.send_signal(signal.SIGTERM)
        runs.ends("ended failed")


def test_sigterm_leaves_behind_what_is_left() -> None:
    with child(LONG) as runs:
        runs.process.send_signal(signal.SIGTERM)
        runs.does("more streams")
        runs.ends("ended well")


def test_what_is_left_behind_again_and_again_does_not_keep_out_the_others() -> None:
    with child("0.3") as runs:
        runs.does("more streams")
        assert runs.process.stdout is not None
        while (line := runs.process.stdout.readline()) == "run streams\n":
            runs.does("more streams")
        assert line == "run\n"


def test_an_error_that_is_no_outcome_ends_it() -> None:
    with child(SHORT) as runs:
        runs.does("ok")
        runs.hears("run")
        runs.does("raise")
        runs.ends("raised raised")


def test_in_another_thread_there_are_no_signals_and_no_harm() -> None:
    found: list[bool] = []

    def work() -> None:
        with Stop() as stop:
            found.append(repeat(lambda _: Outcome(failed=False), None, stop))
            found.append(stop.wait(0.01))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False, False]
    assert signal.getsignal(signal.SIGTERM) == before
