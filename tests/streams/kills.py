"""A program that streams in a child, once per line of its input, and kills it at a write; imports cost nothing then.

Reads lines of JSON: ``{"folder": …, "kill_at": n, "before": true}``; answers with the status of ``waitpid``, and for
``kill_at`` 0 with the names of the writes.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))


def main():
    import boundaries

    import penstock
    from penstock.project import Project

    for module in pkgutil.walk_packages(penstock.__path__, "penstock."):
        if "templates" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("pyarrow.compute")
    for line in sys.stdin:
        asked = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                counted = boundaries.Boundaries(asked["folder"], asked["kill_at"], asked["before"])
                boundaries.install(counted)
                if asked["postgres"]:
                    boundaries.install_postgres(counted)
                with Project(asked["folder"]) as project:
                    code = project.stream("clicks", until_end=True, share=asked["share"]).exit_code
                os.write(writing, json.dumps(counted.names).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        print(json.dumps({"status": os.waitpid(pid, 0)[1], "writes": json.loads(said or b"[]")}), flush=True)


if __name__ == "__main__":
    main()
