"""A password that must not be seen, and the places where it would be."""

import pickle
import traceback
from collections.abc import Sequence
from urllib.parse import quote

PASSWORD = "canary/9x1k7q@:7%40?"  # noqa: S105 - it is for show.
"""The password of the tests' servers; it holds what a careless parser of URLs would mistake."""

WRONG_PASSWORD = "wrong-canary-9x1k7q"  # noqa: S105 - so is this.

MARK = "9x1k7q"
"""What all forms of both have in common, percent-encoded or not. No id in hexadecimal digits, of which
a lake is full, holds it by chance."""

QUOTED_PASSWORD = quote(PASSWORD, safe="")


def lines_of_key(pem: str) -> list[str]:
    """The lines of a key's PEM text by which it would be known; the first and last one are all keys'."""
    return [line for line in pem.splitlines() if line and not line.startswith("-----")]


def assert_unseen(*shown: object, secrets: Sequence[str] = ()) -> None:
    """Fail where a password, or another secret, is seen in objects, or in errors with their causes."""
    for each in shown:
        for text in _texts(each):
            assert MARK not in text, f"the password is visible in: {text}"
            assert not any(secret in text for secret in secrets), f"a secret is visible in: {text}"


def _texts(shown: object) -> list[str]:
    texts = [str(shown), repr(shown)]
    if isinstance(shown, BaseException):
        # Without the source lines, which may show this test's own constants.
        chain = traceback.TracebackException.from_exception(shown, lookup_lines=False)
        texts += ["".join(part.format_exception_only()) for part in _chain(chain)]
        texts.append(pickle.dumps(shown).decode("latin-1"))
        texts.append(repr(shown.__dict__))
        texts.append(repr(shown.args))
    return texts


def _chain(error: traceback.TracebackException | None) -> list[traceback.TracebackException]:
    if error is None:
        return []
    return [error, *_chain(error.__cause__), *_chain(error.__context__)]
