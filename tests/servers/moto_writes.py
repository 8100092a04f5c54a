"""Run by moto's own Python: its server with one write at a time.

Moto looks whether an object is there, and puts it a moment later; S3 does both at once for who says ``If-None-Match``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

_APPLICATION = DomainDispatcherApplication(create_backend_app)
_TURN = threading.Lock()


def _answer(environment: dict[str, Any], start: Any) -> Iterable[bytes]:
    if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
        return _APPLICATION(environment, start)
    with _TURN:
        return _APPLICATION(environment, start)


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), _answer, threaded=True, request_handler=MotoRequestHandler)
