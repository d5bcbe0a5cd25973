"""Changing a database at random, in every way in which rows of a snapshot can change."""

import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import redis

from tests import data, oracle

LIKENESSES = [
    text.encode()
    for text in (
        *("a", "a ", "a  ", " a", "a\0", "a\0\0", "a\n", "A", "á", "a\u0301", "Á", "ａ"),
        *("' OR 1=1 --", "'; DROP TABLE new; --", '"new"."_row"', "valid_to", "_file", "old"),
        *("x" * 31, "x" * 32, "x" * 33, "x" * 63, "x" * 64, "x" * 65, "1", "1.0", "01", "+1"),
    )
]
"""Names and values that something might take for each other, or for something else."""

DIGESTS = [sha256(b"x" * 33).digest(), sha256(b"x" * 33).hexdigest().encode()]
"""What may stand for one of them where two are compared."""

TEXTS = [*dict.fromkeys([*LIKENESSES, DIGESTS[1], *data.TEXTS])]
BYTES = [*dict.fromkeys([*TEXTS, *DIGESTS, *data.BYTES[-20:]])]

NUMBERS = [*data.SCORES.values(), 1e-320, -1e-320, 0.1, 0.1 + 0.2, 0.3, 3, 4]

TABLES = [table for table in oracle.TYPES if table != "streams"]
"""Those with the content of keys that are snapshots."""

EXPIRY_SECONDS = (100_000, 200_000)
"""A key's expiry is not what is compared, but whether it has one."""


class Changing:
    """Makes changes at random.

    Args:
        client: the database.
        rng: what chooses.
        words: names and values. A few of them serve as keys, so that these meet several changes.
    """

    def __init__(self, client: redis.Redis, rng: random.Random, words: Sequence[bytes]) -> None:
        self._client = client
        self._rng = rng
        self._words = words
        self._keys = rng.sample(words, min(40, len(words)))
        self._added = 0

    def change(self, times: int) -> None:
        """Change something so many times; most changes are of values and elements."""
        for _ in range(times):
            name = self._rng.choice(self._keys)
            change = self._rng.choice([*_OF_KEYS, *_OF_CONTENT, *_OF_CONTENT])
            try:
                change(self, name)
            except redis.ResponseError as error:
                # Of another type: then it becomes one that the change is for.
                if "WRONGTYPE" not in str(error):
                    raise
                self._client.delete(name)
                change(self, name)

    def add(self, times: int) -> None:
        """Add so many keys, each of another name, and change none."""
        for _ in range(times):
            self._added += 1
            table = self._rng.choice([*TABLES])
            data.add_one(self._client, table, f"added {self._added}", self._word())

    def _word(self) -> bytes:
        return self._rng.choice(self._words)

    def _number(self) -> float:
        return self._rng.choice(NUMBERS)

    def _delete(self, name: bytes) -> None:
        self._client.delete(name)

    def _expire(self, name: bytes) -> None:
        self._client.expire(name, self._rng.choice(EXPIRY_SECONDS))

    def _persist(self, name: bytes) -> None:
        self._client.persist(name)

    def _rename(self, name: bytes) -> None:
        if self._client.exists(name):
            self._client.rename(name, self._rng.choice(self._keys))

    def _retype(self, name: bytes) -> None:
        self._client.delete(name)
        data.add_one(self._client, self._rng.choice([*TABLES]), name, self._word())

    def _set(self, name: bytes) -> None:
        self._client.set(name, self._word())

    def _append(self, name: bytes) -> None:
        self._client.append(name, b"more")

    def _hset(self, name: bytes) -> None:
        self._client.hset(name, self._word(), self._word())

    def _hdel(self, name: bytes) -> None:
        for field in self._some(self._client.hkeys(name)):
            self._client.hdel(name, field)

    def _push(self, name: bytes) -> None:
        push = self._rng.choice([self._client.lpush, self._client.rpush])
        push(name, self._word(), self._word())

    def _pop(self, name: bytes) -> None:
        self._client.lpop(name)

    def _lset(self, name: bytes) -> None:
        length = self._client.llen(name)
        if length:
            self._client.lset(name, self._rng.randrange(length), self._word())  # type: ignore[arg-type]

    def _sadd(self, name: bytes) -> None:
        self._client.sadd(name, self._word(), self._word())

    def _srem(self, name: bytes) -> None:
        for member in self._some(self._client.smembers(name)):
            self._client.srem(name, member)

    def _zadd(self, name: bytes) -> None:
        self._client.zadd(name, {self._word(): self._number()})

    def _rescore(self, name: bytes) -> None:
        for member in self._some(self._client.zrange(name, 0, -1)):
            self._client.zadd(name, {member: self._number()})

    def _zrem(self, name: bytes) -> None:
        for member in self._some(self._client.zrange(name, 0, -1)):
            self._client.zrem(name, member)

    def _some(self, elements: Any) -> Any:
        """One of them, in a list, if there is one."""
        return [self._rng.choice(sorted(elements))] if elements else []


Change = Callable[[Changing, bytes], None]

# ruff: noqa: SLF001 - they are listed here because they are private.
_OF_KEYS: list[Change] = [
    *(Changing._delete, Changing._expire, Changing._persist, Changing._rename, Changing._retype),
]
_OF_CONTENT: list[Change] = [
    *(Changing._set, Changing._append, Changing._hset, Changing._hdel, Changing._push),
    *(Changing._pop, Changing._lset, Changing._sadd, Changing._srem, Changing._zadd),
    *(Changing._rescore, Changing._zrem),
]
