"""Files of SFTP servers. The server's key must be known: nothing is sent to a host that nobody vouched for."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from penstock.errors import ConfigurationError, MissingExtraError, PenstockError, TransientError
from penstock.extract.files.places.opening import user_and_host
from penstock.extract.files.places.port import CHUNK, Access, Address, Listed, changed, forbidden, vanished

try:
    import asyncssh
except ImportError:  # pragma: no cover - told where the place is opened
    asyncssh = None  # type: ignore[assignment]

Answer = TypeVar("Answer")
_PATIENCE = 60.0


class SftpPlace:
    """An SFTP server.

    Args:
        where: Its address; the path is counted from the server's root, as in ``sftp://user@host/data/in/*.csv``.
        access: ``user``; ``password``, or ``private_key`` (its text) or ``private_key_file``, with ``key_password``;
            ``known_hosts``, a file of host keys (the user's own by default); ``timeout`` in seconds.
    """

    def __init__(self, where: Address, access: Access) -> None:
        if asyncssh is None:
            raise MissingExtraError("Reading files over SFTP", "sftp")
        user, self._host, port = user_and_host(where.host)
        self.address = f"sftp://{self._host}{'' if port is None else f':{port}'}/"
        self._timeout = float(access.options.get("timeout", _PATIENCE))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-sftp", daemon=True)
        self._thread.start()
        self._connection: Any = None
        try:
            self._run(self._connect(_settings(access, user, port)))
        except BaseException:
            self.close()
            raise

    def one(self, name: str) -> Listed | None:
        """Ask for one file; see the port."""
        found = self._run(self._stat(name))
        return None if found is None or not stat.S_ISREG(found.permissions or stat.S_IFREG) else _listed(name, found)

    def below(self, folder: str) -> Iterator[Listed]:
        """Yield the files of a folder and of those in it; links are not followed; see the port."""
        waiting = [folder.strip("/")]
        while waiting:
            here = waiting.pop()
            for name, attributes in self._run(self._folder(here)):
                path = f"{here}/{name}" if here else name
                if stat.S_ISDIR(attributes.permissions or 0):
                    waiting.append(path)
                elif stat.S_ISREG(attributes.permissions or 0):
                    yield _listed(path, attributes)

    def read(self, listed: Listed) -> Iterator[bytes]:
        """Yield a file's bytes, then look whether it is still what was listed; see the port."""
        key, count = self.address + listed.name, 0
        try:
            file = self._run(self._files.open("/" + listed.name, "rb", block_size=2**18, max_requests=16))
        except FileNotFoundError:
            raise vanished(key) from None
        try:
            while chunk := self._run(file.read(CHUNK)):
                count += len(chunk)
                yield chunk
        finally:
            self._run(file.close())
        after = self.one(listed.name)
        if after is None:
            raise vanished(key)
        if after != listed or count != listed.bytes:
            raise changed(key, f"{listed.bytes} bytes", f"{after.bytes} bytes, {count} read")

    def close(self) -> None:
        """Hang up and end the thread."""
        if self._loop.is_closed():
            return
        with suppress(Exception):
            # What was read is whole already; how the line ends does not matter.
            asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(self._timeout)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(self, settings: dict[str, Any]) -> None:
        self._connection = await asyncssh.connect(self._host, **settings)
        self._files = await self._connection.start_sftp_client()

    async def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()

    async def _stat(self, name: str) -> Any:
        try:
            return await self._files.stat("/" + name)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    async def _folder(self, folder: str) -> list[tuple[str, Any]]:
        try:
            entries = await self._files.readdir("/" + folder)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return []
        return [(str(entry.filename), entry.attrs) for entry in entries if entry.filename not in (".", "..")]

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Carry out one request in the thread of the connection."""
        future = asyncio.run_coroutine_threadsafe(self._sentences(work), self._loop)
        try:
            return future.result(self._timeout)
        except TimeoutError:
            future.cancel()
            raise TransientError(f"{self.address} did not answer within {self._timeout:.0f} seconds") from None

    async def _sentences(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return await work
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            raise FileNotFoundError from None
        except (asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied):
            raise forbidden(self.address) from None
        except asyncssh.HostKeyNotVerifiable:
            raise ConfigurationError(
                f"The key of the server {self.address} is not known, so nothing was sent to it",
                remedy="Compare its key and add it: ssh-keyscan HOST >> known_hosts, and name known_hosts=…",
            ) from None
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> PenstockError:
        return TransientError(f"{self.address} cannot be read: {type(error).__name__}")


def _settings(access: Access, user: str | None, port: int | None) -> dict[str, Any]:
    options, secrets = access.options, access.secrets
    settings: dict[str, Any] = {"port": port or 22, "config": None, "keepalive_interval": 15, "connect_timeout": 20}
    if user or options.get("user"):
        settings["username"] = user or options["user"]
    if secrets.get("password"):
        settings["password"] = secrets["password"]
    if options.get("known_hosts"):
        settings["known_hosts"] = str(Path(access.root, str(options["known_hosts"])).expanduser())
    passphrase = secrets.get("key_password")
    try:
        if secrets.get("private_key"):
            settings["client_keys"] = [asyncssh.import_private_key(secrets["private_key"], passphrase)]
        elif options.get("private_key_file"):
            path = Path(access.root, str(options["private_key_file"])).expanduser()
            settings["client_keys"] = [asyncssh.read_private_key(path, passphrase)]
        elif secrets.get("password"):
            # A key of the user that happens to lie here is not tried before the password that was given.
            settings["client_keys"] = None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError):
        raise ConfigurationError("The private key of the SFTP connection cannot be read") from None
    return settings


def _listed(name: str, attributes: Any) -> Listed:
    nanoseconds = int(attributes.mtime or 0) * 10**9 + int(attributes.mtime_ns or 0)
    return Listed(name, int(attributes.size or 0), nanoseconds)
