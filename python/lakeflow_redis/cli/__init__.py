"""The command line over the library; `lakeflow_redis.__main__` starts it.

`commands` (what there is) over `options` (from the core's table of options), `formats` and
`destination` (how `read` writes rows, and where to), `screen` (what a person sees) and
`failures` (errors and exit codes). Nothing here does work that the library does not offer.
"""

from lakeflow_redis.cli.commands import cli

__all__ = ["cli"]
