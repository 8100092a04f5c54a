"""Posting webhooks as fast as they are answered: ``python -m benchmarks.receiving bare|penstock|landing FOLDER COUNT``.

What is answered in which time is left in ``latency.json`` of the folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

CONNECTIONS = 64
_PENSTOCK = (sys.executable, "-m", "penstock")
_ANSWER = b'{"status": "ok"}'
_SECRET = b"a secret of the benchmark"
_SETTINGS = """
[project]
name = "hooks"
pipelines = ["pipeline:hooks"]
[environments.staging]
lake = "data/staging/lake"
warehouse = "data/staging/warehouse.duckdb"
[connections.shop]
url = "webhook:///hooks"
signature = "github"
secret = "${HOOKS_SECRET}"
"""
_PIPELINE = """
from penstock import Pipeline, sources
hooks = Pipeline(name="hooks", sources=[sources.webhook("shop", table="orders", stream={"every": "1s"})])
"""


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, count = sys.argv[1:]
    WORKS[work](Path(folder), int(count))


async def bare_app(
    scope: MutableMapping[str, Any],  # noqa: ARG001 - what ASGI gives
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Read the body, and answer: nothing is checked, and nothing is kept."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})


def bare(folder: Path, count: int) -> None:
    """Send to a server that does nothing: what the HTTP library can do at most."""
    command = ["-m", "uvicorn", "benchmarks.receiving:bare_app", "--lifespan", "off", "--no-access-log", "--port"]
    _send(folder, count, lambda port: [sys.executable, *command, str(port)])


def penstock(folder: Path, count: int) -> None:
    """Send to ``penstock serve``."""
    _project(folder)
    _send(folder, count, lambda port: [*_PENSTOCK, "serve", "--listen", f"127.0.0.1:{port}"])


def landing(folder: Path, count: int) -> None:
    """Send to it while a stream lands what comes."""
    _project(folder)
    with open(folder / "said", "w") as said:
        stream = subprocess.Popen([*_PENSTOCK, "stream"], cwd=folder, stdout=said, stderr=said)
        penstock(folder, count)
        stream.send_signal(signal.SIGTERM)
        if stream.wait(120):
            raise SystemExit((folder / "said").read_text())
    subprocess.run([*_PENSTOCK, "stream", "--until-end"], cwd=folder, check=True, capture_output=True)


def _project(folder: Path) -> None:
    os.environ["HOOKS_SECRET"] = _SECRET.decode()
    (folder / "penstock.toml").write_text(_SETTINGS)
    (folder / "pipeline.py").write_text(_PIPELINE)


def _send(folder: Path, count: int, command: Callable[[int], list[str]]) -> None:
    port = _free_port()
    root = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": root}
    with open(folder / "served", "w") as said:
        server = subprocess.Popen(command(port), cwd=folder, stdout=said, stderr=said, env=environment)
    try:
        taken = asyncio.run(_all(port, count, server))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    (folder / "latency.json").write_text(json.dumps(taken))


async def _all(port: int, count: int, server: subprocess.Popen[bytes]) -> dict[str, float]:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        except OSError:
            if server.poll() is not None:
                raise SystemExit("The server ended") from None
            await asyncio.sleep(0.02)
    began = time.perf_counter()
    shares = [range(first, count, CONNECTIONS) for first in range(CONNECTIONS)]
    parts = await asyncio.gather(*(_some(port, share) for share in shares))
    seconds = time.perf_counter() - began
    waits = sorted(wait for part in parts for wait in part)
    return {
        "seconds": seconds,
        "rate": count / seconds,
        "p50": waits[len(waits) // 2],
        "p99": waits[len(waits) * 99 // 100],
    }


async def _some(port: int, numbers: range) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits = []
    for number in numbers:
        body = json.dumps({"id": number, "text": "x" * 250}).encode()
        signed = hmac.new(_SECRET, body, hashlib.sha256).hexdigest()
        sent = time.perf_counter()
        writer.write(
            b"POST /hooks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"X-GitHub-Delivery: %d\r\nX-Hub-Signature-256: sha256=%b\r\nContent-Length: %d\r\n\r\n%b"
            % (number, signed.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        await reader.readexactly(len(_ANSWER))
        waits.append(time.perf_counter() - sent)
    writer.close()
    return waits


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def taken(folder: Path) -> int:
    """Return how many events an inbox holds."""
    return sum(path.read_bytes().count(b"\n") for path in (folder / "inbox/orders").glob("*.events"))


WORKS = {"bare": bare, "penstock": penstock, "landing": landing}

if __name__ == "__main__":
    main()
