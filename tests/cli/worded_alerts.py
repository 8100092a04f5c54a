"""Alerts as values, and what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.model.alerts import Alert, AlertKind, AlertsReport, ChannelState, Finding

AT = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
SILENT = Finding(
    kind=AlertKind.SILENT,
    subject="orders",
    pipeline="shop",
    since=AT - timedelta(hours=27),
    said="Source orders of pipeline shop has brought nothing new since Fri 2026-11-20 02:00 UTC, for 1d3h.",
    usual="Usually something new comes after 1d.",
    remedy="penstock run shop",
)
OPEN = Alert(id=SILENT.id, finding=SILENT, opened=AT)
MUTED = Alert(
    id=SILENT.id, finding=SILENT, opened=AT, muted_until=AT + timedelta(hours=4), muted_by="ada", muted_because="known"
)
ENDED = Alert(id="failed:shop", finding=SILENT, opened=AT - timedelta(hours=2), resolved=AT - timedelta(hours=1))

SAID: list[tuple[Any, list[str]]] = [
    (
        AlertsReport(
            open=(OPEN,),
            resolved=(ENDED,),
            channels=(ChannelState(name="oncall", to="mailto", unsent=1, problem="mailto: it was refused"),),
            looked={"shop": AT},
            at=AT,
        ),
        [
            "silent:orders, open since 2026-11-21 05:00:00 UTC",
            "  Usually something new comes after 1d.",
            "  To do: penstock run shop",
            "failed:shop",
            "oncall   mailto       1  mailto: it was refused",
            "Looked at last: 2026-11-21 05:00:00 UTC (shop).",
            "1 alert open.",
        ],
    ),
    (AlertsReport(open=(MUTED,), looked={"shop": AT}, at=AT), ["muted until 2026-11-21 09:00:00 UTC by ada"]),
    (AlertsReport(open=(), at=AT), ["Nobody has looked yet: penstock alerts check", "No alert is open."]),
    (OPEN, ["silent:orders is not muted any more."]),
    (MUTED, ["silent:orders is muted until 2026-11-21 09:00:00 UTC by ada: known"]),
    ([ChannelState(name="hook", to="webhook to example.com", sent=1)], ["hook     webhook to example.com     1"]),
]
