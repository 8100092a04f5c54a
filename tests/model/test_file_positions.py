"""Positions of files: each load keeps what it read and follows another; the chain says the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from penstock.errors import NotFoundError
from penstock.model import positions


def state(size: int) -> dict[str, Any]:
    return {"bytes": size, "mtime_ns": size, "sha256": str(size)}


def test_the_chain_of_loads_says_which_files_are_known() -> None:
    kept: dict[int, Mapping[str, Any]] = {}
    kept[3] = positions.after(None, {"a": state(1), "b": state(2)}, [])
    first = positions.whole(3, kept.get, "t")
    assert first == {"files": {"a": state(1), "b": state(2)}, "load": 3}
    kept[7] = positions.after(first, {"b": state(22), "c": state(3)}, ["a"])
    assert kept[7] == {"files": {"b": state(22), "c": state(3)}, "gone": ["a"], "follows": 3}
    second = positions.whole(7, kept.get, "t")
    assert second == {"files": {"b": state(22), "c": state(3)}, "load": 7}
    kept[8] = positions.after(second, {"a": state(5), "b": state(22), "c": state(3)}, [])
    assert kept[8] == {"files": {"a": state(5)}, "follows": 7}
    assert positions.whole(8, kept.get, "t")["files"] == {"a": state(5), "b": state(22), "c": state(3)}
    assert positions.brief(positions.whole(8, kept.get, "t")) == {"load": 8}


def test_a_position_without_a_number_is_kept_whole() -> None:
    before = {"files": {"a": state(1), "b": state(2)}}
    assert positions.after(before, {"b": state(3)}, ["a"]) == {"files": {"b": state(3)}}


def test_positions_of_other_sources_stay_as_they_are() -> None:
    cursor = {"cursor": {"value": "7"}}
    assert positions.whole(3, {3: cursor}.get, "t") == cursor
    assert positions.brief(cursor) == cursor
    assert positions.brief(None) is None


@pytest.mark.parametrize("follows", [2, 5, 6])
def test_a_chain_that_is_broken_or_runs_in_a_circle_is_no_reason_to_read_all_again(follows: int) -> None:
    kept = {5: {"files": {}, "follows": follows}, 6: {"files": {}, "follows": 5}}
    with pytest.raises(NotFoundError, match=r"Which files of t were read before cannot be told"):
        positions.whole(5, kept.get, "t")
