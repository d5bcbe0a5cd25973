"""Patterns match here what they match in the servers."""

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakeflow_redis.pipeline.glob import literal

from tests import data
from tests.conftest import Connect
from tests.patterns import matches

PATTERNS = [
    *(b"*", b"**", b"", b"a", b"a*", b"*a", b"*a*b", b"a?c", b"?", b"??", b"a**b", b"*?"),
    *(b"[abc]", b"[^abc]", b"[a-c]x", b"[c-a]x", rb"[\]a]", b"[a", b"[a-", b"[", b"[^", b"[]"),
    *(b"[^]", b"[]a]", b"[^]a]", b"[a-]", b"[--a]", rb"[\a-c]", rb"[a\-c]", b"[!a]", b"[a^]"),
    *(rb"a\*", rb"\?", rb"\[a]", rb"\\", b"\\", b"a\\", rb"\a", b"\n*", b"*\n", b"[\n]", b".+(|)$"),
    *("é*".encode(), "?é".encode(), "[é]".encode()),
]

NAMES = [
    *(b"a", b"b", b"c", b"ab", b"abc", b"a*", b"a?c", b"ax", b"bx", b"-", b"^", b"]", b"[", b"[a"),
    *(b"[a]", b"[a-", b"\\", b"a\\", b"?", b"*", b"\n", b"a\n", b"\na", b"aXb", b"xaxb", b"aabab"),
    *(b"\xff", b"a\xff", "é".encode(), "é:1".encode(), b".+(|)$", b"!", b"c-", b"a-c", b"x" * 300),
]


def matching(pattern: bytes, names: list[bytes] = NAMES) -> set[bytes]:
    """The names that a pattern matches."""
    return {name for name in names if matches(pattern.decode(), name)}


def test_a_pattern_matches_what_the_server_takes_it_for(
    client: redis.Redis, connect: Connect
) -> None:
    client.mset(dict.fromkeys(NAMES, "v"))
    for pattern in PATTERNS:
        # Some servers look for no key at all by an empty pattern.
        assert matching(pattern) == set(client.keys(pattern)) or not pattern, pattern


ALPHABET = st.sampled_from([bytes([byte]) for byte in b"ab*?[]^-\\\n"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patterns=st.lists(st.lists(ALPHABET, max_size=8).map(b"".join), min_size=1, max_size=20))
def test_any_pattern_matches_what_the_server_takes_it_for(
    one_client: redis.Redis, patterns: list[bytes]
) -> None:
    one_client.mset(dict.fromkeys(NAMES, "v"))
    for pattern in filter(None, patterns):
        assert matching(pattern) == set(one_client.keys(pattern)), pattern


def test_only_a_star_alone_matches_no_name_at_all() -> None:
    # As a server does that has an empty name; `src/scan/glob.rs` tells.
    assert [pattern for pattern in PATTERNS if matching(pattern, [b""])] == [b"*", b""]


@pytest.mark.parametrize("text", data.TEXTS)
def test_a_literal_matches_its_text_and_nothing_else(text: bytes) -> None:
    assert matching(literal(text.decode()).encode(), data.TEXTS) == {text}


def test_a_literal_refers_to_no_variable() -> None:
    assert "{{" not in literal("{{{ HOME }}}")
    assert matching(literal("{{{ HOME }}}").encode(), [b"{{{ HOME }}}"])


def test_many_stars_take_no_time() -> None:
    assert not matching(b"a*" * 50 + b"b", [b"a" * 10_000])
