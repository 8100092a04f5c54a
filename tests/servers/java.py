"""Java for the tests that start a Spark: the machine's, or Debian's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.stores.spark import Spark
from servers.debian import CACHE, provided

_WANTED = re.compile(
    r"openjdk-17-jre-headless|java-common|lib(jpeg62-turbo|lcms2-2|pcsclite1|nss3|nspr4|freetype6|fontconfig1)"
)


@contextmanager
def spark() -> Iterator[Spark]:
    """Run a Spark in this process, which ends with the tests.

    Raises:
        NoServerError: There is no Java, and none can be had.
    """
    home = provided(["openjdk-17-jre-headless"], _WANTED, _home)
    if CACHE in home.parents:
        os.environ["JAVA_HOME"] = str(home)
    found = Spark("local[2]")
    try:
        yield found
    finally:
        found.close()


def _home() -> Path | None:
    """Return the folder of a Java, whose settings Debian keeps elsewhere."""
    installed = shutil.which("java")
    if installed is not None:
        return Path(installed).resolve().parents[1]
    for java in sorted(CACHE.glob("root/usr/lib/jvm/*/bin/java")):
        for link in java.parents[1].rglob("*"):
            if link.is_symlink() and str(link.readlink()).startswith("/etc/"):
                settings = CACHE / "root" / str(link.readlink()).lstrip("/")
                link.unlink()
                link.symlink_to(settings)
        return java.parents[1]
    return None
