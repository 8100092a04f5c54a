"""The errors of Penstock, classed by what to do next.

    PenstockError
    ├── ConfigurationError      mend the project: a misspelt name, a bad value, a missing extra
    │   └── MissingExtraError   install an optional driver
    ├── DataError               mend the data or the contract: a bad row, a schema that changed, a failed check
    ├── TransientError          try again later: a server is down, a limit was hit, a file is held
    ├── ConflictError           somebody else acted first: read afresh, then decide again
    │   ├── LeaseHeldError      another run of the pipeline is at work
    │   ├── StaleWriterError    a successor has taken over and committed
    │   └── AlreadyExistsError  a create-only object is there already
    ├── NotFoundError           the named thing is not there
    └── BugError                ours: please report it

Every message is a sentence that names the thing; ``value``, ``valid`` and ``remedy`` complete it.
"""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_VALUE = 200
_MOST_CHOICES = 12
_AGAIN = "Run the same command again when that has passed; it goes on where it stopped"


class PenstockError(Exception):
    """The root of all errors that Penstock raises on purpose.

    Args:
        what: One sentence: what failed, on which named thing (table, column, row, file, offset).
        value: The offending value; shown cut to 200 characters. Never pass a secret or personal data.
        valid: What would have been valid: a phrase, or the possible names.
        remedy: What to do now, best a command.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        value: object = None,
        valid: str | Iterable[str] | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.value = value
        self.valid = valid if valid is None or isinstance(valid, str) else _choices(valid)
        self.remedy = remedy
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """Return the whole message on one line, bounded in length whatever the value."""
        parts = [_ended(self.what)]
        if self.value is not None:
            shown = self.value if isinstance(self.value, str) else repr(self.value)
            parts.append(f"Got: {_cut(shown)}.")
        if self.valid is not None:
            parts.append(f"Valid: {self.valid}.")
        if self.remedy is not None:
            parts.append(_ended(self.remedy))
        return " ".join(" ".join(parts).split())


class ConfigurationError(PenstockError):
    """The project, a pipeline or a command line says something that cannot be."""

    exit_code = 2


class MissingExtraError(ConfigurationError):
    """An optional driver is not installed."""

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(f"{need} needs an optional driver", remedy=f"pip install 'penstock[{extra}]'")


class DataError(PenstockError):
    """The data is not what the pipeline was told to expect."""

    exit_code = 3


class TransientError(PenstockError):
    """Something outside is unavailable for now; the same call may pass later.

    Args:
        retry_after: Seconds that the other side asked us to wait, if it said so.
    """

    exit_code = 4

    def __init__(
        self, what: str, *, retry_after: float | None = None, value: object = None, remedy: str | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(what, value=value, remedy=remedy or _AGAIN)


class ConflictError(PenstockError):
    """Somebody else acted first; what we knew is no longer true."""

    exit_code = 5


class LeaseHeldError(ConflictError):
    """Another run holds the lease of this pipeline."""


class StaleWriterError(ConflictError):
    """A successor took the lease over and has committed; this writer must stop."""


class AlreadyExistsError(ConflictError):
    """A create-only object exists already."""


class NotFoundError(PenstockError):
    """The named thing does not exist."""

    exit_code = 6


class BugError(PenstockError):
    """A promise of Penstock's own is broken: a bug."""

    exit_code = 70


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else sentence.rstrip(".") + "."


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _choices(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(listed[:_MOST_CHOICES])
    return shown if len(listed) <= _MOST_CHOICES else f"{shown} and {len(listed) - _MOST_CHOICES} more"
