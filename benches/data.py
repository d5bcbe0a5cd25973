"""What the benchmark reads: keys of every type, the same ones each time, loaded in bulk."""

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import hiredis

from benches.reading import ALL_AT_ONCE

Command = tuple[str | int | float, ...]

SIZES = {"small": Fraction(1, 20), "medium": Fraction(1), "large": Fraction(10)}
"""How much of the families' `keys` there is."""

COMMANDS_PER_CHUNK = 5_000
"""Sent before replies are read: some 1 MB out, and replies that fit a socket's buffer."""

BYTES_PER_RECEIVE = 1 << 16

DAY_SECONDS = 86_400
EPOCH_MS = 1_700_000_000_000

CITIES = (
    "Berlin",
    "Lagos",
    "Lima",
    "Osaka",
    "Oslo",
    "Pune",
    "Quito",
    "Reykjavík",
    "Tunis",
    "Zürich",
)
PLANS = ("free", "team", "business", "enterprise")


@dataclass(frozen=True, slots=True)
class Family:
    """All keys of one type."""

    table: str
    """The table that reads them."""
    keys: int
    """How many there are at size `medium`."""
    rows_per_key: int
    commands: Callable[[int], Iterator[Command]]
    """What writes the key of this number."""

    def describe(self, scale: Fraction) -> str:
        """One phrase for a report, such as `200,000 hashes of 10`."""
        each = f" of {self.rows_per_key}" if self.rows_per_key > 1 else ""
        return f"{self.count(scale):,} {self.table.replace('_', ' ')}{each}"

    def count(self, scale: Fraction) -> int:
        """How many keys there are, of those at `medium`."""
        return int(self.keys * scale)


def mixed(number: int) -> int:
    """A number that looks random and is the same each time (Knuth's multiplicative hash)."""
    return number * 2_654_435_761 % 2**32


def expiry(key: str, number: int) -> Iterator[Command]:
    """Let one key in ten expire, so that no reader may assume that none does."""
    if number % 10 == 0:
        yield "EXPIRE", key, DAY_SECONDS + number % DAY_SECONDS


def string(number: int) -> Iterator[Command]:
    """Write a session of about 100 bytes."""
    key = f"session:{number}"
    mix = mixed(number)
    city, plan = CITIES[mix % 10], PLANS[mix % 4]
    roles = f'["reader","{plan}"]'
    value = f'{{"user":{mix},"city":"{city}","roles":{roles},"seen":{EPOCH_MS + mix}}}'
    yield "SET", key, value
    yield from expiry(key, number)


def hash_(number: int) -> Iterator[Command]:
    """Write a customer of 10 fields, about 150 bytes with the names."""
    key = f"customer:{number}"
    mix = mixed(number)
    yield (
        "HSET",
        key,
        *("id", number),
        *("name", f"Customer {mix:x}"),
        *("email", f"c{mix}@example.com"),
        *("city", CITIES[mix % 10]),
        *("plan", PLANS[mix % 4]),
        *("visits", mix % 1_000),
        *("balance", f"{mix % 100_000 / 100:.2f}"),
        *("active", "yes" if mix % 3 else "no"),
        *("created", EPOCH_MS // 1_000 + number),
        *("updated", EPOCH_MS // 1_000 + mix % 10_000_000),
    )
    yield from expiry(key, number)


def list_(number: int) -> Iterator[Command]:
    """Write a queue of 10 events."""
    key = f"queue:{number}"
    yield ("RPUSH", key, *(f"event-{mixed(number * 10 + item)}" for item in range(10)))
    yield from expiry(key, number)


def set_(number: int) -> Iterator[Command]:
    """Write a set of 10 tags."""
    key = f"tags:{number}"
    yield ("SADD", key, *(f"tag-{item}-{mixed(number) % 1_000}" for item in range(10)))
    yield from expiry(key, number)


def sorted_set(number: int) -> Iterator[Command]:
    """Write a leaderboard of 10 players."""
    key = f"leaderboard:{number}"
    scored = ((mixed(number * 10 + item) / 1_000, f"player-{item}") for item in range(10))
    yield ("ZADD", key, *(part for pair in scored for part in pair))
    yield from expiry(key, number)


def stream(number: int) -> Iterator[Command]:
    """Write 30 orders, with ids a second apart."""
    key = f"orders:{number}"
    for item in range(30):
        mix = mixed(number * 30 + item)
        yield (
            "XADD",
            key,
            f"{EPOCH_MS + item * 1_000}-{number % 7}",
            *("customer", mix),
            *("sku", f"SKU-{mix % 10_000}"),
            *("quantity", mix % 9 + 1),
        )
    yield from expiry(key, number)


FAMILIES = (
    Family("strings", 520_000, 1, string),
    Family("hashes", 200_000, 10, hash_),
    Family("lists", 40_000, 10, list_),
    Family("sets", 40_000, 10, set_),
    Family("sorted_sets", 40_000, 10, sorted_set),
    Family("streams", 10_000, 30, stream),
)
"""The mix: 850,000 keys at size `medium`."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the server holds, by table."""

    keys: dict[str, int]
    rows: dict[str, int]

    @classmethod
    def of(cls, scale: Fraction) -> "Contents":
        """What `load` writes at this scale."""
        keys = {family.table: family.count(scale) for family in FAMILIES}
        rows = {family.table: family.count(scale) * family.rows_per_key for family in FAMILIES}
        everything = sum(keys.values())
        keys |= {"keys": everything, ALL_AT_ONCE: everything}
        return cls(
            keys=keys,
            rows=rows | {"keys": everything, ALL_AT_ONCE: everything + sum(rows.values())},
        )


def load(host: str, port: int, scale: Fraction, *tables: str) -> Contents:
    """Fill an empty server, with all families or those of these tables."""
    for family in FAMILIES:
        if family.table in (tables or (family.table,)):
            numbers = range(family.count(scale))
            send(host, port, (command for number in numbers for command in family.commands(number)))
    return Contents.of(scale)


def send(
    host: str, port: int, commands: Iterable[Command], per_chunk: int = COMMANDS_PER_CHUNK
) -> None:
    """Send commands in large pieces and see that the server took each.

    Raises:
        hiredis.ReplyError: it did not.
    """
    pending = iter(commands)
    reader = hiredis.Reader()
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while chunk := list(islice(pending, per_chunk)):
            # hiredis' stub takes a tuple of one.
            packed = (hiredis.pack_command(command) for command in chunk)  # type: ignore[arg-type]
            connection.sendall(b"".join(packed))
            for _ in chunk:
                reply = receive(connection, reader)
                if isinstance(reply, hiredis.ReplyError):
                    raise reply


def receive(connection: socket.socket, reader: hiredis.Reader) -> object:
    """Return the next reply."""
    while (reply := reader.gets()) is False:
        received = connection.recv(BYTES_PER_RECEIVE)
        if not received:
            message = "the server closed the connection while it was being filled"
            raise ConnectionError(message)
        reader.feed(received)
    return reply
