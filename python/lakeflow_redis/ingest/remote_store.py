"""A prefix of an object store as a lake's folder.

By obstore, which is the store that deltalake has inside, with the same options.
"""

import io
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Self
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.storage_options import names_credentials, opened
from lakeflow_redis.ingest.store import Store
from lakeflow_redis.ingest.workplace import workplace

SCHEMES = ("s3://", "s3a://")

BUCKET = re.compile(r"[\w.-]+", re.ASCII)

FOLDER = re.compile(r"(?![. ]+$)[\w.~+=@:,'!()&$ -]+(?<! )")
"""What both libraries take as it stands; of other characters one sees an escape, or panics."""

STAGED = ".lakeflow-redis-staged"
"""The folder of objects that will be copied; readers of a folder of Parquet files skip such a name."""

TEMPORARY = "lakeflow-redis-"
"""How the names of workplaces begin."""

LEFT_AFTER = timedelta(days=1)
"""When a staged object is of a run that was killed; no upload's credentials last for so long."""

ONE_REQUEST_BYTES = 64 * 2**20
"""Up to which a file that must be new is uploaded in one request, from memory. A larger one goes in
parts, which know no such condition, and is then copied by the store itself."""


class RemoteStore(Store):
    """A prefix of an S3-style store.

    Args:
        store: the bucket's.
        bucket: its URL.
        path: the prefix, without slashes around it.
        options: those of the store, as deltalake takes them.
    """

    def __init__(self, store: S3Store, bucket: str, path: str, options: dict[str, str]) -> None:
        self._store = store
        self._bucket = bucket
        self._path = path
        self.uri = f"{bucket}/{path}"
        self.storage_options = options
        self._by_whom = (
            ""
            if names_credentials(options)
            else " with the credentials of this machine, as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY give none"
        )

    @classmethod
    def at(cls, url: str, options: Mapping[str, str]) -> Self:
        """What is at `s3://bucket/prefix`.

        Args:
            url: where.
            options: as deltalake takes them, such as `AWS_ENDPOINT_URL`. What is not said there
                comes from the environment.

        Raises:
            ConfigurationError: an option or the URL is not valid.
        """
        scheme, _, rest = url.partition("://")
        bucket, *folders = rest.rstrip("/").split("/")
        if not BUCKET.fullmatch(bucket) or not all(map(FOLDER.fullmatch, folders)):
            raise ConfigurationError(
                f"a lake cannot be at {scheme}://…: a URL is s3://bucket/prefix here, of letters, "
                "digits and some other characters, and without escapes"
            )
        store, delta = opened(f"{scheme}://{bucket}", options)
        return cls(store, f"{scheme}://{bucket}", "/".join(folders), delta)

    def __str__(self) -> str:
        return self.uri

    def within(self, name: str) -> Store:
        """A prefix that begins with this one."""
        return RemoteStore(self._store, self._bucket, self._key(name), self.storage_options or {})

    def names(self) -> set[str]:
        """The names of what is under the prefix, up to the next slash, but for what is staged."""
        with self.failing(f"{self} cannot be listed{self._by_whom}"):
            listed = obstore.list_with_delimiter(self._store, self._path or None)
            paths = [each["path"] for each in listed["objects"]] + list(listed["common_prefixes"])
        names = {path.rstrip("/").rpartition("/")[2] for path in paths}
        return names - {STAGED}

    def read(self, name: str) -> bytes | None:
        """An object's content, or None where there is no such object."""
        with self.failing(f"{self}/{name} cannot be read"):
            try:
                return bytes(obstore.get(self._store, self._key(name)).bytes())
            except FileNotFoundError:
                return None

    def open(self, name: str) -> IO[bytes]:
        """The object as a file of which only what is asked for is fetched."""
        with self.failing(f"{self}/{name} cannot be read"):
            return io.BufferedReader(_Reading(self._store, self._key(name)))

    def create(self, name: str, content: bytes) -> bool:
        """Make an object, unless there is one (`If-None-Match`)."""
        with self.failing(f"{self}/{name} cannot be written"):
            return self._put_new(content, self._key(name))

    def place(self, file: Path, name: str, *, new: bool = False) -> bool:
        """Upload a file."""
        key = self._key(name)
        with self.failing(f"{self}/{name} cannot be written"):
            if not new:
                obstore.put(self._store, key, file)
            elif not self._put_new_file(file, key):
                return False
        file.unlink()
        return True

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self.failing(f"{self}/{name} cannot be removed"):
            self._delete(self._key(name))

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """In the system's folder for temporary files; also removes what killed runs have staged."""
        with self.failing(f"{self} cannot be written to"):
            self._delete_left()
        with workplace(Path(tempfile.gettempdir()), TEMPORARY) as place:
            yield place

    def _key(self, name: str) -> str:
        return f"{self._path}/{name}".lstrip("/")

    def _put_new_file(self, file: Path, key: str) -> bool:
        if file.stat().st_size <= ONE_REQUEST_BYTES:
            return self._put_new(file, key)
        staged = self._key(f"{STAGED}/{uuid4()}")
        try:
            obstore.put(self._store, staged, file)
            obstore.copy(self._store, staged, key, overwrite=False)
        except AlreadyExistsError:
            return False
        finally:
            self._delete(staged)
        return True

    def _put_new(self, content: bytes | Path, key: str) -> bool:
        try:
            obstore.put(self._store, key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def _delete(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return  # As some stores say.

    def _delete_left(self) -> None:
        now = datetime.now(UTC)
        for listed in obstore.list(self._store, self._key(STAGED)):
            for each in listed:
                if now - each["last_modified"] > LEFT_AFTER:
                    self._delete(each["path"])


class _Reading(io.RawIOBase):
    """An object as Python's own files are: obstore's lack what pyarrow asks for."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._file = obstore.open_reader(store, key)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        found = memoryview(self._file.read(len(buffer)))
        buffer[: len(found)] = found
        return len(found)
