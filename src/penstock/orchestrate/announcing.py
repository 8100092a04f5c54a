"""Announcing releases to other systems: a file that is created once, a message that is posted, at least once.

A release is announced after its commit point, when all of it stands. What was announced is kept in ``_announced/`` of
the staging lake; a crash between the message and that mark repeats the message, whose key is the same. What could not
be announced is told, hinders nothing, and is tried again by the next command that touches production.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import AlreadyExistsError, PenstockError
from penstock.model.codec import encode
from penstock.model.events import Waiting
from penstock.model.releases import Release
from penstock.model.specs import AnnouncementSpec
from penstock.monitor.posting import post, within
from penstock.orchestrate.workspace import Workspace
from penstock.stores.objects import LocalObjects

FOLDER = "_announced/"
_MOST = 10
"""Releases that one command announces; the others are left to the next ones."""


def announce(workspace: Workspace) -> None:
    """Announce the releases that were not announced yet, oldest first; where none ever was, the newest alone."""
    spec = workspace.announce
    if not spec:
        return
    known = workspace.catalog.releases()
    if spec.folder:
        _each(workspace, "folder", known, lambda release: _write(spec, _message(workspace, release), release))
    if spec.webhook:
        _each(workspace, "webhook", known, lambda release: _post(spec, _message(workspace, release)))


def _each(workspace: Workspace, way: str, known: Sequence[Release], tell: Any) -> None:
    objects, waiting = workspace.lake.objects, []
    for release in known:
        if objects.exists(_mark(release, way)):
            break
        waiting.append(release)
    else:
        waiting = waiting[:1]
    for release in waiting[::-1][:_MOST]:
        problem = tell(release)
        if problem:
            workspace.observer(Waiting(sentence=f"Release {release.number} was not announced: {problem}"))
            return
        with suppress(AlreadyExistsError):
            objects.create(_mark(release, way), encode({"release": release.number, "way": way}))


def _mark(release: Release, way: str) -> str:
    return f"{FOLDER}{release.number}-{way}.json"


def _message(workspace: Workspace, release: Release) -> dict[str, Any]:
    return {
        "event": "release",
        "key": f"{workspace.name}-release-{release.number}",
        "project": workspace.name,
        "release": release.number,
        "previous": release.previous,
        "rollback_to": release.rollback_to,
        "candidate": release.candidate,
        "pipeline": release.pipeline,
        "at": release.created_at.isoformat(),
        "by": release.by,
        "reason": release.reason,
        "tables": [{"table": table.table, "version": table.number, "rows": table.rows} for table in release.tables],
    }


def _write(spec: AnnouncementSpec, message: Mapping[str, Any], release: Release) -> str:
    """Create the file of a release; return what hindered it, or nothing."""
    try:
        LocalObjects(spec.folder).create(f"release-{release.number}.json", encode(message))
    except AlreadyExistsError:
        return ""
    except (PenstockError, OSError) as error:
        return str(error)
    return ""


def _post(spec: AnnouncementSpec, message: Mapping[str, Any]) -> str:
    """Post a message, waiting no longer than asked; return what hindered it, or nothing."""
    content, key = encode(message), str(message["key"])
    return within(
        spec.timeout,
        lambda: post(spec.webhook, content, token=spec.token, key=key, timeout=spec.timeout),
        str(urlsplit(spec.webhook).hostname),
    )
