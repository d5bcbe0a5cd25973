"""How a server of the tests speaks TLS, and what its clients need for that."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

Demand = Literal["no", "optional", "yes"]
"""Whether a server asks its clients for certificates; the words are the server's own."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, each in a PEM file."""

    certificate: Path
    key: Path

    @property
    def certificate_pem(self) -> str:
        """The certificate as text."""
        return self.certificate.read_text()

    @property
    def key_pem(self) -> str:
        """The private key as text."""
        return self.key.read_text()


@dataclass(frozen=True)
class Tls:
    """Both sides of a server's TLS.

    Args:
        server: what the server shows; nodes of a cluster show it to each other, too.
        ca: the authority by which either side judges the other.
        client_certificates: whether the server asks its clients for certificates.
        client: what the clients show; nothing by default.
    """

    server: Pair
    ca: Path
    client_certificates: Demand = "no"
    client: Pair | None = None

    def anonymous(self) -> Self:
        """The same, with clients that show no certificate."""
        return replace(self, client=None)

    def arguments(self, port: int) -> tuple[str, ...]:
        """The server's arguments, so that it speaks TLS on a port and nothing else on any."""
        return (
            *("--port", "0", "--tls-port", str(port)),
            *("--tls-cert-file", str(self.server.certificate)),
            *("--tls-key-file", str(self.server.key)),
            *("--tls-ca-cert-file", str(self.ca)),
            *("--tls-auth-clients", self.client_certificates),
            # Without these, the others of its deployment would look for a port without TLS.
            *("--tls-cluster", "yes", "--tls-replication", "yes"),
        )

    def client_options(self) -> dict[str, Any]:
        """The options of a redis-py client."""
        options: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(self.ca)}
        # Before 6.0, redis-py does not look at the name by itself.
        options["ssl_check_hostname"] = True
        return options | self._shown()

    def options(self) -> dict[str, str]:
        """The connector's options."""
        return {"ssl": "true", "ssl_ca_certs": str(self.ca)} | self._shown()

    def _shown(self) -> dict[str, str]:
        if self.client is None:
            return {}
        return {
            "ssl_certfile": str(self.client.certificate),
            "ssl_keyfile": str(self.client.key),
        }
