"""What the dicts hold that a connector and the table of options give, for type checkers."""

from typing import Literal, TypedDict


class OptionSpec(TypedDict):
    """One row of the table of options, from which parsing, the CLI and the README come."""

    name: str
    """The option's key, snake_case."""
    type: Literal["string", "integer", "number", "boolean"]
    """What its text must spell."""
    choices: list[str]
    """The only values it takes, or empty where any value of its type will do."""
    default: str | None
    """The text that stands for leaving it out; None where leaving it out means "not set"."""
    scope: Literal["connection", "table"]
    """`connection`: for the connector only. `table`: for the connector, and over it for one read."""
    secret: bool
    """Whether its value must never be shown."""
    tables: list[str] | None
    """The tables that it is for; None where it is for all."""
    doc: str
    """One line that says what it does."""


class Metadata(TypedDict):
    """How a table is ingested."""

    primary_keys: list[str]
    cursor_field: str | None
    ingestion_type: Literal["snapshot", "append"]


class NodeFacts(TypedDict):
    """A server that would be read."""

    address: str
    product: str
    version: str
    role: Literal["primary", "replica"]
    keys: int


class DatabaseFacts(TypedDict):
    """A database that holds keys; in a cluster, on all nodes that would be read."""

    keys: int
    expires: int | None
    """Keys that expire; None where a server does not say."""


class TableFacts(TypedDict):
    """What the user may read of a table."""

    readable: bool
    refused: list[str]
    """Commands that the user may not send, or the server does not have."""
    null_columns: list[str]
    """Columns that are null because of it."""
    notes: list[str]
    """What else is because of it."""


class Inspection(TypedDict):
    """What is there, without reading it."""

    mode: Literal["standalone", "cluster", "sentinel"]
    nodes: list[NodeFacts]
    tls: bool
    user: str
    databases: dict[str, DatabaseFacts]
    """By number."""
    tables: dict[str, TableFacts]
    limits: list[str]
    """What these servers cannot promise, by their version and configuration."""
    warnings: list[str]
