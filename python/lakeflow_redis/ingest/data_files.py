"""Data files of a Delta table: record batches in, Parquet files and their add actions out.

`deltalake.write_deltalake` would do this too, but it gathers 8,192 rows per core before it
writes any, however large they are: 2 GB of values of 100 kB each took it 4 GB of memory,
and take this module 80 MB. It also holds back Ctrl-C until it is done, and turns an exception of
the source into text. Here the caller keeps the loop, so that both just work.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from lakeflow_redis.ingest.durable import sync_folder
from lakeflow_redis.ingest.statistics import statistics_of

TARGET_FILE_BYTES = 128 * 2**20
"""Where a file ends and the next begins: large enough to scan, small enough to rewrite."""

COMPRESSION = "zstd"
"""Half of snappy's size at the same speed, for the JSON and text that Redis tends to hold."""


class DataFiles:
    """Writes record batches into Parquet files that no commit names yet.

    A context manager: what was not taken, to be committed, is removed when it is left. Each
    batch is one row group, so that memory is bounded by the batches' size.

    Args:
        folder: the Delta table's folder; made on the first write.
        schema: the columns of all batches.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._run = uuid4()
        self._paths: list[Path] = []
        self._file: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None
        self._added: list[AddAction] = []
        self.rows = 0
        """Rows written so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()

    def finish(self) -> None:
        """Complete the files, and see that they are on the disk.

        Raises:
            OSError: the disk is full, or gone.
        """
        self._end_file()

    def take(self) -> list[AddAction]:
        """Hand over what to commit: an action for each file. They are the committer's now."""
        self._paths = []
        added, self._added = self._added, []
        return added

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch, and end the file where it has become large enough.

        Raises:
            OSError: the folder cannot be written to, or the disk is full.
        """
        if batch.num_rows == 0:
            return
        file, writer = self._open_file()
        writer.write_batch(batch)
        self.rows += batch.num_rows
        if file.tell() >= TARGET_FILE_BYTES:
            self._end_file()

    def _open_file(self) -> tuple[BinaryIO, pq.ParquetWriter]:
        if self._file is None or self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"part-{len(self._paths):05d}-{self._run}-c000.{COMPRESSION}.parquet"
            path = self._folder / name
            self._file = path.open("xb")
            self._paths.append(path)
            self._writer = pq.ParquetWriter(self._file, self._schema, compression=COMPRESSION)
        return self._file, self._writer

    def _end_file(self) -> None:
        if self._file is None or self._writer is None:
            return
        self._writer.close()
        self._file.flush()
        # A commit must not outlive, in a power cut, the data that it names.
        os.fsync(self._file.fileno())
        self._file.close()
        sync_folder(self._folder)
        self._file = self._writer = None
        self._added.append(_add_action(self._paths[-1]))

    def _discard(self) -> None:
        if self._file is not None and self._writer is not None:
            # Closed, or it would try by itself when the file is gone. On a full disk it
            # cannot write its footer, which nobody will read.
            with suppress(OSError):
                self._writer.close()
            with suppress(OSError):
                self._file.close()
        for path in self._paths:
            path.unlink(missing_ok=True)


def _add_action(path: Path) -> AddAction:
    return AddAction(
        path=path.name,
        size=path.stat().st_size,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=statistics_of(path),
    )
