"""Files in an empty folder, read through the source kind ``files`` as landing reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from draining import Read, read

from penstock.extract.files.source import FilesSource
from penstock.extract.port import Request
from penstock.model.specs import SourceSpec

Take = Callable[..., Read]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def run(path: str, **options: Any) -> Read:
        batch_bytes = options.pop("batch_bytes", 16 * 2**20)
        position = options.pop("position", None)
        source = SourceSpec(table="t", kind="files", options={"path": path, **options})
        request = Request(source=source, root=str(tmp_path), batch_bytes=batch_bytes, position=position)
        return read(FilesSource(), request)

    return run
