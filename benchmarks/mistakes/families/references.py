"""Mistakes of codes that refer to another table."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def neighbour(site: Site, code: str) -> str:
    """Return the SELECT that gives each value the one after it in the sorted list of the batch's values."""
    return (
        f"SELECT batch.* REPLACE (list.following AS {code}) FROM batch LEFT JOIN (SELECT code, coalesce("
        "lead(code) OVER (ORDER BY code), min(code) OVER ()) AS following "
        f"FROM (SELECT DISTINCT {code} AS code FROM batch WHERE {code} IS NOT NULL)) AS list "
        f"ON batch.{code} = list.code ORDER BY batch.rowid"
    )


def _orphaned(site: Site, code: str) -> str:
    salt = site.dice.getrandbits(30)
    invented = f"upper(left(md5(concat({code}, '/', {salt})), greatest(2, length({code}))))"
    return site.setting({code: invented}, site.some(f"{code} IS NOT NULL"))


MISTAKES = (
    Mistake(
        "unknown code",
        "One code has been replaced by one that the other table does not know yet.",
        ("reference",),
        lambda site, code: site.setting({code: "'XQ9'"}, f"{code} = {site.value(code, 0.01, 0.6)}"),
    ),
    Mistake("orphans", "Some rows refer to entries that never were.", ("reference",), _orphaned),
    Mistake(
        "code list changed",
        "All codes are those of another standard.",
        ("reference",),
        lambda site, code: site.setting({code: f"'{site.dice.choice(('K', 'X-', '00', 'EU'))}' || {code}"}),
    ),
    Mistake(
        "references shuffled",
        "Each row refers to the entry of another row.",
        ("reference",),
        lambda site, code: site.moved(code, site.shuffled()),
    ),
    Mistake(
        "neighbour's entry", "A list was off by one line: each code stands for the next one.", ("reference",), neighbour
    ),
    Mistake(
        "reference not found",
        "A left join that found nothing for some rows.",
        ("reference",),
        lambda site, code: site.setting({code: "NULL"}, site.some(f"{code} IS NOT NULL")),
    ),
)
