"""A port that leads to an object store's, and keeps an answer to itself.

A process of its own, since deltalake holds up all of Python while it waits for a store:
`python -m tests.unheard PORT ENDING` says its port, and later that an answer was kept.
"""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers import HOST

KEPT = "kept"


@contextmanager
def unheard(port: int, ending: str) -> Iterator[str]:
    """Pass requests on; but the answer to the first PUT of a certain object is never sent.

    Args:
        port: the store's.
        ending: that of the object's key.

    Yields:
        Where to connect, as a URL.
    """
    command = [sys.executable, "-m", "tests.unheard", str(port), ending]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            yield f"http://{HOST}:{process.stdout.readline().strip()}"
        finally:
            process.terminate()
        assert process.stdout.read() == f"{KEPT}\n"


class Passing(BaseHTTPRequestHandler):
    """Passes requests on."""

    protocol_version = "HTTP/1.1"
    port: int
    ending: str
    has_kept = False

    def pass_on(self) -> None:
        """Pass one on, and perhaps not the answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        store = http.client.HTTPConnection(HOST, self.port)
        store.request(self.command, self.path, body, dict(self.headers))
        answer = store.getresponse()
        content = answer.read()
        key = self.path.partition("?")[0]
        if self.command == "PUT" and key.endswith(self.ending) and not Passing.has_kept:
            Passing.has_kept = True
            self.close_connection = True
            print(KEPT, flush=True)
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on  # noqa: N815 - the class' own.

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal."""


def main(port: str, ending: str) -> None:
    """Listen until it is terminated."""
    Passing.port, Passing.ending = int(port), ending
    with ThreadingHTTPServer((HOST, 0), Passing) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
