"""The source systems of the shop, the same in every run: a database, folders of files, a stream of events."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

HERE = Path(__file__).parent
DAYS = 6
BAD_DAY = 4
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCTS = ("apple", "bread", "cheese")


def make() -> None:
    """Make the database and the first prices."""
    with closing(sqlite3.connect(HERE / "ops.db")) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER, at TIMESTAMP, customer TEXT, product TEXT, amount INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", list(_orders()))
    database.close()
    reach(1)


def reach(day: int) -> None:
    """Let the time of the source systems go on to a day, never back."""
    if day <= today():
        return
    _write(HERE / "prices" / "prices.csv", "product,price\n" + "".join(_prices(day)))
    _write(HERE / "today", str(day))


def today() -> int:
    """Return the day that the source systems have reached."""
    path = HERE / "today"
    return int(path.read_text()) if path.exists() else 0


def deliver(day: int) -> None:
    """Let the parcels and visits of a day come; on the second day weights have fractions, and items a new member."""
    parcels = "".join(json.dumps(_parcel(day, number)) + "\n" for number in range(6))
    visits = "".join(f"{day * 10 + number},{number * 7}\n" for number in range(6))
    for folder, name, text in (
        ("parcels", f"{day}.jsonl", parcels),
        ("visits", f"{day}.csv", f"visitor,seconds\n{visits}77,1,too many\n"),
    ):
        if not (HERE / folder / name).exists():
            _write(HERE / folder / name, text)


def mend() -> None:
    """Give the orders of the bad day their customers."""
    with closing(sqlite3.connect(HERE / "ops.db")) as database, database:
        database.execute("UPDATE orders SET customer = 'customer-' || (id % 5) WHERE customer IS NULL")
    database.close()


def events() -> pa.Table:
    """Return the events that have come by today; some come a day late, one kind is unknown."""
    rows = [event for event in _events() if event.pop("known") <= today()]
    schema = pa.schema([("event", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("kind", pa.string())])
    return pa.Table.from_pylist(rows, schema.append(pa.field("product", pa.string())))


def _parcel(day: int, number: int) -> dict[str, object]:
    weight = 900 if number == 5 else number + (0.5 if day > 1 else 0)
    items = [{"sku": PRODUCTS[place], "pieces": place + 1, "lots": [day, place]} for place in range(number % 3)]
    # The first parcels come again on the second day, changed.
    return {
        "id": number if number < 2 else day * 10 + number,
        "weight": weight,
        "to": {"city": ("Ulm", "Bonn")[number % 2]},
        "items": [item | {"note": "late"} for item in items] if day > 1 else items,
    }


def _orders():
    for day in range(1, DAYS + 1):
        for number in range(12):
            key = day * 100 + number
            at = FIRST + timedelta(days=day - 1, hours=number * 2)
            customer = None if day == BAD_DAY and number % 4 == 0 else f"customer-{key % 5}"
            amount = 5000 if number == 7 else 1 + (key * 7) % 40
            yield key, at.strftime("%Y-%m-%d %H:%M:%S"), customer, PRODUCTS[key % 3], amount


def _prices(day: int):
    for place, product in enumerate(PRODUCTS):
        # The prices change once in the story, which makes every day anew.
        price = 1000 if product == "cheese" and day == 2 else 2.5 + place + (1 if day >= 5 else 0)
        yield f"{product},{price}\n"


def _events():
    for day in range(1, DAYS + 1):
        for number in range(8):
            late = number == 6
            at = FIRST + timedelta(days=day - 1, hours=number * 3 + 2)
            yield {
                "event": day * 10 + number,
                "at": at,
                "kind": "unknown" if number == 5 else "click" if number % 2 else "view",
                "product": PRODUCTS[number % 3],
                "known": day + late,
            }


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.beside")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(text)
    os.replace(beside, path)
