"""Servers that take their time to load their data, which they do when told to."""

from concurrent.futures import Future, ThreadPoolExecutor

from tests.servers import Server
from tests.waiting import until

CONFIG = (
    *("--enable-debug-command", "yes"),
    *("--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024"),
)
"""Arguments of such a server: a third of a millisecond for each key."""


def begin_to_load(pool: ThreadPoolExecutor, *servers: Server) -> list[Future[bool]]:
    """Let servers save their data and load them again, and return when all are at it."""
    reloads = [pool.submit(_reload, server) for server in servers]
    until("all are loading", lambda: all(map(is_loading, servers)))
    return reloads


def is_loading(server: Server) -> bool:
    """Whether its data are not in memory yet."""
    with server.client() as client:
        return bool(client.info("persistence")["loading"])


def _reload(server: Server) -> bool:
    with server.client() as client:
        return bool(client.execute_command("DEBUG", "RELOAD"))
