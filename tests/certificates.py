"""Certificates that the tests' servers and clients show each other, good and bad ones."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import trustme

from tests.tls import Demand, Pair, Tls

HERE = ("127.0.0.1", "::1", "localhost")
"""The names of the loopback interface, under which the tests reach their servers."""

OTHER_HOST = "other.example"
"""A host that is not here; the name can never be registered."""

BEGIN = datetime(2019, 1, 1, tzinfo=UTC)
END = datetime(2020, 1, 1, tzinfo=UTC)
"""When the expired certificate was good."""


@dataclass(frozen=True)
class Certificates:
    """Two authorities and what they vouch for, as PEM files."""

    ca: Path
    """The certificate of the authority that the tests trust; the next four are from it."""
    server: Pair
    """A server's, for all names of this host."""
    client: Pair
    """A client's."""
    expired: Pair
    """A server's for the same names, whose time is over."""
    elsewhere: Pair
    """A server's for `OTHER_HOST` alone."""
    foreign_ca: Path
    """The certificate of an authority that the servers do not trust."""
    foreign_client: Pair
    """A client's from that one."""

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make all of them in a folder, as `ca.pem`, `server.pem`, `server.key` and so on."""
        ca, foreign = trustme.CA(), trustme.CA()
        expired = ca.issue_cert(*HERE, not_before=BEGIN, not_after=END)
        return cls(
            ca=_authority(folder, "ca", ca),
            server=_pair(folder, "server", ca.issue_cert(*HERE)),
            client=_pair(folder, "client", ca.issue_cert("client@tests.example")),
            expired=_pair(folder, "expired", expired),
            elsewhere=_pair(folder, "elsewhere", ca.issue_cert(OTHER_HOST)),
            foreign_ca=_authority(folder, "foreign-ca", foreign),
            foreign_client=_pair(folder, "foreign-client", foreign.issue_cert("client@x.example")),
        )

    @property
    def ca_pem(self) -> str:
        """The trusted authority's certificate as text."""
        return self.ca.read_text()

    @property
    def foreign_ca_pem(self) -> str:
        """The other authority's certificate as text."""
        return self.foreign_ca.read_text()

    def tls(self, client_certificates: Demand = "no", *, server: Pair | None = None) -> Tls:
        """What a server of the tests takes as `tls`.

        Args:
            client_certificates: whether it asks for certificates; if so, its clients show one.
            server: what it shows; `self.server` by default.
        """
        client = None if client_certificates == "no" else self.client
        return Tls(server or self.server, self.ca, client_certificates, client)


def _authority(folder: Path, name: str, ca: trustme.CA) -> Path:
    path = folder / f"{name}.pem"
    ca.cert_pem.write_to_path(path)
    return path


def _pair(folder: Path, name: str, leaf: trustme.LeafCert) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    for position, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(pair.certificate, append=position > 0)
    leaf.private_key_pem.write_to_path(pair.key)
    return pair
