"""Which formats there are: endings and options of those besides what DuckDB reads by itself, as data."""

from __future__ import annotations

from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        endings: By which a file's name tells it.
        options: What can be said of it.
        lines: Whether it is text in lines, which DuckDB scans; others give Arrow batches.
        unpacked: Whether it is read from its first byte to its last, so that it may be compressed as a whole.
    """

    endings: tuple[str, ...]
    options: tuple[str, ...] = ()
    lines: bool = False
    unpacked: bool = False


_TEXTS = ("encoding", "types", "times", "nulls")
_SHEETS = ("sheet", "range", "header", "skip", "errors", "misfit_limit")

FORMATS = {
    "avro": Format((".avro",), unpacked=True),
    "orc": Format((".orc",)),
    "arrow": Format((".arrow", ".arrows", ".feather", ".ipc"), unpacked=True),
    "xlsx": Format((".xlsx", ".xlsm", ".xltx"), _SHEETS),
    "xlsb": Format((".xlsb",), _SHEETS),
    "xls": Format((".xls", ".xlt"), _SHEETS),
    "fixed": Format(
        (".fwf", ".fixed"),
        ("widths", "columns", "names", "header", "skip", "on_ragged", "misfit_limit", *_TEXTS),
        lines=True,
        unpacked=True,
    ),
    "log": Format((".log",), ("pattern", "start", "unmatched", "misfit_limit", *_TEXTS), lines=True, unpacked=True),
    "xml": Format((".xml",), ("records", "namespaces", "lists", "types", "times"), unpacked=True),
    "ods": Format((".ods",), _SHEETS),
}
"""Name to format."""
ENDINGS = {ending: name for name, format_ in FORMATS.items() for ending in format_.endings}
"""Ending to name."""
OPTIONS = tuple(dict.fromkeys(option for format_ in FORMATS.values() for option in format_.options))
"""The options of all."""
GENERAL = ("path", "format", "compare", "read", "order", "unpack", "settle")
"""The options that all files take."""
CSV_OPTIONS = (
    "delimiter",
    "header",
    "encoding",
    "nulls",
    "types",
    "quote",
    "escape",
    "skip",
    "comment",
    "decimal",
    "dateformat",
    "on_ragged",
    "misfit_limit",
    "max_line_size",
)
"""The options of CSV."""
NAMES = tuple(FORMATS)
BINARY = frozenset({"parquet", *(name for name, format_ in FORMATS.items() if not format_.lines)})
"""Formats whose bytes are no text, or tell their encoding themselves."""
MISFIT_LIMIT = 0.1
"""The share of rows that may be set aside before the load stops; five rows may be, where half of them fit."""
