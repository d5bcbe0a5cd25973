"""Waiting for what servers agree upon among themselves, and doing something in the meantime."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

SECONDS = 60.0
"""Until a deployment is as it should be: it takes a few, so this only bounds what is hopeless."""

PAUSE = 0.02
"""Between two looks; a look costs a server less than a millisecond."""


def until(what: str, condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition holds.

    A server that is not to be reached, or that cannot tell yet, does not meet it.

    Args:
        what: what is waited for, for the error.
        condition: looks once.
        seconds: how long at most.

    Raises:
        TimeoutError: it never held; the cause is the last error of a server, if there was one.
    """
    deadline = time.monotonic() + seconds
    last: redis.RedisError | None = None
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except redis.RedisError as error:
            last = error
        time.sleep(PAUSE)
    raise TimeoutError(f"waited {seconds:.0f} s in vain: {what}") from last


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something in another thread while the block runs, and until it is told to end."""
    ending = threading.Event()
    thread = threading.Thread(target=work, args=(ending,))
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
