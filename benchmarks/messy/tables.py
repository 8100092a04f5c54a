"""Clean tables, as names and rows of text; each is made by itself, the same each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROWS = 40
_CITIES = ("Köln", "São Paulo", "New York", "Zürich", "Łódź", "Bonn", "Rio de Janeiro", "Ulm")
_NAMES = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "Kurt Gödel", "Mary O'Neil")
_WORDS = ("late", "on time", "see note", "said hello", "no reply yet", "paid in full", "sent back", "a, b and c")


@dataclass(frozen=True, slots=True)
class Clean:
    """A table before it is hurt."""

    name: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables() -> list[Clean]:
    """Return all tables."""
    made: Sequence[tuple[str, str, Callable[[random.Random, int], tuple[str, ...]]]] = (
        ("numbers", "id,day,delay,distance", _numbers),
        ("people", "name,city,birthday,email", _people),
        ("money", "account,amount,currency,rate,booked", _money),
        ("remarks", "ticket,opened,remark,author", _remarks),
        ("words", "species,colour,habitat", _words),
        ("codes", "zip,phone,code,valid,share", _codes),
        ("narrow", "day,value", _narrow),
        ("wide", ",".join(f"m{number}" for number in range(24)), _wide),
    )
    found = []
    for name, header, row in made:
        chance = random.Random(name)
        found.append(Clean(name, tuple(header.split(",")), tuple(row(chance, place) for place in range(ROWS))))
    return found


def _day(chance: random.Random) -> str:
    return f"{chance.randint(2001, 2024)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"


def _numbers(chance: random.Random, place: int) -> tuple[str, ...]:
    return str(1000 + place), _day(chance), str(chance.randint(-20, 300)), f"{chance.uniform(1, 5000):.2f}"


def _people(chance: random.Random, place: int) -> tuple[str, ...]:
    name = chance.choice(_NAMES)
    return name, chance.choice(_CITIES), _day(chance), f"{name.split()[0].lower()}{place}@example.org"


def _money(chance: random.Random, place: int) -> tuple[str, ...]:
    amount = f"{chance.randint(1, 9)},{chance.randint(0, 999):03d}.{chance.randint(0, 99):02d}"
    return f"{place:05d}", f"${amount}", chance.choice(("USD", "EUR", "CHF")), f"{chance.random():.4f}", _day(chance)


def _remarks(chance: random.Random, place: int) -> tuple[str, ...]:
    remark = f"{chance.choice(_WORDS)}; {chance.choice(_WORDS)}"
    if place % 7 == 3:
        remark = f'he said "{chance.choice(_WORDS)}", twice'
    if place % 11 == 5:
        remark += "\nand more on a second line"
    return f"T-{place}", f"{_day(chance)} {chance.randint(0, 23):02d}:{chance.randint(0, 59):02d}", remark, "N. N."


def _words(chance: random.Random, _: int) -> tuple[str, ...]:
    kinds = ("finch", "heron", "great tit", "wren", "crane")
    return chance.choice(kinds), chance.choice(("red", "grey", "blue")), chance.choice(("wood", "shore", "meadow"))


def _codes(chance: random.Random, _: int) -> tuple[str, ...]:
    code = "".join(chance.choices("ABCDEF0123456789", k=6))
    phone = f"+49 {chance.randint(100, 999)} {chance.randint(10000, 99999)}"
    return (
        f"{chance.randint(0, 99999):05d}",
        phone,
        code,
        chance.choice(("true", "false")),
        f"{chance.randint(0, 100)}%",
    )


def _narrow(chance: random.Random, _: int) -> tuple[str, ...]:
    return _day(chance), f"{chance.uniform(0, 10):.3f}"


def _wide(chance: random.Random, _: int) -> tuple[str, ...]:
    return tuple(f"{chance.uniform(-1, 1):.3f}" if chance.random() > 0.1 else "" for _ in range(24))
