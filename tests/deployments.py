"""What all deployments of several servers have in common: they begin and end together."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from tests.servers import Server
from tests.waiting import until


class Deployment(ABC):
    """Servers that know of each other."""

    @property
    @abstractmethod
    def servers(self) -> Sequence[Server]:
        """All of them, in the order of their start."""

    @abstractmethod
    def _join(self) -> None:
        """Let the servers, all of which run, know of each other."""

    @abstractmethod
    def _is_settled(self) -> bool:
        """Whether the servers that run agree about who has what, and can do their work."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the servers and wait until they work together."""
        with ExitStack() as stack:
            stack.callback(self.stop)
            for server in self.servers:
                server.start()
            self._join()
            self.settle()
            stack.pop_all()
        return self

    def stop(self) -> None:
        """End all servers; harmless when they have ended already."""
        for server in self.servers:
            server.stop()

    def settle(self) -> None:
        """Wait until the servers that run agree about who has what, and can do their work."""
        until(f"the servers of {type(self).__name__} agree", self._is_settled)


def wait_for_copies(primary: Server, replicas: Sequence[Server]) -> None:
    """Wait until replicas have all that their primary has now.

    A link that is up is not enough: after a first copy without a file, up to a second passes until
    the primary sends what came since.
    """
    with primary.local_client() as client:
        offset: int = client.info("replication")["master_repl_offset"]
    for replica in replicas:
        until("the replica has what its primary has", partial(_has, replica, offset))


def _has(replica: Server, offset: int) -> bool:
    with replica.local_client() as client:
        received: int = client.info("replication")["slave_repl_offset"]
    return received >= offset
