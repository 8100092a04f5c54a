"""Mistakes of single numbers: units, signs, scales, sensors."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def _in_other_unit(site: Site, number: str, factors: tuple[float, ...]) -> str:
    return site.setting({number: f"{number} * {site.dice.choice(factors)}"})


def _is_celsius(site: Site, number: str) -> bool:
    return site.table.units[number.strip('"')] == "celsius"


def _in_other_degrees(site: Site, number: str) -> str:
    celsius = _is_celsius(site, number)
    return site.setting({number: f"{number} * 1.8 + 32" if celsius else f"({number} - 32) / 1.8"})


def _in_kelvin(site: Site, number: str) -> str:
    celsius = number if _is_celsius(site, number) else f"({number} - 32) / 1.8"
    return site.setting({number: f"{celsius} + 273.15"})


def _by_default(site: Site, number: str, value: int) -> str:
    return site.setting({number: str(value)}, site.some(f"{number} IS DISTINCT FROM {value}"))


def _rounded(site: Site, number: str) -> str:
    half = f"0.5 * {site.spread(number)}"
    step = f"({half})" if site.columns[number].fractional else f"greatest(2, ceil({half}))"
    return site.setting({number: f"round({number} / {step}) * {step}"})


def _saturated(site: Site, number: str) -> str:
    limit = f"(SELECT quantile_disc({number}, {site.between(0.5, 0.85)}) FROM batch)"
    return site.setting({number: f"least({number}, {limit})"})


def _stuck(site: Site, number: str) -> str:
    where = f"{site.group()} AND {site.since(0.05, 0.4)}"
    if not site.varies(number, where):
        where = site.since(0.05, 0.4)
    first = f"(SELECT first({number} ORDER BY rowid) FROM batch WHERE {where} AND {number} IS NOT NULL)"
    return site.setting({number: first}, where)


def _noisy(site: Site, number: str) -> str:
    # Twelve even numbers make one that is almost normal; each is drawn from the row and the seed.
    salt = site.dice.getrandbits(30)
    even = " + ".join(f"md5_number_lower(concat(rowid, '/', {salt + n})) / 18446744073709551616.0" for n in range(12))
    return site.setting({number: f"{number} + (({even}) - 6) * {site.between(0.5, 1.5)} * {site.spread(number)}"})


def _overflowed(site: Site, number: str) -> str:
    if site.columns[number].greatest > 32767:
        return site.setting({number: f"({number} + 32768) % 65536 - 32768"})
    return site.setting({number: f"{number} % 256"})


MISTAKES = (
    Mistake(
        "length in another unit",
        "Feet for metres, miles for kilometres, or the other way.",
        ("length",),
        lambda site, number: _in_other_unit(site, number, (0.3048, 3.28084, 1.609344, 0.621371)),
    ),
    Mistake(
        "cents for euros",
        "Amounts in the smallest coin.",
        ("money",),
        lambda site, number: site.setting({number: f"{number} * 100"}),
    ),
    Mistake("Celsius and Fahrenheit confused", "Temperatures on the other scale.", ("temperature",), _in_other_degrees),
    Mistake(
        "Kelvin",
        "Temperatures from absolute zero.",
        ("temperature",),
        _in_kelvin,
    ),
    Mistake(
        "speed in another unit",
        "Knots, miles per hour and metres per second confused.",
        ("speed",),
        lambda site, number: _in_other_unit(site, number, (0.44704, 2.23694, 1.94384, 0.514444)),
    ),
    Mistake(
        "sign lost",
        "What was below zero is above it.",
        ("signed",),
        lambda site, number: site.setting({number: f"abs({number})"}),
    ),
    Mistake(
        "decimal point dropped",
        "12.5 has become 125.",
        ("fraction",),
        lambda site, number: site.setting({number: f"replace(CAST({number} AS VARCHAR), '.', '')"}),
    ),
    Mistake(
        "ten times as much in some rows",
        "A zero too many, typed or read.",
        ("number",),
        lambda site, number: site.setting({number: f"{number} * 10"}, site.some(f"{number} <> 0")),
    ),
    Mistake(
        "a thousand times as much",
        "Kilo forgotten, or counted twice.",
        ("number",),
        lambda site, number: site.setting({number: f"{number} * 1000"}),
    ),
    Mistake(
        "decimal comma",
        "Decimals are written with a comma, so that the column is text.",
        ("fraction",),
        lambda site, number: site.writing(number, f"replace(CAST({number} AS VARCHAR), '.', ',')"),
    ),
    Mistake(
        "rounded",
        "Numbers come rounded to half of their spread.",
        ("number",),
        _rounded,
    ),
    Mistake(
        "saturated", "Nothing above a limit is measured: all that is greater stands at it.", ("number",), _saturated
    ),
    Mistake(
        "zero by default",
        "Some rows hold 0 for what was not measured.",
        ("number",),
        lambda site, number: _by_default(site, number, 0),
    ),
    Mistake(
        "minus one by default",
        "Some rows hold -1 for what was not measured.",
        ("number",),
        lambda site, number: _by_default(site, number, -1),
    ),
    Mistake(
        "9999 by default",
        "Some rows hold 9999 for what was not measured.",
        ("number",),
        lambda site, number: _by_default(site, number, 9999),
    ),
    Mistake(
        "not a number",
        "Some rows hold NaN, from a division of zero by zero.",
        ("fraction",),
        lambda site, number: site.setting({number: "CAST('NaN' AS DOUBLE)"}, site.some(f"{number} IS NOT NULL")),
    ),
    Mistake("stuck sensor", "From some row on, one sensor gives the same value.", ("number",), _stuck),
    Mistake("noise", "A loose contact: noise as large as the spread.", ("number",), _noisy),
    Mistake(
        "drift over the day",
        "A sensor runs away, two spreads until the evening.",
        ("number",),
        lambda site, number: site.setting(
            {number: f"{number} + rowid * {site.between(1.5, 3) / site.rows} * {site.spread(number)}"}
        ),
    ),
    Mistake(
        "outliers",
        "A few values are far outside of all others.",
        ("number",),
        lambda site, number: site.setting(
            {number: f"{number} + {site.between(20, 80)} * {site.spread(number)}"},
            site.some(f"{number} IS NOT NULL", 0.01, 0.03),
        ),
    ),
    Mistake("overflowed", "The column went through a type of 8 or 16 bits.", ("large",), _overflowed),
    Mistake(
        "calibration off in one group",
        "One station or kind measures one and a half spreads too much.",
        ("number",),
        lambda site, number: site.setting(
            {number: f"{number} + {site.step(number, 1.5)}"}, site.group(f"{number} IS NOT NULL")
        ),
    ),
)
