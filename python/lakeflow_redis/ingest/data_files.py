"""Parquet files of record batches, each as large as a scan wants it.

`deltalake.write_deltalake` would do this too, but it gathers 8,192 rows per core before it
writes any, however large they are: 2 GB of values of 100 kB each took it 4 GB of memory,
and take this module 80 MB. It also holds back Ctrl-C until it is done, and turns an exception of
the source into text. Here the caller keeps the loop, so that both just work.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

TARGET_FILE_BYTES = 128 * 2**20
"""Where a file ends and the next begins: large enough to scan, small enough to rewrite."""

COMPRESSION = "zstd"
"""Half of snappy's size at the same speed, for the JSON and text that Redis tends to hold."""

SAMPLE_ROWS = 1_000
"""Rows of a file by which its columns are judged."""


class DataFiles:
    """Writes record batches into Parquet files of a local folder, a row group for each batch.

    A context manager, which closes what is open when it is left; whose folder it is removes the
    files that nobody wants.

    Args:
        folder: where to write.
        schema: the columns of all batches.
        target_bytes: where a file ends and the next begins, or None for one file.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, target_bytes: int | None = TARGET_FILE_BYTES
    ) -> None:
        self.folder = folder
        self._schema = schema
        self._target_bytes = target_bytes
        self._run = uuid4()
        self._file: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None
        self.paths: list[Path] = []
        """The files so far, all of them complete after `finish`."""
        self.rows = 0
        """Rows written so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None and self._writer is not None:
            # Closed, or it would try by itself when the file is gone. On a full disk it
            # cannot write its footer, which nobody will read.
            with suppress(OSError):
                self._writer.close()
            with suppress(OSError):
                self._file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch, and end the file where it has become large enough.

        Raises:
            OSError: the folder cannot be written to, or the disk is full.
        """
        if batch.num_rows == 0:
            return
        file, writer = self._open_file(batch)
        with self._naming():
            writer.write_batch(batch)
        self.rows += batch.num_rows
        if self._target_bytes is not None and file.tell() >= self._target_bytes:
            self.finish()

    def finish(self, metadata: dict[str, str] | None = None) -> None:
        """Complete the file that is open.

        Args:
            metadata: what its footer is to say besides, by key.

        Raises:
            OSError: the disk is full, or gone.
        """
        if self._file is None or self._writer is None:
            return
        if metadata:
            self._writer.add_key_value_metadata(metadata)
        with self._naming():
            self._writer.close()
            self._file.close()
        self._file = self._writer = None

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Say in errors of the system which file it was; a write alone does not."""
        try:
            yield
        except OSError as error:
            if error.errno is not None and error.filename is None:
                error.filename = str(self.paths[-1])
            raise

    def open(self) -> None:
        """Begin a file though there may be no row for it."""
        self._open_file(pa.RecordBatch.from_pylist([], self._schema))

    def _open_file(self, first: pa.RecordBatch) -> tuple[BinaryIO, pq.ParquetWriter]:
        if self._file is None or self._writer is None:
            name = f"part-{len(self.paths):05d}-{self._run}-c000.{COMPRESSION}.parquet"
            path = self.folder / name
            self._file = path.open("xb")
            self.paths.append(path)
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression=COMPRESSION,
                use_dictionary=_repeating(first),
            )
        return self._file, self._writer


def _repeating(batch: pa.RecordBatch) -> list[str]:
    """The columns whose values repeat.

    To others a dictionary adds its own size, and a fifth to the time of writing: where a batch is a row group, it
    seldom becomes so large that Parquet gives it up.
    """
    sample = batch.slice(0, SAMPLE_ROWS)
    return [
        name
        for name, column in zip(sample.schema.names, sample.columns, strict=True)
        if not pa.types.is_nested(column.type) and 2 * len(column.unique()) <= sample.num_rows
    ]
