"""A real SFTP server on loopback that serves a folder to one user."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "reader", "pa:ss wörd"


@dataclass(frozen=True)
class SftpServer:
    """A running server: its port, a file with its key, a key that it lets in."""

    port: int
    known_hosts: Path
    private_key: str

    def url(self, path: str = "") -> str:
        """Return the URL for the user."""
        return f"sftp://{USER}@127.0.0.1:{self.port}/{path}"


class _Guard(asyncssh.SSHServer):
    def __init__(self, key: asyncssh.SSHKey) -> None:
        self._key = key

    def begin_auth(self, _: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key.public_data == self._key.public_data


@contextmanager
def serving(folder: Path, scratch: Path) -> Iterator[SftpServer]:
    """Serve a folder as long as the context lasts."""
    host, mine = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    class Rooted(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(folder).encode())

    async def start() -> Any:
        return await asyncssh.create_server(
            lambda: _Guard(mine), "127.0.0.1", 0, server_host_keys=[host], sftp_factory=Rooted
        )

    server = run(start())
    try:
        port = server.sockets[0].getsockname()[1]
        known = scratch / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {host.export_public_key().decode()}")
        yield SftpServer(port, known, mine.export_private_key().decode())
    finally:
        server.close()
        run(server.wait_closed())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
