"""Runs one after the other, where there is no scheduler, and signals that end them.

The first SIGTERM lets the run at hand end as it would, and no other begins. A second one, as Ctrl-C
does at once, breaks it off: what has not been committed by then never is.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

SIGNALS = 512
"""Bytes read at once of the pipe to which each signal writes one."""


class Terminated(KeyboardInterrupt):
    """A second SIGTERM: the run at hand is broken off."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    failed: bool
    more: frozenset[str] = frozenset()
    """The names of tables of which a cap on the records of a batch left some for the next run."""


Run = Callable[[frozenset[str] | None], Outcome]
"""Reads and lands: the tables of these names, or all for None."""


class Stop:
    """Listens for SIGTERM, in a `with`; afterwards the handlers are what they were.

    In another thread than the main one, where Python allows no handlers, it listens for nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether SIGTERM has come."""
        self._before: Callable[[int, FrameType | None], object] | int | None = None
        self._woke_before = -1
        self._listens = False

    def __enter__(self) -> Self:
        # Python's own handler runs between two steps of Python, so not between the last one before
        # a wait and the wait. What writes to the pipe is the system's handler, which comes at once.
        self._wakes, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._woke_before = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
            self._before = signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listens:
            # None stands for a handler that is not Python's, and cannot be put back.
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            signal.set_wakeup_fd(self._woke_before)
        os.close(self._wakes)
        os.close(self._woken)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise Terminated
        self.asked = True

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until SIGTERM comes; gives whether it has."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            if select.select([self._wakes], [], [], left)[0]:
                os.read(self._wakes, SIGNALS)  # Also of others, which somebody else listens for.
        return self.asked


def repeat(run: Run, every: float | None, stop: Stop) -> bool:
    """Run at once and then, until SIGTERM comes, at an interval.

    It counts from the beginning of a run to that of the next. A run that takes longer is followed
    by the next at once. One that leaves records behind is followed at once by runs of the tables
    in question alone, as long as there is time.

    Args:
        run: reads and lands. What it raises ends everything; an error after which to try again
            the next time is an outcome.
        every: seconds, or None for a single run.
        stop: listens, and has been entered.

    Returns:
        Whether the last run failed.
    """
    while True:
        began = time.monotonic()
        outcome = run(None)
        failed = outcome.failed
        if every is None:
            return failed
        while outcome.more and not stop.asked and time.monotonic() < began + every:
            outcome = run(outcome.more)
            failed |= outcome.failed
        if stop.wait(began + every - time.monotonic()):
            return failed
