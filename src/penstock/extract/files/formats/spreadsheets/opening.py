"""Which kind of workbook a file is, by its bytes whatever its ending says."""

from __future__ import annotations

import zipfile

from penstock.errors import DataError
from penstock.extract.files.formats.port import Asked
from penstock.extract.files.formats.spreadsheets.package import Package, locked
from penstock.extract.files.formats.spreadsheets.workbook import Workbook

_ZIP = b"PK\x03\x04"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD = (b"\x09\x08", b"\x09\x04", b"\x09\x02", b"\x09\x00")
_LOCKED = "EncryptedPackage".encode("utf-16-le")
_CHUNK = 2**20


def workbook(asked: Asked) -> Workbook:
    """Open a workbook.

    Raises:
        DataError: It is none, or is locked.
    """
    with asked.stream() as file:
        start = file.read(8)
    key = asked.file.key
    if start.startswith(_ZIP):
        return _packed(asked)
    if start == _COMPOUND and _is_locked(asked):
        raise locked(key)
    if start == _COMPOUND or start.startswith(_OLD):
        from penstock.extract.files.formats.spreadsheets.xls import Xls

        return Xls(asked.file.path, key)
    raise DataError(
        f"{key} is no workbook, whatever its ending says",
        valid="xlsx, xlsm, xlsb, xls, ods",
        remedy="Many programs save CSV or HTML under such a name; name what it is with format=…",
    )


def _packed(asked: Asked) -> Workbook:
    key = asked.file.key
    try:
        package = Package(asked.file.path, key)
    except zipfile.BadZipFile:
        raise DataError(f"{key} is no whole workbook: it is cut off or damaged", remedy="Fetch it anew") from None
    main = next((part for kind, part in package.relations("").values() if kind == "officeDocument"), "")
    try:
        if package.has("content.xml"):
            from penstock.extract.files.formats.spreadsheets.ods import Ods

            return Ods(package, key)
        if main.endswith(".bin"):
            from penstock.extract.files.formats.spreadsheets.xlsb import Xlsb

            return Xlsb(package, main, key)
        if main.endswith("workbook.xml"):
            from penstock.extract.files.formats.spreadsheets.xlsx import Xlsx

            return Xlsx(package, main, key)
    except BaseException:
        package.close()
        raise
    package.close()
    raise DataError(f"{key} is a zip file, but no workbook", valid="xlsx, xlsm, xlsb, ods")


def _is_locked(asked: Asked) -> bool:
    tail = b""
    with asked.stream() as file:
        while chunk := file.read(_CHUNK):
            if _LOCKED in tail + chunk:
                return True
            tail = chunk[-len(_LOCKED) :]
    return False
