"""Promoting a staged release of many tables: ``python -m benchmarks.promoting make|penstock|by_hand FOLDER …``.

Both leave the seconds of the move itself, without the start of Python, in ``seconds`` of the folder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_AT = datetime(2026, 11, 20, tzinfo=UTC)
_HANDS = 8


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, *numbers = sys.argv[1:]
    WORKS[work](Path(folder), *map(int, numbers))


def make(folder: Path, tables: int, rows: int) -> None:
    """Make a production with a release, and a candidate in which every table is another one, approved and staged."""
    from penstock.model.codec import encode
    from penstock.promote.promoting import Promoting, promote, stage
    from penstock.promote.proposing import Proposing, candidate

    ports = _ports(folder)
    names = tuple(f"t{number:03}" for number in range(tables))
    for version in (1, 2):
        for name in names:
            _version(ports, name, version, rows)
        found = candidate(Proposing(pipeline="p", tables=names, created_at=_AT), ports)
        if version == 1:
            promote(Promoting(candidate=found, by="ada", at=_AT), ports)
    stage(found, ports)
    (folder / "candidate.json").write_bytes(encode(found))
    ports.engine.close()


def _version(ports: Any, name: str, version: int, rows: int) -> None:
    from penstock.model.entries import Column, DataFile, Entry, EntryKind

    table = ports.staging.table(name)
    path = f"part-{version}.parquet"
    query = f"SELECT i AS id, {version}::BIGINT AS release, md5(i::VARCHAR) AS text FROM range({rows}) t(i)"
    with ports.engine.session() as connection:
        connection.execute(f"COPY ({query}) TO '{table.uri(path)}' (FORMAT parquet)")
    file = DataFile(path=path, rows=rows, bytes=os.path.getsize(table.uri(path)), statistics={})
    table.commit(
        Entry(
            table=name,
            number=version,
            previous=None,
            kind=EntryKind.VERSION,
            created_at=_AT,
            files=(file,),
            removed=tuple(old.path for old in table.live()),
            schema=tuple(
                Column(name=column, type=type_)
                for column, type_ in (("id", "BIGINT"), ("release", "BIGINT"), ("text", "VARCHAR"))
            ),
            rows=rows,
        ),
        (),
    )


def penstock(folder: Path) -> None:
    """Promote the candidate."""
    import deltalake.transaction  # noqa: F401 - by hand it is imported before the clock starts, too

    from penstock.model.codec import decode
    from penstock.model.releases import Candidate
    from penstock.promote.promoting import Promoting, promote

    ports = _ports(folder)
    found = decode(Candidate, (folder / "candidate.json").read_bytes(), where="it")
    with ports.engine.session(plain=True):
        pass
    begun = time.perf_counter()
    promote(Promoting(candidate=found, by="ada", at=_AT), ports)
    (folder / "seconds").write_text(str(time.perf_counter() - begun))
    ports.engine.close()


def by_hand(folder: Path) -> None:
    """Do the least: link the files, commit each Delta table, name the release, rename the warehouse."""
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction

    found = json.loads((folder / "candidate.json").read_bytes())
    lake, staging = folder / "production" / "lake", folder / "staging" / "lake"
    begun = time.perf_counter()

    def move(table: dict[str, Any]) -> None:
        place = lake / table["table"]
        for file in table["files"]:
            if not (place / file["path"]).exists():
                os.link(staging / table["table"] / file["path"], place / file["path"])
        delta = DeltaTable(str(place))
        added = [AddAction(file["path"], file["bytes"], {}, 0, True, "{}") for file in table["files"]]
        delta.create_write_transaction(added, "overwrite", delta.schema(), [])

    with ThreadPoolExecutor(_HANDS) as hands:
        list(hands.map(move, found["tables"]))
    (lake / "releases" / "2.json").write_text(json.dumps(found))
    (built,) = (folder / "production" / "warehouse.releases").glob("staged-*.duckdb")
    os.replace(built, folder / "production" / "warehouse.duckdb")
    (lake / "releases" / "current").write_text('{"release": 2}')
    (folder / "seconds").write_text(str(time.perf_counter() - begun))


def seen(folder: Path) -> tuple[int, set[int], set[int]]:
    """Return how many tables the warehouse has, and the releases that are found in it and in the Delta tables."""
    import duckdb
    from deltalake import DeltaTable

    production = folder / "production"
    with duckdb.connect(str(production / "warehouse.duckdb"), read_only=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        served = {connection.execute(f"SELECT max(release) FROM {name}").fetchall()[0][0] for name in tables}
    with duckdb.connect() as connection:
        files = [DeltaTable(str(production / "lake" / name)).file_uris() for name in tables]
        query = "SELECT max(release) FROM read_parquet(?)"
        delta = {connection.execute(query, [uris]).fetchall()[0][0] for uris in files}
    return len(tables), served, delta


def _ports(folder: Path) -> Any:
    from penstock.promote.ports import PromotePorts
    from penstock.stores.engine import LocalEngine
    from penstock.stores.lake import DeltaLake

    return PromotePorts(
        DeltaLake(folder / "staging" / "lake"),
        DeltaLake(folder / "production" / "lake"),
        str(folder / "production" / "warehouse.duckdb"),
        LocalEngine(),
    )


WORKS = {"make": make, "penstock": penstock, "by_hand": by_hand}

if __name__ == "__main__":
    main()
