"""What building and verifying a training set say they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from penstock.errors import DataError
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReceipt:
    """What building a training set did.

    Attributes:
        name: The dataset.
        version: Its version: a fingerprint of its declaration and of the table versions it pins.
        path: Its folder below the root of the datasets.
        built: False if this version was there already, so that nothing was written.
        rows: Samples.
        splits: Split to samples.
        shards: How many files.
        bytes: Their size.
        unlabelled: Rows left out because their label is null.
        notes: Sentences for the user.
    """

    name: str
    version: str
    path: str
    built: bool
    rows: int
    splits: Mapping[str, int] = field(default_factory=dict)
    shards: int = 0
    bytes: int = 0
    unlabelled: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReceipt:
    """What verifying a training set found.

    Attributes:
        name: The dataset.
        version: The version.
        rows: Samples found in whole shards.
        shards: How many shards the manifest lists.
        bytes: Bytes read.
        failures: Sentences, each naming the shard or column; empty if all holds.
        passed: The checks that held, in words.
    """

    name: str
    version: str
    rows: int = 0
    shards: int = 0
    bytes: int = 0
    failures: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Say whether nothing was found."""
        return not self.failures

    def require(self) -> None:
        """Raise DataError unless the training set is sound."""
        if self.failures:
            more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            raise DataError(
                f"Training set {self.name} {self.version} is not sound{more}: {self.failures[0]}",
                remedy=f"Remove its folder and run: penstock dataset build {self.name}",
            )
