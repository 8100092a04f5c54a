"""Rows that wait to be landed are the same in memory and on the disk."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pytest

from penstock.extract.streams.changes.holding import Spool


@pytest.mark.parametrize("most", [None, 0, 1000])
def test_rows_of_several_shapes_come_back_in_order_as_often_as_asked(tmp_path: Path, most: int | None) -> None:
    spool = Spool(most, str(tmp_path))
    identity = pa.array([uuid.UUID(int=7).bytes], pa.uuid())
    given = [pa.record_batch({"n": [number] * 50}) for number in range(30)]
    given[10:10] = [pa.record_batch({"n": ["text"], "id": identity})]
    for batch in given:
        spool.add(batch)
    for _ in range(2):
        assert list(spool.batches()) == given
    assert list(tmp_path.iterdir()) == []
    spool.close()
    assert list(spool.batches()) == []
