"""Who holds a lease: ``host:pid:starttime``, so that a dead holder of this machine is told from a living one."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return the holder text of this process.

    The host part carries the process namespace where there is one, since equal host names in two containers
    do not mean that a process number says anything in the other.
    """
    pid = os.getpid()
    return f"{_host()}:{pid}:{_start(pid) or 0}"


def is_dead(holder: str) -> bool:
    """Say whether the holder is known to be dead: a process of this machine that ended, or whose number was reused.

    A holder elsewhere, or one whose text is not ours, counts as alive: its lease has to expire.
    """
    host, number, start = (*holder.split(":"), "", "")[:3]
    if host != _host() or not number.isdigit() or not start.isdigit():
        return False
    if not _exists(int(number)):
        return True
    found = _start(int(number))
    return found is not None and start not in ("0", found)


def number_here(holder: str) -> int | None:
    """Return the process number of a holder that lives on this machine; None: it is dead, or elsewhere."""
    host, number, _ = (*holder.split(":"), "", "")[:3]
    return int(number) if host == _host() and number.isdigit() and not is_dead(holder) else None


def shown(holder: str) -> str:
    """Return a holder for people: ``process 4711 on worker-3``."""
    parts = holder.split(":")
    if len(parts) != 3 or not parts[1].isdigit():
        return holder or "somebody unnamed"
    return f"process {parts[1]} on {parts[0].partition('/')[0]}"


def _host() -> str:
    name = socket.gethostname().replace(":", "-").replace("/", "-")
    try:
        return f"{name}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return name


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _state(pid) != "Z"


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name of the program stands in parentheses and may hold anything, so fields are counted after its end.
    return text.rpartition(")")[2].split()


def _state(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[0] if fields else None


def _start(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else None
