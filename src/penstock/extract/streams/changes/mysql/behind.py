"""How far a reading is behind the binary log, and how long what it has not read is still there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

from penstock.extract.database.mysql.source import connect, translated
from penstock.extract.port import Request
from penstock.extract.streams.changes.mysql import server
from penstock.extract.streams.changes.mysql.places import apart, marks
from penstock.extract.streams.changes.naming import reading_name
from penstock.extract.streams.changes.port import CaptureOpening, Unread
from penstock.model.capture import reached


def unread(opening: CaptureOpening) -> Unread:
    """Return what a server has of its log that was not read; nothing of one that was never read, or took over since."""
    name = reading_name(opening)
    landed = [
        reached(opening.positions, table) for table, position in opening.positions.items() if position is not None
    ]
    if not landed:
        return Unread(name=name)
    known = dict(marks(opening.positions))[min(landed)]
    request = Request(source=opening.sources[0], connection=opening.connection, root=opening.root)
    with translated(request), closing(connect(opening.connection)) as connection:

        def ask(sql: str) -> Sequence[Sequence[Any]]:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        found = server.look(ask, opening.connection.name, "this user")
        ((now,),) = ask("SELECT UNIX_TIMESTAMP()")
    if known.server != found.number:
        return Unread(name=name)
    file, offset = apart(min(landed) - known.base)
    behind = sum(size for number, (_, size) in found.files.items() if number > file)
    if file in found.files:
        behind += max(0, found.files[file][1] - offset)
    keeps = timedelta(seconds=found.keeps)
    left = keeps - timedelta(seconds=int(now) - known.moment / 1_000_000) if keeps else None
    return Unread(name=name, bytes=behind, keeps=keeps, left=left)
