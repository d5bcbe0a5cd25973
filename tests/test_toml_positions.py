"""Each key of a TOML text is found on its line, whatever the text does to hide it."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakeflow_redis.pipeline.key_lines import Path, key_lines

UNKIND = '''\
# [comment]  key = 1
top = 1   # [tables]
"quoted \\"key\\" # = 1" = 2
'literal \\ key' = "a # no comment"
dotted . "with.dots".'x y' = """
fake = 1
[fake]
\\"""
"""" # two quotes of the text and three that end it
literal = \'\'\'
fake = 2
\\\'\'\'
array = [ # comment ]
  1, "]", # fake = 3
  [ "nested", { fine = 1, also.fine = [2] } ],
  1979-05-27 07:32:00,
]
inline = { a = "}", b.c = { d = 1 }, "e f" = [{ g = 1 }, { g = 2 }] }

[ connection ]
url = "{{ URL }}" # secret = 1

  [lake."storage options"]
  KEY="x"

[[tables]]
table = "hashes"
[tables.sub]
deep = true
[[tables.list]]
x = 1
[[tables.list]]
x = 2
[[ "tables" ]]
table = "sets"
[tables.sub]
deep = false

[later.than.this]
[later]
a = inf
"" = 1
'''

LINES: dict[Path, int] = {
    ("top",): 2,
    ('quoted "key" # = 1',): 3,
    ("literal \\ key",): 4,
    ("dotted", "with.dots", "x y"): 5,
    ("literal",): 10,
    ("array", 2, 1, "also", "fine", 0): 15,
    ("array", 3): 16,
    ("inline", "b", "c", "d"): 18,
    ("inline", "e f", 1, "g"): 18,
    ("connection", "url"): 21,
    ("lake",): 23,
    ("lake", "storage options", "KEY"): 24,
    ("tables", 0): 26,
    ("tables", 0, "table"): 27,
    ("tables", 0, "sub", "deep"): 29,
    ("tables", 0, "list", 0, "x"): 31,
    ("tables", 0, "list", 1, "x"): 33,
    ("tables", 1): 34,
    ("tables", 1, "table"): 35,
    ("tables", 1, "sub", "deep"): 37,
    ("later", "than", "this"): 39,
    ("later",): 39,
    ("later", "a"): 41,
    ("later", ""): 42,
}


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all that `tomllib` found."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths(each, (*path, key))
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from paths(each, (*path, number))


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_key_is_found_on_its_line(ends: str) -> None:
    text = UNKIND.replace("\n", ends)
    found = key_lines(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    assert {path: found[path] for path in LINES} == LINES


@pytest.mark.parametrize("text", ["", "\n", "# only this", "a = 1", "[a]", "[[a]]"])
def test_little_texts_have_few_keys(text: str) -> None:
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))


def test_what_is_no_toml_comes_to_an_end() -> None:
    with pytest.raises(ValueError, match="no key"):
        key_lines("[[ } ]]")


# Texts that are made up


def basic(text: str) -> str:
    """A text as TOML writes it, with everything escaped that can be."""
    return '"' + "".join(f"\\U{ord(each):08x}" for each in text) + '"'


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
WORDS = st.sampled_from(['"', '"""', "'''", "[", "]", "{", "}", "=", "#", "\n", "\\", "a = 1", " "])
TEXTS = st.lists(WORDS, max_size=6).map("".join)


QUOTES = st.sampled_from([0, 1, 2])
"""That stand before the three that end a text."""


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    """A value, which may go over several lines."""
    plain = st.sampled_from(["1", "-0.5e3", "true", "inf", "1979-05-27 07:32:00Z"])
    escaped = TEXTS.map(lambda text: text.replace("\\", "\\\\").replace('"', '\\"'))
    literal = TEXTS.map(lambda text: text.replace("'", ""))
    kinds = [
        plain,
        TEXTS.map(basic),
        st.builds(lambda text, more: f'"""{text}{more * chr(34)}"""', escaped, QUOTES),
        st.builds(lambda text, more: f"'''{text}{more * chr(39)}'''", literal, QUOTES),
        literal.map(lambda text: f"'{text}'".replace("\n", "")),
    ]
    if depth < 2:
        parts = values(depth + 1)
        between = st.sampled_from([",", " , ", ",\n", ", # ]\n"])
        lists = st.lists(parts, max_size=3)
        kinds.append(st.builds(lambda glue, each: f"[{glue.join(each)}]", between, lists))
        pairs = st.dictionaries(KEYS, parts, max_size=3).map(dict.items)
        kinds.append(pairs.map(lambda each: ", ".join(f"{basic(k)} = {v}" for k, v in each)))
        kinds[-1] = kinds[-1].map(lambda inside: "{" + inside + "}")
    return draw(st.one_of(kinds))


@given(st.data())
def test_keys_of_any_text_are_found_on_their_lines(data: st.DataObject) -> None:
    text = ""
    expected: dict[Path, int] = {}
    for number in range(data.draw(st.integers(0, 4))):
        text += data.draw(st.sampled_from(["", "\n", "# [[x]]\n", " \t"])) + "[[tables]]\n"
        for key in data.draw(st.lists(KEYS, max_size=4, unique=True)):
            expected["tables", number, key] = text.count("\n") + 1
            text += f"{basic(key)} = {data.draw(values())}\n"
    found = key_lines(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    assert {path: found[path] for path in expected} == expected
