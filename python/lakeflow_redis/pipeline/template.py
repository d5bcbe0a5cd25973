"""A pipeline file for what was found in a server, with comments that say what may be changed."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count

from lakeflow_redis.pipeline.groups import Group, groups, others
from lakeflow_redis.pipeline.options import SPECS
from lakeflow_redis.pipeline.survey import TABLE_OF_TYPE, Sample

FEW = 0.01
"""The part of a table's keys that may lie outside of its groups before all of it is read once more."""

LONGEST_NAME = 60
"""Characters of a table's name that is made up."""

REFERENCE = re.compile(r"\{\{[^{}]+\}\}")

MODES = """\
# `mode` says what becomes of the rows that are there: `replace` replaces them all in one commit;
# `merge` inserts, updates and deletes what differs, by primary key; `history` does so too and keeps
# former rows (SCD type 2); `append`, for streams only, adds what came since the last run.
# Any option of `lakeflow-redis read` may be given for a table, such as columns = "key_name,value".
"""


def template(
    found: Sample, server: Sequence[str], options: Mapping[str, str], variables: Mapping[str, str]
) -> str:
    """The text of a pipeline file.

    Args:
        found: what was found.
        server: what was looked at, line by line, for people.
        options: the connector's options, references as they are. Of secrets nothing is written.
        variables: the environment variables to refer to in the place of secrets, by option.
    """
    lines = [
        *(f"# {line}" if line else "#" for line in _introduction(found, server)),
        "",
        *_connection(options, variables),
        "",
        "[lake]",
        'to = "./lake"  # relative to the folder of this file, or a URL such as s3://bucket/prefix',
        'format = "delta"  # or "parquet", with the modes replace and append only',
        "",
        "# [lake.storage_options]  # for a URL; what is not said here comes from the environment",
        '# AWS_ENDPOINT_URL = "{{ AWS_ENDPOINT_URL }}"',
        "",
        "[ingest]",
        "quarantine = false  # true: rows that are no text go to a table of their own",
        "evolve = false  # true: tables that are there may get other columns",
        '# every = "5m"  # for where there is no scheduler',
        "",
        *_tables(found),
    ]
    return "".join(f"{line}\n" for line in lines)


def text(value: str) -> str:
    """A text as a TOML string on one line."""
    # As in JSON, but for the one character that only TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _introduction(found: Sample, server: Sequence[str]) -> Iterator[str]:
    yield "A pipeline for `lakeflow-redis ingest`, written by `lakeflow-redis init` from what it found:"
    yield from (f"  {_on_a_line(line)}" for line in server)
    if found.is_whole:
        # Fewer than the server counts, where the user may not read some, or some have just expired.
        yield f"  All {_number(len(found.keys))} keys that can be read were looked at."
    else:
        yield (
            f"  {_number(len(found.keys))} of about {_number(found.total)} keys were looked at "
            f"({found.share:.1%}); numbers of keys below are estimates from these."
        )
    yield ""
    yield "`lakeflow-redis ingest FILE --dry-run` says what it would read, and about how much."
    yield "`{{ NAME }}` stands for the environment variable NAME, which is looked up when it runs."


def _connection(options: Mapping[str, str], variables: Mapping[str, str]) -> Iterator[str]:
    yield "[connection]  # any option of the connector"
    for name, value in options.items():
        if SPECS[name]["secret"] and REFERENCE.fullmatch(value) is None:
            yield "# A secret, which is not written down: set the variable."
            yield f"{name} = {text(f'{{{{ {variables[name]} }}}}')}"
        else:
            yield f"{name} = {_value(name, value)}"


def _value(name: str, value: str) -> str:
    kind = SPECS[name]["type"]
    if kind == "integer" and value.isascii() and value.isdigit():
        return str(int(value))
    if kind == "boolean" and value.lower() in {"true", "false"}:
        return value.lower()
    return text(value)


def _tables(found: Sample) -> Iterator[str]:
    yield from MODES.splitlines()
    taken = {*TABLE_OF_TYPE.values(), "keys", "server_info"}
    all_groups = groups(found)
    for group in all_groups:
        yield ""
        beside = [other for other in all_groups if other.table == group.table and other.pattern]
        if group.pattern is None:
            yield from _of_a_whole_table(group, beside)
        else:
            yield from _of_a_prefix(group, group.pattern, taken)
    if not all_groups:
        yield ""
        yield "# No keys were found; this is how a table looks."
        yield from _commented(["[[tables]]", 'table = "hashes"', 'key_pattern = "user:*"'])
    yield ""
    of_modules = others(found)
    if of_modules:
        kinds = ", ".join(
            f"{_number(n)} of type {_on_a_line(kind)}" for kind, n in of_modules.items()
        )
        yield f"# Keys of modules, {kinds}, show in the table `keys` only."
    yield "# All keys with their types, sizes and times to live."
    yield from _commented(["[[tables]]", 'table = "keys"'])
    yield ""
    yield "# The server's own figures."
    yield from _commented(["[[tables]]", 'table = "server_info"'])


def _of_a_prefix(group: Group, pattern: str, taken: set[str]) -> Iterator[str]:
    yield f"# About {_keys(group)} that begin with {_on_a_line(text(group.prefix + ':'))}."
    yield "[[tables]]"
    yield f"table = {text(group.table)}"
    yield f"name = {text(_name(group.prefix, group.table, taken))}"
    yield from _how(group)
    yield f"key_pattern = {text(pattern)}"


def _of_a_whole_table(group: Group, beside: Sequence[Group]) -> Iterator[str]:
    lines = ["[[tables]]", f"table = {text(group.table)}", *_how(group)]
    if not beside:
        yield f"# About {_keys(group)}."
        yield from lines
        return
    yield f"# About {_keys(group)} are in none of the tables above. No pattern leaves keys out, so that"
    yield f"# this is all {group.table}, those above too. Give it a pattern, or decide for one or the other."
    few = group.keys < FEW * (group.keys + sum(other.keys for other in beside))
    yield from _commented(lines) if few else lines


def _how(group: Group) -> Iterator[str]:
    yield f"mode = {text('append' if group.table == 'streams' else 'replace')}"
    if not group.is_text:
        yield 'value_type = "binary"  # names of keys are not all UTF-8'


def _name(prefix: str, table: str, taken: set[str]) -> str:
    """A name in the lake that no other table has, whatever case counts for."""
    words = re.sub(r"[^a-z0-9]+", "_", prefix.lower()).strip("_")[:LONGEST_NAME]
    first = [words, f"{words}_{table}"] if words else [f"{table}_unnamed"]
    names = chain(first, (f"{first[-1]}_{n}" for n in count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


def _keys(group: Group) -> str:
    return f"{_number(group.keys)} {'key' if round(group.keys) == 1 else 'keys'} of {group.table}"


def _number(count: float) -> str:
    return f"{round(count):,}"


def _commented(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"# {line}" for line in lines)


def _on_a_line(words: str) -> str:
    """Words as a comment may hold them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)
