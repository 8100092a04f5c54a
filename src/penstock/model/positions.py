"""Positions of sources that are made of files: a load keeps what it read, and names the load that it follows.

Kept whole in each load, the list of 100,000 files would be written again for each new one. So a load's position is

    {"files": {"in/3.csv": {"bytes": …, "mtime_ns": …, "sha256": …}}, "gone": ["in/1.csv"], "follows": 41}

and the whole is what the chain of loads says, back to one that follows none. All of it stands in the manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.errors import NotFoundError

Position = Mapping[str, Any]


def whole(number: int, of: Callable[[int], Position | None], table: str) -> Position:
    """Return the whole position after a load, with its number as ``load``; other positions stay as they are.

    Args:
        number: The load.
        of: Load number to its position.
        table: The table, for the message.

    Raises:
        NotFoundError: A load of the chain is not known.
    """
    found = of(number) or {}
    if not isinstance(found.get("files"), Mapping):
        return found
    chain, place = [found], number
    while (before := chain[-1].get("follows")) is not None:
        position = of(int(before)) if before < place else None
        if position is None:
            raise NotFoundError(
                f"Which files of {table} were read before cannot be told: load {before}, which load {place} follows, "
                "is not known",
                remedy="penstock doctor rebuilds the catalog from the lake",
            )
        chain.append(position)
        place = before
    files: dict[str, Any] = {}
    for position in reversed(chain):
        for key in position.get("gone", ()):
            files.pop(key, None)
        files.update(position["files"])
    return {"files": files, "load": number}


def brief(position: Position | None) -> Position | None:
    """Return what stands for a whole position in a manifest: the load that it is the state after."""
    return {"load": position["load"]} if position is not None and "load" in position else position


def files(position: Position | None) -> Mapping[str, Any]:
    """Return the known files of a whole position."""
    found: Mapping[str, Any] = (position or {}).get("files") or {}
    return found


def after(position: Position | None, read: Mapping[str, Any], gone: Sequence[str]) -> Position:
    """Return the position after reading files: what changed where it follows a load, else the whole.

    Args:
        position: The position that reading began from.
        read: The files that were read, with their states.
        gone: Files that are no more.
    """
    known = files(position)
    if position is None or "load" not in position:
        missing = set(gone)
        return {"files": {**{key: state for key, state in known.items() if key not in missing}, **read}}
    changed = {key: state for key, state in read.items() if known.get(key) != state}
    told = {"gone": list(gone)} if gone else {}
    return {"files": changed, **told, "follows": position["load"]}
