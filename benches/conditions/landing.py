"""What landing in Delta takes: over a read that lands nowhere, and of the files of a table that changed."""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from deltalake import DeltaTable

from benches.conditions.finding import Condition, Finding, Wanted
from benches.conditions.reads import url_of
from benches.data import EPOCH_MS, Command, mixed, send
from benches.landing import NOWHERE
from benches.limits import MB, Limit
from benches.running import ReadFailedError, run
from tests.servers import REDIS_7_0, Server

SHARE = 0.60
PACE = Wanted(f"at least {SHARE} of the null sink's rate", Limit(SHARE, at_least=True))
PEAK = Wanted("a process of at most 400 MB", Limit(400))
ONLY_THOSE = Wanted("as many files written anew as hold such rows", Limit(1.0))
NONE = Wanted("no commit", Limit(0))

ENTRIES = 5_000_000
TURNS = 5

HASHES = 100_000
FIELDS = 10
VALUE_BYTES = 200
CHANGED = 100
"""One row in so many changes."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What the process of a landing measured."""

    rows: int
    seconds: float
    bytes: int

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


def land(server: Server, table: str, mode: str, lake: Path | str, rows: int) -> Landing:
    """Land a table in a fresh process.

    Raises:
        ReadFailedError: it failed, or read another number of rows.
    """
    measured = run(sys.executable, "benches.landing", url_of(server), table, mode, str(lake))
    found = Landing(int(measured["rows"]), measured["seconds"], int(measured["bytes"]))
    if found.rows != rows:
        raise ReadFailedError(f"{found.rows:,} rows of {table} came; {rows:,} are there")
    return found


def findings(scale: Fraction) -> Iterator[Finding]:
    """Measure both."""
    entries = int(ENTRIES * scale)
    for streams in (1_000, 1):
        yield from appended(streams, entries // streams)
    yield from merged(int(HASHES * scale))


def appended(streams: int, each: int) -> Iterator[Finding]:
    """Land streams, by turns with reading them for nothing."""
    rows = streams * each
    dropped: list[Landing] = []
    landed: list[Landing] = []
    with Server(REDIS_7_0) as server:
        send(server.host, server.port, orders(streams, each))
        for _ in range(TURNS):
            dropped.append(land(server, "streams", NOWHERE, "", rows))
            with TemporaryDirectory(prefix="lakeflow-") as lake:
                landed.append(land(server, "streams", "append", lake, rows))
    rates = [median(one.rate for one in found) for found in (dropped, landed)]
    peak = max(one.bytes for one in landed) / MB
    what = f"{rows:,} entries of {streams:,} streams are appended"
    figures = f"null sink {rates[0]:,.0f} rows/s, landed {rates[1]:,.0f} rows/s"
    yield PACE.judge(what, figures, rates[1] / rates[0])
    yield PEAK.judge(what, f"{peak:.0f} MB", peak)


def orders(streams: int, each: int) -> Iterator[Command]:
    """Write orders, with ids a second apart."""
    for number in range(streams):
        for item in range(each):
            mix = mixed(number * each + item)
            fields = ("customer", mix, "sku", f"SKU-{mix % 10_000}", "quantity", mix % 9 + 1)
            yield "XADD", f"orders:{number}", f"{EPOCH_MS + item * 1_000}-{number % 7}", *fields


def merged(hashes: int) -> Iterator[Finding]:
    """Merge hashes: all, then none that changed, then some of a few files, then some of all."""
    rows = hashes * FIELDS
    rng = random.Random(0)
    with Server(REDIS_7_0) as server, TemporaryDirectory(prefix="lakeflow-") as folder:
        lake = Path(folder)
        send(server.host, server.port, (hash_(number, rng) for number in range(hashes)))
        first = land(server, "hashes", "merge", lake, rows)
        yield Finding(f"{rows:,} rows of hashes are merged into nothing", described(first))
        table = DeltaTable(lake / "hashes")
        again = land(server, "hashes", "merge", lake, rows)
        table.update_incremental()
        yield NONE.judge("nothing changed", described(again), table.version())
        names = table.to_pyarrow_dataset().files
        for where, some in (("a few", names[: len(names) // 3 or 1]), ("all", names)):
            changed = rng.sample(keys_of(lake, some), rows // CHANGED)
            send(server.host, server.port, (change(name, rng) for name in changed))
            holding = files_with(lake, table, set(changed))
            before = set(table.file_uris())
            merge = land(server, "hashes", "merge", lake, rows)
            table.update_incremental()
            after = set(table.file_uris())
            metrics = table.history(1)[0]["operationMetrics"]
            assert int(metrics["numTargetFilesRemoved"]) == len(before - after)
            figures = (
                f"{len(before - after)} files of {len(before)} written anew, {holding} hold such "
                f"rows; {int(metrics['numTargetRowsCopied']):,} rows copied; {described(merge)}"
            )
            what = f"{len(changed):,} changed, in {where} of the files"
            yield ONLY_THOSE.judge(what, figures, len(before - after) / holding)


def described(landing: Landing) -> str:
    """In words."""
    return f"{landing.seconds:.1f} s, {landing.rate:,.0f} rows/s, {landing.bytes / MB:.0f} MB"


def hash_(number: int, rng: random.Random) -> Command:
    """Write a hash of values that do not compress, so that there are some files of them."""
    fields = (part for n in range(FIELDS) for part in (f"field {n}", value(rng)))
    return "HSET", f"customer:{number}", *fields


def change(name: str, rng: random.Random) -> Command:
    """Change one row of a hash."""
    return "HSET", name, f"field {rng.randrange(FIELDS)}", value(rng)


def value(rng: random.Random) -> str:
    """Some text at random."""
    return rng.randbytes(VALUE_BYTES // 2).hex()


def keys_of(lake: Path, files: Sequence[str]) -> list[str]:
    """The names of the keys in some files."""
    found: dict[str, None] = {}
    for name in files:
        column = pq.read_table(lake / "hashes" / name, columns=["key_name"]).column(0)
        found |= dict.fromkeys(column.unique().to_pylist())
    return list(found)


def files_with(lake: Path, table: DeltaTable, keys: set[str]) -> int:
    """How many files hold rows of these keys."""
    names = table.to_pyarrow_dataset().files
    return sum(not keys.isdisjoint(keys_of(lake, [name])) for name in names)


LANDING = Condition(
    "landing",
    "Landing",
    "Into Delta tables on the local disk, in processes of their own; memory is that of the whole process. Rates of entries are medians of "
    f"{TURNS} turns, by turns with a read that drops its record batches. Files are counted by the Delta log.",
    findings,
)
