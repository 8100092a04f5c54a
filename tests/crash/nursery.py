"""A process that has imported everything once and forks a child for each telling, so that a kill costs no import.

Reads lines of JSON: ``{"folder": …, "chapters": [names], "log": path, "kill_at": n, "before": true,
"signal": 9}``; answers
``pid`` when the child has begun and ``status`` (that of waitpid) when it has ended. Without ``kill_at`` a child has no
hooks.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import sys
import traceback

import boundaries
import story

import penstock


def main():
    for module in pkgutil.walk_packages(penstock.__path__, "penstock."):
        if "templates" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("pyarrow.compute")
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(asked)
        print(json.dumps({"pid": pid}), flush=True)
        print(json.dumps({"status": os.waitpid(pid, 0)[1]}), flush=True)


def child(asked):
    code = 1
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    with contextlib.suppress(OSError):
        os.close(0)
    try:
        counted = None
        if "kill_at" in asked:
            counted = boundaries.Boundaries(asked["folder"], asked["kill_at"], asked["before"], asked["signal"])
            boundaries.install(counted)
        chosen = [chapter for chapter in story.CHAPTERS if chapter.__name__ in asked["chapters"]]
        story.tell(asked["folder"], chosen)
        if counted is not None:
            print("\n".join(f"write {name}" for name in counted.names), flush=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
