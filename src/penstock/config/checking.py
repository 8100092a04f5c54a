"""What ``penstock.toml`` says about checks: which engine judges the rows of which tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from penstock.config.sections import Section
from penstock.errors import ConfigurationError
from penstock.model.specs import CheckEngineSpec

_LOCAL = re.compile(r"local(\[(\*|[1-9]\d*)\])?")


class Checks(Section):
    """The section ``[checks]``."""

    engine: Literal["duckdb", "spark"] = "duckdb"
    url: str = ""
    tables: tuple[str, ...] = ()

    def spec(self, file: Path) -> CheckEngineSpec | None:
        """Return what it says; None leaves all checks to DuckDB.

        Raises:
            ConfigurationError: The URL is of no Spark, or none is asked for.
        """
        if self.engine == "duckdb":
            if self.url or self.tables:
                raise ConfigurationError(
                    f"checks in {file} has a url or tables of Spark, but no engine", remedy='Add engine = "spark"'
                )
            return None
        if not self.url.startswith("sc://") and _LOCAL.fullmatch(self.url) is None:
            raise ConfigurationError(
                f"checks.url in {file} is no address of Spark",
                # What follows may hold a token.
                value=self.url.partition("/;")[0],
                valid="sc://host:port (Spark Connect), local[4] or local[*] (a Spark on this machine)",
            )
        return CheckEngineSpec(url=self.url, tables=self.tables)
