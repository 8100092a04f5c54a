"""The port of those who keep windows up: told what came, they see to it that the table is what all events make of it.

DuckDB does it here, within the transaction that loads the events. Another engine (a Spark that reads the same stream)
is told the same declaration, and answers the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from penstock.model.windows import WindowedSpec
from penstock.stores.port import WarehouseTransaction
from penstock.values import dataclass

LEFT, ENTERED = "_penstock_left", "_penstock_entered"
"""Temporary tables with the rows that a micro-batch took out of a table of windows, and those that it brought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came to one table that windows read.

    Attributes:
        loads: The numbers of the loads that are new in it.
        replaced: Name of a temporary table with the rows that left it; empty: none did.
    """

    loads: tuple[int, ...] = ()
    replaced: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """A table of windows that is to be kept up.

    Attributes:
        spec: The windows.
        names: Input to its warehouse table.
        came: Input to what came to it; None: that is not known, and all windows are computed.
        key: What names an event, where events are merged; empty where they are appended.
        watermark: Up to where events are taken to be known, in microseconds since 1970; None: nowhere.
        told: What leaves and enters the table is kept in ``LEFT`` and ``ENTERED``.
    """

    spec: WindowedSpec
    names: Mapping[str, str]
    came: Mapping[str, Came] | None
    key: tuple[str, ...] = ()
    watermark: int | None = None
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was done.

    Attributes:
        rows: Rows that were computed.
        deleted: Rows that they replaced.
        scanned: Events that were looked at: those of all loads in which an event may lie that counts.
        read: Events from which rows were computed.
        whole: All windows were computed.
    """

    rows: int
    deleted: int
    scanned: int
    read: int
    whole: bool = False


class WindowEngine(Protocol):
    """Who keeps windows up."""

    def keep_up(self, spec: Keeping, transaction: WarehouseTransaction) -> Kept:
        """Bring a table of windows up to the events that are in the warehouse now.

        Raises:
            ConfigurationError: Its SQL names a column that is not there.
            DataError: Its SQL fails on a value.
        """
        ...
