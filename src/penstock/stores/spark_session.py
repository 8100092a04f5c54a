"""Sessions of Spark: one on this machine, or one behind Spark Connect, whatever else of Spark this process uses."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, MissingExtraError, TransientError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LEAST = (4, 3)
"""The oldest Spark that is known to answer as DuckDB does."""
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    # It would log values at which something stopped.
    "spark.log.level": "OFF",
}
_ATTEMPTS = 4
"""To reach a server at first; by itself Spark would go on for ten minutes, and say nothing."""
_JAVA = ("JAVA_GATEWAY", "JAVA_HOME")


def reached(url: str) -> SparkSession:
    """Return a session of a Spark that is new enough.

    Args:
        url: ``local``, ``local[4]``, ``local[*]``, or ``sc://host:port`` of Spark Connect.

    Raises:
        MissingExtraError: The package has not what it needs.
        ConfigurationError: There is no Java here, or the Spark is too old.
        TransientError: It cannot be reached.
    """
    try:
        from pyspark.errors import PySparkException

        session, version = _connected(url) if connects(url) else _local(url)
    except ImportError as error:
        raise MissingExtraError("Checking on Spark", "spark") from error
    except PySparkException as error:
        if any(mark in str(error) for mark in _JAVA):
            raise ConfigurationError(
                "Spark could not be started here: it needs Java",
                value=os.environ.get("JAVA_HOME"),
                valid="Java 17 or newer, as java on the path or by JAVA_HOME",
            ) from error
        # What follows the address may hold a token.
        place = url.partition("/;")[0]
        raise TransientError(f"Spark at {place} cannot be reached: {first_line(error)}") from error
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < LEAST:
        if connects(url):
            leave(session)
        raise ConfigurationError(
            "This Spark is too old to check as DuckDB does",
            value=version,
            valid=f"{'.'.join(map(str, LEAST))} or newer",
        )
    return session


def silence() -> None:
    """Keep what Spark warns of, and is no matter here, from whoever runs checks."""
    # Nothing of pandas is used: rows come and go as Arrow.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
    # One of our settings is the default, which a server of others may have changed.
    warnings.filterwarnings("ignore", message="The SQL config 'spark", category=UserWarning)
    # It is told as an error.
    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]", category=UserWarning)


def connects(url: str) -> bool:
    """Say whether a URL is one of Spark Connect."""
    return url.startswith("sc://")


def leave(session: SparkSession) -> None:
    """End a session of Spark Connect; a server that is gone is not waited for.

    A process that ends with such a session waits for good.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session.client.set_retry_policies([DefaultPolicy(max_retries=_ATTEMPTS)])
    session.stop()


def register(session: SparkSession, name: str, function: Callable[..., Any], output: str) -> None:
    """Make a function of Arrow arrays known to the queries of a session.

    Args:
        session: The session.
        name: How queries call it.
        function: From arrays to an array.
        output: The type of Spark that it gives.
    """
    if type(session).__module__.startswith("pyspark.sql.connect."):
        from pyspark.util import PythonEvalType

        # What pyspark.sql.functions makes goes by a variable of the process and by its active session.
        session.client.register_udf(function, output, name, PythonEvalType.SQL_SCALAR_ARROW_UDF)
        return
    from pyspark.sql.functions import arrow_udf  # type: ignore[attr-defined]  # its own types lack it

    session.udf.register(name, arrow_udf(function, output))


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, bounded."""
    line = str(error).strip().partition("\n")[0]
    return line if len(line) <= 200 else line[:199] + "…"


def _connected(url: str) -> tuple[SparkSession, str]:
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    # A builder would take whatever session this process has already, maybe of another server.
    session: Any = SparkSession(url)
    usual = session.client.get_retry_policies()
    session.client.set_retry_policies([DefaultPolicy(max_retries=_ATTEMPTS)])
    try:
        version = str(session.version)
    except BaseException:
        session.release_session_on_close = False
        session.stop()
        raise
    session.client.set_retry_policies(usual)
    return session, version


def _local(url: str) -> tuple[SparkSession, str]:
    from pyspark.sql import SparkSession

    # The workers need what this process has.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(url).appName("penstock")
    for key, value in _LOCAL.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    return session, str(session.version)
