"""Files that other departments drop: planes as CSV, one file per decade; airports as nested JSON."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path


def make_planes(origin: Path, target: Path) -> str:
    """Split the planes by the decade in which they were built, their values untouched; returns what was made."""
    with (origin / "planes.csv").open(newline="", encoding="utf-8") as opened:
        header, *rows = csv.reader(opened)
    year = header.index("year")
    decades: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        decades[f"{row[year][:3]}0s" if row[year].isdigit() else "year-unknown"].append(row)
    target.mkdir()
    for decade, built in decades.items():
        with (target / f"planes-{decade}.csv").open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerows([header, *built])
    return f"{len(rows):,} planes in {len(decades)} files, gaps written as NA"


def make_airports(origin: Path, target: Path) -> str:
    """Write the airports as one JSON document of nested objects; returns what was made."""
    with (origin / "airports.csv").open(newline="", encoding="utf-8") as opened:
        airports = [_nested(row) for row in csv.DictReader(opened)]
    target.write_text(json.dumps(airports, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return f"{len(airports):,} airports, location and time zone nested"


def _nested(row: dict[str, str]) -> dict[str, object]:
    known = {name: None if value == "NA" else value for name, value in row.items()}
    return {
        "faa": known["faa"],
        "name": known["name"],
        "location": {"lat": float(row["lat"]), "lon": float(row["lon"]), "alt": int(row["alt"])},
        "zone": {"tz": int(row["tz"]), "dst": known["dst"], "tzone": known["tzone"]},
    }
