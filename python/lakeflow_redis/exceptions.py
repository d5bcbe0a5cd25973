"""The errors that lakeflow-redis raises, all under `LakeflowRedisError`.

Each also derives from the built-in error a Python programmer would catch for the same
cause, so `except ConnectionError` and `except ValueError` work as expected. They carry
only text and names of options, never an option's value that is marked secret, and can be pickled.
"""

from collections.abc import Iterable


class LakeflowRedisError(Exception):
    """The base of every error raised by lakeflow-redis."""


class ConfigurationError(LakeflowRedisError, ValueError):
    """An option, a table's name or an offset is not valid; nothing has been read.

    Args:
        text: what is wrong, and what to do.
        options: the names of the options that it is about, where that is known without a server.
    """

    def __init__(self, text: str, options: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.options = tuple(options)
        """Names of options."""


class RedisConnectionError(LakeflowRedisError, ConnectionError):
    """The server could not be reached, or the connection to it was lost."""


class RedisTimeoutError(RedisConnectionError, TimeoutError):
    """The server did not answer within `socket_connect_timeout` or `socket_timeout`."""


class TlsError(RedisConnectionError):
    """The connection could not be encrypted, or the server's certificate not be trusted."""


class TopologyChangedError(LakeflowRedisError):
    """The servers changed while they were read (slots moved, a failover), so that rows may lack.

    It is no table: read again.
    """


class AuthenticationError(LakeflowRedisError):
    """The server refused the credentials, or wants some and got none."""


class PermissionDeniedError(LakeflowRedisError, PermissionError):
    """The user may not run a command or read a key that the read needs (`NOPERM`)."""


class ServerError(LakeflowRedisError):
    """The server answered with an error that has no class of its own."""


class ProtocolError(LakeflowRedisError):
    """The peer's bytes are no Redis reply: another service, or a damaged connection."""


class DecodeError(LakeflowRedisError, ValueError):
    """A name or value cannot be represented in its column, and the options do not say what to do."""


class DataLossError(LakeflowRedisError):
    """Entries of a stream are lost since the offset, or during the read (see `fail_on_data_loss`)."""


class ConsumedError(LakeflowRedisError):
    """A second pass was asked for over a one-pass stream that was read already."""


class LakeflowRedisWarning(UserWarning):
    """Something was left out of a read that the table can do without, such as an optional column."""
