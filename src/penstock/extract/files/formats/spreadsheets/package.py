"""The zip file that a workbook is: its parts as streams, none of them out of proportion."""

from __future__ import annotations

import posixpath
import zipfile
from typing import IO

from penstock.errors import DataError
from penstock.extract.files.formats import markup
from penstock.extract.files.formats.spreadsheets.workbook import Area, Sheet

_LARGE = 256 * 2**20
_SHARE = 400
"""How many times its packed size a large part may have; sheets have ten to thirty times."""
_MOST = 64 * 2**30


class Package:
    """A workbook's zip file.

    Args:
        path: Where it is.
        key: Its name in messages.

    Raises:
        DataError: It is encrypted, or unpacks out of proportion.
    """

    def __init__(self, path: str, key: str) -> None:
        self._key = key
        self._zip = zipfile.ZipFile(path)
        try:
            self._check()
        except BaseException:
            self._zip.close()
            raise
        self._names = {name.lower(): name for name in self._zip.namelist()}

    def has(self, name: str) -> bool:
        """Say whether there is a part of that name."""
        return name.lower() in self._names

    def open(self, name: str) -> IO[bytes]:
        """Open a part.

        Raises:
            DataError: There is none of that name.
        """
        found = self._names.get(name.lower())
        if found is None:
            raise DataError(f"{self._key} lacks its part {name}: it is damaged")
        return self._zip.open(found)

    def read(self, name: str) -> bytes:
        """Return a small part.

        Raises:
            DataError: There is none, or it is too large.
        """
        with self.open(name) as part:
            data = part.read(markup.LARGEST + 1)
        if len(data) > markup.LARGEST:
            raise DataError(f"{self._key} has an unreasonably large part {name}: it is damaged, or made to harm")
        return data

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Return what a part refers to: id to (the last word of its kind, the part)."""
        folder, file = posixpath.split(name)
        path = posixpath.join(folder, "_rels", f"{file}.rels")
        if not self.has(path):
            return {}
        found: dict[str, tuple[str, str]] = {}

        def start(tag: str, given: dict[str, str]) -> None:
            if tag.endswith("}Relationship") and given.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, given.get("Target", ""))).lstrip("/")
                found[given.get("Id", "")] = (given.get("Type", "").rpartition("/")[2], target)

        made = markup.parser(f"{self._key} ({path})")
        made.StartElementHandler = start
        with self.open(path) as part:
            for _ in markup.parse(part, made, f"{self._key} ({path})"):
                pass
        return found

    def close(self) -> None:
        """Release the file."""
        self._zip.close()

    def _check(self) -> None:
        whole = 0
        for part in self._zip.infolist():
            whole += part.file_size
            if part.flag_bits & 1:
                raise locked(self._key)
            if (part.file_size > _LARGE and part.file_size > _SHARE * part.compress_size) or whole > _MOST:
                raise DataError(
                    f"{self._key} unpacks to {whole:,} bytes or more, out of proportion to its size: made to harm",
                    value=f"{part.filename}: {part.compress_size:,} bytes, {part.file_size:,} unpacked",
                )


def locked(key: str) -> DataError:
    """Return the sentence for a workbook with a password."""
    return DataError(f"{key} is locked with a password", remedy="Save it without one")


class PackagedWorkbook:
    """What workbooks in a zip file share; see ``Workbook``.

    Args:
        package: The zip file, which it closes.
        key: Its name in messages.
    """

    def __init__(self, package: Package, key: str) -> None:
        self._package = package
        self._key = key
        self._merged: dict[str, list[Area]] = {}

    def merged(self, sheet: Sheet) -> list[Area]:
        """Return the merged cells; see the port."""
        return self._merged.get(sheet.part, [])

    def close(self) -> None:
        """Release the file."""
        self._package.close()
