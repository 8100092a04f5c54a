"""What lets clients of Google's XML interface write to fake-gcs-server, which takes writes by its JSON interface alone.

Requests that read are passed on; puts, copies, multipart uploads and deletions are said in JSON's terms.
"""

from __future__ import annotations

import hashlib
import http.server
import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx

_KEPT = ("etag", "last-modified", "content-type", "content-range", "x-goog-generation", "location")


@contextmanager
def writable(server: str) -> Iterator[str]:
    """Serve both interfaces in front of a server; gives the address."""
    uploads: dict[str, dict[int, bytes]] = {}
    numbers = itertools.count(1)

    class Handler(_Handler):
        pass

    with httpx.Client(base_url=server, timeout=60) as client:
        Handler.client, Handler.uploads, Handler.numbers = client, uploads, numbers
        front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        front.daemon_threads = True
        thread = threading.Thread(target=front.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{front.server_port}"
        finally:
            front.shutdown()
            front.server_close()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    client: httpx.Client
    uploads: dict[str, dict[int, bytes]]
    numbers: Any

    def do_GET(self) -> None:
        asked = {name: value for name, value in self.headers.items() if name.lower() in ("range", "if-match")}
        found = self.client.request(self.command, self.path, headers=asked)
        after = parse_qs(urlsplit(self.path).query).get("start-after")
        if after:
            # The server lists from the beginning all the same.
            listed = re.sub(
                r"<Contents><Key>(.*?)</Key>.*?</Contents>",
                lambda each: each[0] if unescape(each[1]) > after[0] else "",
                found.text,
            )
            found = httpx.Response(200, text=listed, headers={"content-type": "application/xml"})
        self.answer(found)

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self) -> None:
        path = urlsplit(self.path).path
        self.answer(self.client.delete(self.path if path.startswith("/storage/") else _object(path)))

    def do_PUT(self) -> None:
        data, path = self.body(), urlsplit(self.path).path
        asked = parse_qs(urlsplit(self.path).query)
        if "uploadId" in asked:
            self.uploads[asked["uploadId"][0]][int(asked["partNumber"][0])] = data
            self.answer(httpx.Response(200, headers={"etag": f'"{hashlib.md5(data).hexdigest()}"'}))
        elif "x-goog-copy-source" in self.headers:
            source = self.headers["x-goog-copy-source"]
            bucket, _, name = path[1:].partition("/")
            target = f"/copyTo/b/{bucket}/o/{quote(unquote(name), safe='')}"
            self.answer(self.client.post(_object("/" + source.lstrip("/")) + target))
        else:
            self.answer(self.upload(path, data))

    def do_POST(self) -> None:
        data, parts = self.body(), urlsplit(self.path)
        asked = parse_qs(parts.query, keep_blank_values=True)
        if parts.path.startswith(("/storage/", "/upload/")):
            self.answer(self.client.post(self.path, content=data, headers={"Content-Type": "application/json"}))
        elif "uploads" in asked:
            name = str(next(self.numbers))
            self.uploads[name] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            self.answer(httpx.Response(200, text=text))
        else:
            pieces = self.uploads.pop(asked["uploadId"][0])
            made = self.upload(parts.path, b"".join(pieces[number] for number in sorted(pieces)))
            tag = made.headers["etag"]
            text = f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
            self.answer(httpx.Response(made.status_code, text=text))

    def upload(self, path: str, data: bytes) -> httpx.Response:
        bucket, _, name = path[1:].partition("/")
        given = {"uploadType": "media", "name": unquote(name)}
        if "x-goog-if-generation-match" in self.headers:
            given["ifGenerationMatch"] = self.headers["x-goog-if-generation-match"]
        made = self.client.post(f"/upload/storage/v1/b/{unquote(bucket)}/o", params=given, content=data)
        if made.status_code != 200:
            return made
        told = made.json()
        return httpx.Response(200, headers={"etag": f'"{told["etag"]}"', "x-goog-generation": told["generation"]})

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, found: httpx.Response) -> None:
        if b"no bucket named" in found.content:
            found = httpx.Response(404, text="<Error><Code>NoSuchBucket</Code></Error>")
        length = found.headers.get("content-length") if self.command == "HEAD" else str(len(found.content))
        self.send_response(found.status_code)
        for name in _KEPT:
            if name in found.headers:
                self.send_header(name, found.headers[name])
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.content)

    def log_message(self, *_: object) -> None:
        pass


def _object(path: str) -> str:
    bucket, _, name = path[1:].partition("/")
    return f"/storage/v1/b/{unquote(bucket)}/o/{quote(unquote(name), safe='')}"
