"""Unkind data: everything that Redis takes and that a careless reader would trip over."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import redis

Word = bytes | str

TEXTS: list[bytes] = [
    text.encode()
    for text in (
        *(
            "",
            " ",
            "\n",
            "\r\n",
            "\t",
            "\0",
            "a\0b",
            "two\nlines",
            "*3\r\n$3\r\n",
            "+OK\r\n",
            "-ERR no\r\n",
        ),
        *("0", "-1", "007", "9223372036854775807", "-9223372036854775808", "9223372036854775808"),
        *("3.14", "1e400", "nan", "None", "null", "true", "{}", "[]", '{"a": "b"}'),
        *('"', "'", "\\", "\\u0000", "\x1b[31m", "\x7f", "%s", "{{ HOME }}", "<b>&amp;</b>"),
        *(
            "*",
            "?",
            "[a-z]",
            "a*b",
            "base64:/w==",
            "é",
            "e\u0301",
            "日本語",
            "😀",
            "\u2028",
            "\ufeff",
            "\uffff",
        ),
        *("\U0010ffff", "x" * 65, "y" * 5000),
    )
]
"""Words that are UTF-8, each of them different."""

BYTES: list[bytes] = [
    *(bytes([byte]) for byte in range(256)),
    *(bytes(range(256)), b"\xff\xfe", b"\xc3", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"),
    *(b"a\xffb\xfec", b'\xff"\xfe\\', b"\xf0\x9f\x98"),
]
"""Every byte, and sequences that are not UTF-8."""

WORDS: list[bytes] = list(dict.fromkeys(TEXTS + BYTES))
"""All of them."""

SCORES: dict[str, float] = {
    "inf": math.inf,
    "minus inf": -math.inf,
    "least": 5e-324,
    "minus zero": -0.0,
    "zero": 0.0,
    "huge": 1e308,
    "greatest": 1.7976931348623157e308,
    "third": 1 / 3,
    "2**53+2": 2.0**53 + 2,
    "tie b": 7,
    "tie a": 7,
    "tie": 7,
}

ENTRY_IDS = [
    *("0-1", "1-9", "1-10", "9-1", "10-1", "1526919030474-55"),
    *("9223372036854775807-9223372036854775807", "9223372036854775807-9223372036854775808"),
    *("9223372036854775808-0", "18446744073709551615-18446744073709551614"),
]
"""Ids of one stream, ascending; their order as text is another."""

LAST_ENTRY_ID = "18446744073709551615-18446744073709551615"
"""After it a stream takes no further entry."""

MEGABYTE = bytes(range(32, 127)) * (1_000_000 // 95 + 1)
"""A value of a little over 1 MB, in ASCII."""

TTL_SECONDS = 1_000_000


def fill(client: redis.Redis, table: str, words: Sequence[bytes]) -> None:
    """Fill a database with keys for one table, and a few that belong in others.

    Every word becomes the name of a key, and every word occurs inside one. Every third key
    expires, some day.
    """
    pipe = client.pipeline(transaction=False)
    _FILL[table](pipe, words)
    for name in words[::3]:
        pipe.expire(name, TTL_SECONDS)
    for other in _FILL:
        if other != table:
            add_one(pipe, other, f"of {other}")
    pipe.execute()


def add_one(client: Any, table: str, name: Word, value: Word = "v") -> None:
    """Make one key that appears in a table with one row.

    Args:
        client: a client or a pipeline.
        table: the table.
        name: the key's name.
        value: what stands in `value`, `member`, or as the value of the field `f`.
    """
    match table:
        case "strings":
            client.set(name, value)
        case "hashes":
            client.hset(name, "f", value)
        case "lists":
            client.rpush(name, value)
        case "sets":
            client.sadd(name, value)
        case "sorted_sets":
            client.zadd(name, {value: 1})
        case "streams":
            client.xadd(name, {"f": value}, "1-1")
        case _:
            raise ValueError(table)


def partner(words: Sequence[bytes], index: int) -> bytes:
    """Another word for the one at an index, so that all of them occur as partners too."""
    return words[-1 - index]


def _fill_strings(pipe: Any, words: Sequence[bytes]) -> None:
    for index, word in enumerate(words):
        pipe.set(word, partner(words, index))
    for number in (0, 1, -1, 9999, 10000, 2**63 - 1, -(2**63)):
        pipe.set(f"int {number}", number)
    pipe.set("embstr", "x" * 44)
    pipe.set("raw", "x" * 45)
    pipe.setrange("only nul", 10_000, "")
    pipe.setrange("mostly nul", 10_000, "x")
    pipe.append("appended", "a")
    pipe.append("appended", "b")
    pipe.set("megabyte", MEGABYTE)


def _fill_hashes(pipe: Any, words: Sequence[bytes]) -> None:
    for index, word in enumerate(words):
        pipe.hset(word, mapping={word: partner(words, index), b"empty": b""})
        pipe.hset("all", word, partner(words, index))
    pipe.hset("megabyte", mapping={MEGABYTE: "a", "b": MEGABYTE})
    pipe.hincrby("number", "n", 2**63 - 1)


def _fill_lists(pipe: Any, words: Sequence[bytes]) -> None:
    for index, word in enumerate(words):
        other = partner(words, index)
        pipe.rpush(word, other, b"", other)
    pipe.rpush("all", *words)
    pipe.rpush("megabyte", "a", MEGABYTE, "b")


def _fill_sets(pipe: Any, words: Sequence[bytes]) -> None:
    for index, word in enumerate(words):
        pipe.sadd(word, partner(words, index), b"")
    pipe.sadd("all", *words)
    pipe.sadd("integers", *range(-3, 100), 2**63 - 1, -(2**63))
    pipe.sadd("megabyte", "a", MEGABYTE)


def _fill_sorted_sets(pipe: Any, words: Sequence[bytes]) -> None:
    for index, word in enumerate(words):
        pipe.zadd(word, {partner(words, index): index, b"": -index})
    pipe.zadd("all", {word: index / 7 for index, word in enumerate(words)})
    pipe.zadd("ties", dict.fromkeys(words, 1.5))
    pipe.zadd("scores", SCORES)
    # Past 128 members the server keeps a set, and thus the scores, in another form.
    pipe.zadd("many scores", SCORES | {f"member {i}": i / 3 for i in range(200)})
    pipe.zadd("megabyte", {MEGABYTE: 1})


def _fill_streams(pipe: Any, words: Sequence[bytes]) -> None:
    for index, word in enumerate(words):
        other = partner(words, index)
        pipe.xadd(word, {other: word}, f"{index + 1}-0")
        pipe.xadd("all", {word: other, b"empty": b"", b"": b"empty"}, f"{index + 1}-0")
    pipe.xadd("wide", {word: word for word in words}, "1-1")
    for entry_id in ENTRY_IDS:
        pipe.xadd("ids", {"id": entry_id}, entry_id)
    pipe.xadd("end", {"id": LAST_ENTRY_ID}, LAST_ENTRY_ID)
    # redis-py takes a dict, in which a field cannot repeat.
    pipe.execute_command("XADD", "repeated", "1-1", *("b", 1, "a", 2, "b", 3, "c", 4, "b", 1))
    pipe.execute_command("XADD", "repeated", "1-2", *("b", 1, "b", 1))
    pipe.execute_command("XADD", "repeated", "1-3", *("z", 1, "a", 2, "m", 3))
    pipe.xadd("emptied", {"f": "v"}, "1-1")
    pipe.xdel("emptied", "1-1")
    for number in range(1, 300):
        pipe.xadd("holes", {"n": number}, f"{number}-1")
    pipe.xdel("holes", *(f"{number}-1" for number in range(1, 300, 7)))
    pipe.xadd("megabyte", {"f": MEGABYTE}, "1-1")


_FILL: dict[str, Callable[[Any, Sequence[bytes]], None]] = {
    "strings": _fill_strings,
    "hashes": _fill_hashes,
    "lists": _fill_lists,
    "sets": _fill_sets,
    "sorted_sets": _fill_sorted_sets,
    "streams": _fill_streams,
}

HEAVY = 100_000
"""Elements of each large key."""


def fill_heavily(client: redis.Redis) -> None:
    """Make one key of 100 k elements for each table."""
    step = 5_000
    pipe = client.pipeline(transaction=False)
    for start in range(0, HEAVY, step):
        numbers = range(start, start + step)
        pipe.hset("heavy hashes", mapping={f"field {n}": f"value {n}" for n in numbers})
        pipe.rpush("heavy lists", *(f"element {n}" for n in numbers))
        pipe.sadd("heavy sets", *(f"member {n}" for n in numbers))
        pipe.zadd("heavy sorted_sets", {f"member {n}": n % 1000 / 8 for n in numbers})
        for number in numbers:
            pipe.xadd(
                "heavy streams",
                {"n": number, "text": f"entry {number}"},
                f"{number // 3}-{number % 3 + 1}",
            )
        pipe.execute()
    client.set("heavy strings", "text " * HEAVY)


def fill_many(client: redis.Redis, count: int) -> dict[str, str]:
    """Make many small strings; gives their names and values."""
    values = {f"many:{number}": f"value {number}" for number in range(count)}
    pipe = client.pipeline(transaction=False)
    for name, value in values.items():
        pipe.set(name, value)
    pipe.execute()
    return values
