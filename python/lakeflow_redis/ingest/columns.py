"""Whether rows fit into a table that is there, and what would have to change for it."""

from dataclasses import dataclass

from deltalake import Field, Schema


@dataclass(frozen=True, slots=True)
class Fit:
    """What differs between a Delta table's columns and those of the rows that are to land."""

    added: list[Field]
    """Columns that the rows have and the table has not."""
    refused: list[str]
    """In words, what no rows can be appended across: another type, or null where none may be."""
    words: list[str]
    """All that differs, in words."""


def fit(there: Schema, here: Schema) -> Fit:
    """Compare a table's columns with those of the rows."""
    ours, theirs = ({field.name: field for field in schema.fields} for schema in (here, there))
    found = Fit(added=[], refused=[], words=[])
    for name in {**theirs, **ours}:
        our, their = ours.get(name), theirs.get(name)
        # A column of the table may take nulls though we have none, but not the reverse.
        if our and their and our.type == their.type and (their.nullable or not our.nullable):
            continue
        words = f"`{name}` is {_type(their)} there and {_type(our)} here"
        found.words.append(words)
        if our and not their:
            # Null in the rows that are there.
            found.added.append(Field(name, our.type, nullable=True))
        elif our or not (their and their.nullable):
            found.refused.append(words)
    return found


def _type(field: Field | None) -> str:
    if field is None:
        return "missing"
    return field.type.to_json().strip('"') + ("" if field.nullable else " not null")
