"""Peak memory while streaming, whatever the size of the data, of a key or of a value."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from benches.conditions.big import BIG_KEYS, BigKey
from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import read, rows_of, url_of
from benches.data import Command, load, send
from benches.limits import MB, PEAK_MB, Limit
from tests.servers import REDIS_7_0, Server

BOUNDED = Wanted(f"at most {PEAK_MB} MB", Limit(PEAK_MB))
SAME = Wanted("the same peak: at most 1.10 times", Limit(1.10))
TWICE = Wanted("at most that value twice", Limit(2.0))
TIMES = 10
"""How many times as much data must not take more."""
VALUE_BYTES = 256 * MB


def peak(server: Server, table: str, rows: int) -> tuple[str, float]:
    """Read a table, and return what that took in MB."""
    sample = read(url_of(server), table, rows)
    megabytes = sample.peak_bytes / MB
    pace = sample.rows / sample.wall_seconds
    return f"{megabytes:.0f} MB; {sample.wall_seconds:.1f} s, {pace:,.0f} rows/s", megabytes


def peak_of_family(table: str, scale: Fraction, peaks: list[float]) -> tuple[str, float]:
    """Fill a server with one table's keys and read them."""
    with Server(REDIS_7_0) as server:
        load(server.host, server.port, scale, table)
        figures, megabytes = peak(server, table, rows_of(scale, table))
    peaks.append(megabytes)
    return figures, megabytes


def peak_of_key(key: BigKey, elements: int) -> tuple[str, float]:
    """Fill a server with one key and read it."""
    with Server(REDIS_7_0) as server:
        send(server.host, server.port, key.commands(elements), key.commands_per_chunk)
        return peak(server, key.table, elements)


def times_value(table: str, command: Command, value_bytes: int) -> tuple[str, float]:
    """Fill a server with one value, and return how many times that it took to read it."""
    with Server(REDIS_7_0) as server:
        send(server.host, server.port, [command])
        figures, megabytes = peak(server, table, 1)
    return figures, megabytes * MB / value_bytes


def findings(scale: Fraction) -> Iterator[Finding]:
    """Measure it all."""
    for table in ("hashes", "strings"):
        peaks: list[float] = []
        for one in (scale, scale * TIMES):
            what = f"{rows_of(one, table):,} rows of {table}"
            yield BOUNDED.attempt(what, partial(peak_of_family, table, one, peaks))
        if len(peaks) == 2:
            yield SAME.judge(f"{TIMES} × the {table}", "", peaks[1] / peaks[0])
    for key in BIG_KEYS:
        elements = int(key.elements * scale)
        what = f"{key.table}: one key of {elements:,}"
        yield BOUNDED.attempt(what, partial(peak_of_key, key, elements))
    value_bytes = int(VALUE_BYTES * scale)
    value = "v" * value_bytes
    commands: dict[str, Command] = {
        "strings": ("SET", "big", value),
        "hashes": ("HSET", "big", "f", value),
    }
    for table, command in commands.items():
        what = f"{table}: one value of {value_bytes // MB} MB"
        yield TWICE.attempt(what, partial(times_value, table, command, value_bytes))


MEMORY = Condition(
    "memory",
    "Memory",
    "Peak resident memory of a process that streams through `.batches()`, over what it had with "
    "its modules imported.",
    findings,
)
