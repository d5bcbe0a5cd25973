"""The command line over the library; `lakeflow_redis.__main__` starts it.

`commands` (what there is), with `ingesting` and `pipelines` in files of their own, over `options` (from the
core's table of options), `formats` and `destination` (how `read` writes rows, and where to), `summary`, `dry_run`
and `logs` (what `ingest` says), `screen` (what a person sees), `bars` (how
far it is meanwhile) and `failures` (errors and exit codes). Nothing here
does work that the library does not offer.
"""

from lakeflow_redis.cli.commands import cli

__all__ = ["cli"]
