"""What a person at a terminal sees of a read while it goes on, and that nobody else sees it."""

import re
from pathlib import Path

import pytest
import redis

from tests import data
from tests.servers import Server
from tests.streams import add_many, numbered
from tests.test_cli import Done, at, on_terminal, run

KEYS = 50_000

SLOW = ["--batch-size", "100", "--max-server-share", "0.25"]
"""Arguments with which a read takes long enough to be looked at."""

BAR = "━"
HALF_BAR = "╸"
"""Where a bar ends that is not full; a bar that pulses has none."""

WITHOUT_PERCENT = len(" 100% ")
"""Spaces between a bar and its rows where no share is known."""

STYLES = re.compile(r"\x1b\[[0-9;]*m")
CLEAR = "\x1b[2K"
"""Erases a line of the terminal."""


def percents(seen: str) -> list[int]:
    """The percentages that were shown, in their order."""
    return [int(number) for number in re.findall(r"(\d+)%", STYLES.sub("", seen))]


def test_a_bar_fills_as_the_keys_are_gone_through(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    data.fill_many(one_client, KEYS)
    path = tmp_path / "rows"
    arguments = ["read", "strings", *at(one_server), *SLOW, "--format", "json", "--output", path]
    code, seen = on_terminal(*arguments)
    assert code == 0
    assert len(path.read_text().splitlines()) == KEYS
    shown = percents(seen)
    assert shown == sorted(shown)
    # All rows come in one batch, and the bar does not wait for that.
    assert len(set(shown)) > 3
    assert 0 < shown[len(shown) // 2] < 100
    plain = STYLES.sub("", seen)
    assert re.search(rf"strings {BAR}+{HALF_BAR}?{BAR}* +\d+% +0 rows +0:00:0\d", plain)
    assert re.search(rf"strings {BAR}+ +(99|100)% +{KEYS:,} rows", plain)
    assert seen.rstrip().endswith(CLEAR), "the bar stays"


def test_rows_of_several_batches_have_a_rate(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.rpush("l", *range(300_000))
    arguments = ["read", "lists", *at(one_server), "--format", "csv", "--output", tmp_path / "rows"]
    code, seen = on_terminal(*arguments)
    assert code == 0
    assert re.search(r"300,000 rows +[\d,]+ rows/s", STYLES.sub("", seen))


def test_a_bar_pulses_where_no_share_is_known(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    # Neither is anything scanned, nor do all entries come at once.
    one_client.rpush("l", *(data.MEGABYTE for _ in range(60)))
    arguments = ["read", "lists", *at(one_server), "--key-pattern", "l", *SLOW]
    code, seen = on_terminal(*arguments, "--format", "json", "--output", tmp_path / "rows")
    one_client.flushdb()
    assert code == 0
    assert re.search(rf"lists {BAR}+ {{{WITHOUT_PERCENT}}}\d+ rows", STYLES.sub("", seen))
    # What is read is yet to be written when the read is over.
    assert set(percents(seen)) <= {99, 100}


def test_a_bar_of_streams_fills_as_entries_come(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    for number in range(10):
        add_many(one_client, f"stream {number}", numbered(1, 5_000))
    arguments = ["read", "streams", *at(one_server), *SLOW, "--max-in-flight-bytes", "65536"]
    code, seen = on_terminal(*arguments, "--format", "json", "--output", tmp_path / "rows")
    assert code == 0
    assert len(set(percents(seen))) > 3


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}])
def test_no_bar_shows_in_a_pipe(
    one_server: Server, one_client: redis.Redis, tmp_path: Path, variables: dict[str, str]
) -> None:
    data.fill_many(one_client, 1000)
    arguments = [
        "read",
        "strings",
        *at(one_server),
        "--format",
        "json",
        "--output",
        tmp_path / "rows",
    ]
    assert run(*arguments, env=variables) == Done(0, "", "")
    done = run(
        "ingest", *at(one_server), "--to", tmp_path / "lake", "--tables", "strings", env=variables
    )
    assert (done.code, done.stderr) == (0, "")
    assert BAR not in done.stdout
