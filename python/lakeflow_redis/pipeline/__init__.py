"""Ingest as a file says it, unattended: what to read, how it lands, and how often.

    from lakeflow_redis.pipeline import load

    pipeline = load("pipeline.toml")
    pipeline.connector(), pipeline.resolved_lake(), pipeline.tables

What imports what: `file` (what a file says) over `tables`, `options` and `clear_secrets` (its parts),
over `document` (TOML with line numbers), `key_lines`, `references` and `problems`. `running` (a run and its
report) under `schedule` (one after the other, and signals). `survey` (a look at some keys) under `template` with
`groups` (a file for what is there) and under `estimate` with `probe` (how much a run would read); `glob` is
theirs.
"""

from lakeflow_redis.pipeline.file import Pipeline, load
from lakeflow_redis.pipeline.interval import parse_interval
from lakeflow_redis.pipeline.problems import PipelineError, Problem

__all__ = ["Pipeline", "PipelineError", "Problem", "load", "parse_interval"]
