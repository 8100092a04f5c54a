"""Scoring: a function of the user adds columns to the rows of each micro-batch; the load says which model it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.errors import ConfigurationError
from penstock.model.specs import SourceSpec
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What scores the rows of a stream.

    Attributes:
        function: Takes the rows of a micro-batch, with the columns of their messages, and returns as many rows with
            the columns that are added, in the same order. It is called again where a micro-batch is read again. None:
            only what is declared counts.
        model: What the model is called.
        version: Which version of it.
        columns: The columns that are added.
    """

    function: Callable[[pa.RecordBatch], pa.RecordBatch] | None
    model: str
    version: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return what the function is called."""
        assert self.function is not None
        return f"{self.function.__module__}.{self.function.__qualname__}"


def scored_source(given: object, spec: SourceSpec) -> Scoring | None:
    """Return what scores a stream, checked; None: nothing does.

    Raises:
        ConfigurationError: It is no scoring, or the stream has values that it must not see.
    """
    if given is None:
        return None
    if not isinstance(given, Scoring):
        raise ConfigurationError(
            f"The score of stream {spec.table!r} is no scoring",
            value=given,
            valid='penstock.scoring(function, model="…", version="…", columns=["…"])',
        )
    if spec.personal or spec.kind in ("files", "postgres_changes"):
        raise ConfigurationError(
            f"The rows of stream {spec.table!r} cannot be scored",
            value="personal columns" if spec.personal else spec.kind,
            valid="streams of messages without personal columns: tail, kafka, …",
            remedy="Score them in a transform",
        )
    return given


def told(scoring: Scoring, code: str) -> dict[str, str]:
    """Return what a manifest says of a scoring; ``code`` is the fingerprint of its function."""
    return {"model": scoring.model, "version": scoring.version, "function": scoring.name, "code": code}
