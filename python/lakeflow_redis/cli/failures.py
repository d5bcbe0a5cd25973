"""Errors as one line on stderr, and the exit codes.

0: done. 1: it failed; of several tables, at least one. 2: the command, its options or a pipeline file are
wrong; nothing was read. 130: interrupted by Ctrl-C (128 + SIGINT, as shells say it). 143: broken off
by SIGTERM (128 + SIGTERM); `ingest` ends by the first one as it would without, and only by the second like that.
"""

from typing import Any

import click

from lakeflow_redis.cli.screen import printable
from lakeflow_redis.exceptions import ConfigurationError, LakeflowRedisError
from lakeflow_redis.pipeline import PipelineError
from lakeflow_redis.pipeline.schedule import Terminated

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
TERMINATED = 143


class FailedError(click.ClickException):
    """An error that is shown without a traceback."""

    exit_code = FAILED

    def __init__(self, error: Exception) -> None:
        # A server's answer or a file's name may hold newlines and terminal escapes.
        super().__init__("\n".join(map(printable, _lines(error))))


def _lines(error: Exception) -> list[str]:
    if isinstance(error, PipelineError):
        # Of a file, all is told that is wrong with it.
        return [str(problem) for problem in error.problems]
    return [str(error)]


class MisusedError(FailedError):
    """An error of the one who called."""

    exit_code = MISUSED


class Failing(click.Group):
    """A group whose commands' expected errors end the process with a line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise MisusedError(error) from error
        except BrokenPipeError:
            raise  # Whoever read our output has had enough; click ends quietly.
        except (LakeflowRedisError, OSError) as error:
            raise FailedError(error) from error
        except Terminated:
            click.echo("terminated", err=True)
            ctx.exit(TERMINATED)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
