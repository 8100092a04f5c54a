"""Alerts, in words."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import moment, plural
from penstock.model.alerts import Alert, AlertsReport, ChannelState


def report(found: AlertsReport) -> list[Block]:
    """Word how alerts stand: what is open with what to do, what was resolved last, what did not go out."""
    blocks: list[Block] = []
    for each in found.open:
        quiet = f", muted until {moment(each.muted_until)} UTC by {each.muted_by}" if each.muted(found.at) else ""
        blocks.append(Line(f"{each.id}, open since {moment(each.opened)} UTC{quiet}", "faint" if quiet else "bad"))
        finding = each.finding
        blocks += [Line(f"  {said}") for said in (finding.said, finding.usual, f"To do: {finding.remedy}") if said]
    if found.resolved:
        rows = [(each.id, moment(each.opened), moment(each.resolved), each.finding.pipeline) for each in found.resolved]
        blocks.append(table(("resolved", "opened (UTC)", "resolved (UTC)", "pipeline"), rows))
    if found.channels:
        blocks += channels(found.channels)
    if found.looked:
        last = min(found.looked.items(), key=lambda item: item[1])
        blocks.append(Line(f"Looked at last: {moment(last[1])} UTC ({last[0]}).", "faint"))
    else:
        blocks.append(Line("Nobody has looked yet: penstock alerts check", "warn"))
    if found.open:
        blocks.append(Line(f"{plural(len(found.open), 'alert')} open.", "bad" if found.loud else "warn"))
    else:
        blocks.append(Line("No alert is open.", "good"))
    return blocks


def channels(states: Sequence[ChannelState]) -> list[Block]:
    """Word how channels stand."""
    rows = [(each.name, each.to, str(each.sent or ""), str(each.unsent or ""), each.problem) for each in states]
    return [table(("channel", "to", ">sent", ">unsent", "problem"), rows)]


def alert(found: Alert) -> list[Block]:
    """Word one alert: whether it is muted now."""
    if found.muted_until is None:
        return [Line(f"{found.id} is not muted any more.", "good")]
    said = f"{found.id} is muted until {moment(found.muted_until)} UTC by {found.muted_by}: {found.muted_because}"
    return [Line(said, "good")]
