"""The error of the lake's side, and what others' errors come to in one line."""

import re
from collections.abc import Iterable

from lakeflow_redis.exceptions import LakeflowRedisError

LONGEST = 300
"""Characters of another library's words; what comes behind helps nobody."""

SHORTEST = 4
"""Characters of what may be hidden; a shorter text is no secret, and would be found in any word."""

_ARROW = re.compile(r"\s*\x1b\[\d+m↳\x1b\[0m\s*")
"""What deltalake puts before each cause, in color and on a line of its own."""

_REQUEST = re.compile(
    r"Error performing .*?\b(?:in [\d.]+[nµm]?s\b)(?:, after .*?retry_timeout: \S+)? +- "
)
"""The URL, the time and the retries of a request that failed."""

_DOCUMENT = re.compile(r"<\?xml.*|<html.*|<!doctype.*", re.DOTALL | re.IGNORECASE)
"""A store's answer, which may repeat the credentials that it was given."""

_SAID = re.compile(r"<(Code|Message)>([^<]*)</")
"""What of such an answer is about the error."""

_INNERMOST = re.compile(
    r'(?:message|error): "([^"\\]*)"|(?:^ *|: )([A-Z][a-z]+(?:[A-Z][a-z]+)+),$', re.MULTILINE
)
"""Words and kinds of errors, in what obstore tells for debugging; the last one is the cause of all."""


class LakeError(LakeflowRedisError):
    """The lake cannot take what was read, or does not say where the last run ended.

    Its text says what to do.
    """


def one_line(error: BaseException, hidden: Iterable[str] = ()) -> str:
    """What deltalake, obstore or pyarrow say, without URLs, bodies of answers, and their own insides.

    Args:
        error: theirs.
        hidden: texts that must not be seen.
    """
    said, _, insides = str(error).partition("Debug source:")
    said = _REQUEST.sub("", _ARROW.sub(": ", said))
    said, answer = _DOCUMENT.sub("", said), _DOCUMENT.search(said)
    parts = [said.strip(" :\n")]
    if answer:
        parts += [text for _, text in _SAID.findall(answer.group())]
    elif causes := _INNERMOST.findall(insides):
        quoted, kind = causes[-1]
        parts.append(quoted or re.sub(r"(?<!^)(?=[A-Z])", " ", kind).lower())
    words = re.sub(r"https?://\S+", "…", ": ".join(parts))
    for text in sorted(hidden, key=len, reverse=True):
        if len(text) >= SHORTEST:
            words = words.replace(text, "…")
    words = " ".join(words.split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
