r"""A text as a pattern that matches it alone: `\` before `*`, `?`, `[` and itself.

What they match is for the core to say: see `src/scan/glob.rs`.
"""

import re

SPECIAL = re.compile(r"([*?\[\\])")

ADJACENT = re.compile(r"(?<=\{)\{")
"""A brace behind another one, which would begin a reference."""


def literal(text: str) -> str:
    """The pattern that matches a text and nothing else, and holds no `{{ NAME }}`."""
    return ADJACENT.sub(r"\\{", SPECIAL.sub(r"\\\1", text))
