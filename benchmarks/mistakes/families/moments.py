"""Mistakes of time."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def _zone_lost(site: Site, moment: str) -> str:
    hours = site.dice.choice((-8, -5, -4, 2, 5, 8, 9))
    return site.setting({moment: f"{moment} + INTERVAL ({hours}) HOUR"})


def _day_and_month_swapped(site: Site, moment: str) -> str:
    # Written day first and read month first: what is no date is lost. Where both are alike, it is day and year.
    ways = ("%d/%m/%Y", "%m/%d/%Y") if site.counted(f"day({moment}) <> month({moment})") else ("%d/%m/%y", "%y/%m/%d")
    written, read = (f"'{way} %H:%M:%S'" for way in ways)
    return site.setting({moment: f"try_strptime(strftime({moment}, {written}), {read})"})


def _gap(site: Site, moment: str) -> str:
    start, hours = site.between(0.15, 0.6), site.between(0.12, 0.35)
    first, length = (
        f"(SELECT min({moment}) FROM batch)",
        f"(SELECT date_diff('second', min({moment}), max({moment})) FROM batch)",
    )
    since = f"date_diff('second', {first}, {moment})"
    return site.only(f"NOT ({since} BETWEEN {start} * {length} AND {start + hours} * {length})")


def _half(site: Site, moment: str) -> str:
    noon = f"(SELECT min({moment}) + (max({moment}) - min({moment})) / 2 FROM batch)"
    return site.only(f"{moment} {site.dice.choice(('<', '>='))} {noon}")


def _frozen(site: Site, moment: str) -> str:
    where = site.since()
    return site.setting({moment: f"(SELECT min({moment}) FROM batch WHERE {where})"}, where)


MISTAKES = (
    Mistake("zone lost", "Local time is taken for UTC, or the other way.", ("moment",), _zone_lost),
    Mistake(
        "day and month swapped",
        "Dates are read month first; those that are none are lost.",
        ("moment",),
        _day_and_month_swapped,
    ),
    Mistake(
        "seconds read as milliseconds",
        "Seconds since 1970 are taken for milliseconds: all is in January 1970.",
        ("moment",),
        lambda site, moment: site.setting({moment: f"make_timestamp(CAST(epoch({moment}) AS BIGINT) * 1000)"}),
    ),
    Mistake(
        "moments in the future",
        "Some rows are of a time to come.",
        ("moment",),
        lambda site, moment: site.setting(
            {moment: f"{moment} + INTERVAL ({site.dice.randint(2, 400)}) DAY"}, site.some()
        ),
    ),
    Mistake(
        "moments in 1970",
        "Some rows have the beginning of the epoch, where nothing was known.",
        ("moment",),
        lambda site, moment: site.setting({moment: "TIMESTAMP '1970-01-01 00:00:00'"}, site.some()),
    ),
    Mistake(
        "wrong year",
        "A year is written by hand, and is last year's.",
        ("moment",),
        lambda site, moment: site.setting({moment: f"{moment} - INTERVAL 1 YEAR"}),
    ),
    Mistake("gap of hours", "Some hours of the day are missing.", ("moment",), _gap),
    Mistake(
        "half of the day missing",
        "Only the morning, or only what came after it.",
        ("moment",),
        _half,
    ),
    Mistake("frozen clock", "From some row on, the time stands still.", ("moment",), _frozen),
    Mistake(
        "time of day lost",
        "Moments are cut to the day.",
        ("moment",),
        lambda site, moment: site.setting({moment: f"date_trunc('day', {moment})"}),
    ),
    Mistake(
        "moments shuffled",
        "Each row has the moment of another one.",
        ("moment",),
        lambda site, moment: site.moved(moment, site.shuffled()),
    ),
)
