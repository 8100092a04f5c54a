"""Objects in a local folder: written whole or not at all, created once, listed in the order of their paths."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from penstock.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    PenstockError,
    TransientError,
)
from penstock.stores.port import ObjectInfo, Objects

TEMPORARY = ".penstock-temporary-"
"""How the name of a file begins that is not whole yet; a crash may leave one, nothing reads it."""

_REFLINK = 0x40049409
_TOLD = re.compile(r"\(os error (\d+)\)")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
)


class LocalObjects:
    """Named bytes below a folder.

    Args:
        root: The folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(os.fspath(root))

    def get(self, path: str) -> bytes:
        """Return the bytes; raises NotFoundError."""
        place = self._place(path)
        try:
            with open(place, "rb") as file:
                return file.read()
        except OSError as error:
            raise file_error(error, place, "read") from error

    def expect(self, paths: Sequence[str]) -> None:
        """Files of a disk are read when they are asked for."""

    def create(self, path: str, data: bytes) -> None:
        """Write a new object, durable and whole before it is visible; raises AlreadyExistsError if it is there."""
        place = self._place(path)
        if os.path.lexists(place):
            raise AlreadyExistsError("An object of this name exists already, and is never overwritten", value=path)
        with self._written(place, data) as temporary:
            try:
                os.link(temporary, place)
            except FileExistsError:
                raise AlreadyExistsError(
                    "An object of this name exists already, and is never overwritten", value=path
                ) from None

    def replace(self, path: str, data: bytes) -> None:
        """Write an object atomically over whatever is there."""
        place = self._place(path)
        with self._written(place, data) as temporary:
            os.replace(temporary, place)

    def exists(self, path: str) -> bool:
        """Say whether the object is there."""
        return os.path.isfile(self._place(path))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose path begins with ``prefix``, in the order of their paths; no temporaries."""
        folder = prefix.rpartition("/")[0]
        start = self._place(folder) if folder else self.root
        yield from _walk(start, folder + "/" if folder else "", prefix)

    def remove(self, path: str) -> None:
        """Delete an object; quiet if it is not there."""
        place = self._place(path)
        try:
            os.unlink(place)
        except FileNotFoundError:
            return
        except OSError as error:
            raise file_error(error, place, "deleted") from error

    def adopt(self, source: str, path: str) -> None:
        """Bring a file of this machine under ``path``: linked where the disk can, else copied; durable.

        Quiet if an object of the same size is there already; any other is replaced.
        """
        place = self._place(path)
        try:
            size = os.stat(source).st_size
        except OSError as error:
            raise file_error(error, source, "read") from error
        with contextlib.suppress(OSError):
            if os.stat(place).st_size == size:
                return
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            temporary = _temporary(place)
            try:
                _link_or_copy(source, temporary)
                os.replace(temporary, place)
            finally:
                _discard(temporary)
            sync_folder(os.path.dirname(place))
        except OSError as error:
            raise file_error(error, place, "written") from error

    def take(self, source: Objects, name: str, path: str) -> None:
        """Bring an object of another root under ``path``, as ``adopt`` does."""
        self.adopt(source.reading([name])[0], path)

    def info(self, path: str) -> ObjectInfo | None:
        """Return size and time of an object; None if it is not there."""
        try:
            status = os.stat(self._place(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return ObjectInfo(path, status.st_size, status.st_mtime)

    def holds(self, folder: str = "") -> bool:
        """Say whether a folder is there; without a name: the root."""
        return os.path.isdir(self._place(folder.rstrip("/")) if folder else self.root)

    def folders(self) -> tuple[str, ...]:
        """Return the names of the folders right below the root, sorted."""
        try:
            with os.scandir(self.root) as found:
                return tuple(sorted(item.name for item in found if item.is_dir()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise file_error(error, self.root, "listed") from error

    def uri(self, path: str) -> str:
        """Return the absolute path of an object; makes the folder."""
        place = self._place(path)
        folder = os.path.dirname(place)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise file_error(error, folder, "made") from error
        return place

    def place(self, path: str) -> str:
        """Return the absolute path of an object; makes no folder."""
        return self._place(path)

    def reading(self, paths: Sequence[str], sizes: Sequence[int] = ()) -> tuple[str, ...]:  # noqa: ARG002
        """Return the absolute paths of objects."""
        return tuple(self._place(path) for path in paths)

    def forget(self, paths: Sequence[str]) -> None:
        """Nothing lies beside the objects."""

    def discard(self, paths: Sequence[str]) -> None:
        """Delete files, and the folders that are empty then; quiet about what is not there."""
        places = [self._place(path) for path in paths]
        for place in places:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)
        for folder in {os.path.dirname(place) for place in places}:
            # Only an empty folder can be removed so; the others refuse.
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def publish(self, paths: Sequence[str]) -> None:
        """Nothing is left to do: who writes a file makes it durable."""

    def seal(self, path: str) -> None:
        """Make a file durable, and its name in the folder."""
        sync_file(self._place(path))

    def url(self, path: str) -> str:
        """Return the absolute path of an object."""
        return self._place(path)

    def delta(self, table: str) -> tuple[str, dict[str, str] | None]:
        """Return the folder of a table; raises ConfigurationError where Delta would read another one."""
        place = os.path.join(self.root, table)
        if unquote(place) != place:
            raise ConfigurationError(
                "The path of the lake holds a percent sign that readers of Delta take for an encoded character",
                value=place,
                remedy="Move the lake into a folder of another name",
            )
        return place, None

    def _place(self, path: str) -> str:
        # What a pure path does, at a tenth of its price: a promotion of 100 tables asks 1,600 times.
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise ConfigurationError(
                f"This path leaves the folder {self.root}, or names nothing in it",
                value=path,
                valid="a relative path with forward slashes, without '..'",
            )
        return os.path.join(self.root, *parts)

    @contextlib.contextmanager
    def _written(self, place: str, data: bytes) -> Iterator[str]:
        """Write data beside ``place`` for the caller to bring to its name; then sync the folder."""
        folder = os.path.dirname(place)
        try:
            os.makedirs(folder, exist_ok=True)
            temporary = _temporary(place)
            try:
                with open(temporary, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                yield temporary
            finally:
                _discard(temporary)
            sync_folder(folder)
        except OSError as error:
            raise file_error(error, place, "written") from error


def file_error(error: OSError, path: str, done: str) -> PenstockError:
    """Return the sentence for what the operating system refused.

    Args:
        error: Its error.
        path: The file or folder.
        done: What could not be done: ``read``, ``written``, ``deleted`` …
    """
    told = _TOLD.search(str(error)) if error.errno is None else None
    if told is not None:
        # Libraries written in Rust say the number in their text alone.
        error = OSError(int(told[1]), os.strerror(int(told[1])))
    if error.errno in _FULL:
        return TransientError(
            f"{path} could not be {done}: the disk is full",
            remedy="Free some space and run again; nothing was committed",
        )
    if error.errno in _FORBIDDEN:
        return ConfigurationError(
            f"{path} could not be {done}: {error.strerror}",
            remedy=f"Give this user the right to write in {os.path.dirname(path)}",
        )
    if error.errno in (errno.ENOENT, errno.EISDIR):
        return NotFoundError(f"{path} does not exist")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return ConfigurationError(
            f"{path} could not be {done}: {error.strerror}",
            remedy="A file stands where a folder is needed; move it away",
        )
    return TransientError(f"{path} could not be {done}: {error.strerror or error}")


def sync_file(path: str) -> None:
    """Make a written file durable, and its name in the folder."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        raise file_error(error, path, "made durable") from error


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(place: str) -> str:
    return os.path.join(os.path.dirname(place), TEMPORARY + secrets.token_hex(8))


def _discard(temporary: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temporary)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        return
    with open(source, "rb") as reader, open(target, "xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _REFLINK, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 2**20)
        writer.flush()
        os.fsync(writer.fileno())


def _walk(folder: str, below: str, prefix: str) -> Iterator[ObjectInfo]:
    try:
        with os.scandir(folder) as found:
            # A folder sorts as its name with a slash, so that whole paths come out in order.
            items = sorted(found, key=lambda item: item.name + "/" if item.is_dir() else item.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise file_error(error, folder, "listed") from error
    for item in items:
        path = below + item.name
        if item.is_dir():
            inside = path + "/"
            if inside.startswith(prefix) or prefix.startswith(inside):
                yield from _walk(item.path, inside, prefix)
        elif path.startswith(prefix) and not item.name.startswith(TEMPORARY):
            with contextlib.suppress(FileNotFoundError):
                status = item.stat()
                yield ObjectInfo(path, status.st_size, status.st_mtime)
