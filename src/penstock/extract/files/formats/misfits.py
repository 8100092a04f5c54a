"""Lines of a file that are no rows: gathered while it is read, and judged when it is read to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.csv.misfits import batch_of
from penstock.extract.files.formats.known import MISFIT_LIMIT
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

_FEW = 5


@dataclass(slots=True)
class Misfits:
    """The lines of one file that are set aside.

    Attributes:
        key: The file's name.
        hidden: Whether a line may hold personal values and is not kept, but for its place.
        limit: The share of rows that may be set aside; 0 for none.
        count: How many were.
    """

    key: str = ""
    hidden: bool = False
    limit: float = MISFIT_LIMIT
    count: int = 0
    _waiting: list[tuple[str, str | None, str]] = field(default_factory=list)
    _first: DataError | None = None

    def add(self, reason: str, lines: Sequence[tuple[str, Mapping[str, Any]]], refusal: DataError) -> None:
        """Set lines aside.

        Args:
            reason: Why, in a word.
            lines: Each line's text, and where it stands: ``line`` is its number.
            refusal: What is raised where none may be set aside, or in the end too many were.

        Raises:
            DataError: None may be.
        """
        if not self.limit:
            raise refusal
        self._first = self._first or refusal
        self.count += len(lines)
        for text, place in lines:
            told = json.dumps(place, sort_keys=True, separators=(",", ":"))
            self._waiting.append((reason, None if self.hidden else text, told))

    def drain(self) -> pa.RecordBatch | None:
        """Return the lines that came since the last call; None for none."""
        if not self._waiting:
            return None
        waiting, self._waiting = self._waiting, []
        return batch_of(
            [[reason] for reason, _, _ in waiting],
            [text for _, text, _ in waiting],
            [self.key] * len(waiting),
            [place for _, _, place in waiting],
        )

    def judge(self, rows: int) -> None:
        """Say whether few enough were set aside.

        Args:
            rows: How many rows the file has besides.

        Raises:
            DataError: Too many were.
        """
        whole = rows + self.count
        if self._first is not None and self.count > max(self.limit * whole, min(_FEW, whole / 2)):
            raise DataError(
                f"{self._first.what}; {self.count} of {whole} rows do not fit, more than may be set aside",
                remedy="Mend the file, say how it is written, or allow more with misfit_limit=",
            )


def misfits(key: str, options: Mapping[str, Any], *, hidden: bool) -> Misfits:
    """Return what gathers the lines of a file.

    Raises:
        ConfigurationError: The option ``misfit_limit`` is no share.
    """
    limit = options.get("misfit_limit", MISFIT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
        raise ConfigurationError(
            f"The option misfit_limit of {key} does not fit", value=limit, valid="a share of rows from 0 to 1"
        )
    return Misfits(key, hidden, limit)
