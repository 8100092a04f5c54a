"""What a format is to the source kind ``files``: a function from a file to Arrow batches.

A function of the kind ``file_format`` in ``plugins`` takes an ``Asked`` and yields record batches in the order of the
file. It raises ``DataError`` with the file's name for content that is not what the format says; whatever else a library
raises over a file's bytes is turned into one by ``FormatFiles``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import IO, Any

from penstock import plugins
from penstock.arrow import pa
from penstock.errors import DataError, MissingExtraError, PenstockError, TransientError
from penstock.extract.files.formats.known import FORMATS
from penstock.extract.files.formats.misfits import Misfits, misfits
from penstock.extract.files.listing import Content, File
from penstock.extract.port import ArrowBatch, byte_size
from penstock.values import dataclass

_BUFFER = 2**20


@dataclass(frozen=True, slots=True)
class Asked:
    """One file that is to be read.

    Attributes:
        file: The file.
        content: What its bytes told.
        options: What the user says of it.
        batch_bytes: About how many bytes a batch may hold.
        notes: Gets sentences for the user.
        personal: Columns that hold personal values, so that no line may be kept as it is.
        misfits: Takes the lines that are no rows.
    """

    file: File
    content: Content
    options: Mapping[str, Any]
    batch_bytes: int
    notes: list[str] = field(compare=False)
    personal: tuple[str, ...] = ()
    misfits: Misfits = field(default_factory=Misfits, compare=False)

    def stream(self) -> IO[bytes]:
        """Open the file from its first byte on, unpacked; its compression is told by its content."""
        if self.content.compression is None:
            return open(self.file.path, "rb", buffering=_BUFFER)
        return io.BufferedReader(pa.input_stream(self.file.path, compression=self.content.compression), _BUFFER)


@dataclass(frozen=True, slots=True)
class FormatFiles:
    """Files of one format, which are read one after the other.

    Attributes:
        format: Its name.
        members: The files, and what their bytes told.
        options: What the user says of them.
        notes: Gets sentences for the user.
        personal: Columns that hold personal values.
    """

    format: str
    members: tuple[tuple[File, Content], ...]
    options: Mapping[str, Any]
    notes: list[str] = field(compare=False)
    personal: tuple[str, ...] = ()

    def batches(self, batch_bytes: int) -> Iterator[ArrowBatch]:
        """Yield the rows in their order, about ``batch_bytes`` at a time.

        Raises:
            DataError: A file is not what its format says.
            MissingExtraError: The format's library is not installed.
            TransientError: A file vanished.
        """
        try:
            read = plugins.find("file_format", self.format)
        except ImportError:
            raise MissingExtraError(f"Reading {self.members[0][0].key}", "files") from None
        for file, content in self.members:
            origin = (file.key, {"bytes": file.bytes, "sha256": content.checksum()})
            if content.compression is not None and not FORMATS[self.format].unpacked:
                raise DataError(
                    f"{file.key} is compressed as a whole ({content.compression}), and {self.format} is not read so",
                    remedy="Unpack it first",
                )
            aside = misfits(file.key, self.options, hidden=bool(self.personal))
            asked = Asked(file, content, self.options, batch_bytes, self.notes, self.personal, aside)
            rows, last = 0, None
            for batch in _guarded(read(asked), file, self.format):
                rows, last = rows + batch.num_rows, batch
                for piece in pieces(batch, batch_bytes):
                    yield ArrowBatch(piece, origin, aside.drain())
            aside.judge(rows)
            left = aside.drain()
            if left is not None and last is not None:
                yield ArrowBatch(last.slice(0, 0), origin, left)


def pieces(batch: pa.RecordBatch, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch into slices of about ``batch_bytes``; one of no rows stays, for its columns."""
    rows = batch.num_rows
    step = max(1, rows * batch_bytes // max(1, byte_size(batch))) if rows else 1
    if step >= rows:
        yield batch
        return
    for start in range(0, rows, step):
        yield batch.slice(start, step)


def _guarded(batches: Iterator[pa.RecordBatch], file: File, format_: str) -> Iterator[pa.RecordBatch]:
    """Pass batches on; an error of the format's library becomes a sentence without a value of the file."""
    try:
        for batch in batches:
            # Names of columns that are no UTF-8 would be met by whoever asks for them first.
            _ = batch.schema.names
            yield batch
    except (PenstockError, GeneratorExit):
        raise
    except FileNotFoundError:
        raise TransientError(f"The file {file.key} vanished before it was read") from None
    except MemoryError:
        raise DataError(
            f"{file.key} asks for more memory than there is: it is damaged, or made to harm",
        ) from None
    except Exception as error:
        raise DataError(
            f"{file.key} is no whole {format_} file, or is damaged ({type(error).__name__})",
            remedy="Write or fetch the file anew, or name the right format with format=…",
        ) from error
