"""Java for the tests that start a Spark: the machine's, or Debian's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyspark

from penstock.stores.spark import Spark
from servers.debian import CACHE, NoServerError, free_port, provided

HOME = Path(pyspark.__file__).parent
"""The package holds Spark itself, with its commands."""
_CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"
_LONGEST = 120.0

_WANTED = re.compile(
    r"openjdk-17-jre-headless|java-common|lib(jpeg62-turbo|lcms2-2|pcsclite1|nss3|nspr4|freetype6|fontconfig1)"
)


@contextmanager
def spark() -> Iterator[Spark]:
    """Run a Spark in this process, which ends with the tests.

    Raises:
        NoServerError: There is no Java, and none can be had.
    """
    provide()
    found = Spark("local[2]")
    try:
        yield found
    finally:
        found.close()


@contextmanager
def spark_connect(master: str = "local[2]") -> Iterator[str]:
    """Run a server of Spark Connect; gives its URL.

    Args:
        master: Where its rows are read.

    Raises:
        NoServerError: There is no Java, or it did not start.
    """
    provide()
    port = free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
    }
    command = [str(HOME / "bin" / "spark-submit"), "--master", master, "--class", _CONNECT]
    command += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder, started([*command, "spark-internal"], folder, port):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def started(command: Sequence[str], folder: str, port: int) -> Iterator[None]:
    """Run a server of Spark in a folder until it listens, and as long as the context lasts."""
    environment = {
        **os.environ,
        "SPARK_HOME": str(HOME),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait(process, port)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + _LONGEST
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise NoServerError(f"{process.args!r} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise NoServerError(f"{process.args!r} did not listen within {_LONGEST:.0f} s")


def provide() -> None:
    """See to it that there is a Java.

    Raises:
        NoServerError: There is none, and none can be had.
    """
    java = home()
    if CACHE in java.parents:
        os.environ["JAVA_HOME"] = str(java)


def home() -> Path:
    """Return the folder of a Java.

    Raises:
        NoServerError: There is none, and none can be had.
    """
    return provided(["openjdk-17-jre-headless"], _WANTED, _home)


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
