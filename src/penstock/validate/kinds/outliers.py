"""Outliers: where the others lie is measured first, then a row is judged by itself."""

from __future__ import annotations

from dataclasses import replace

from penstock.profiles.ranges import MAD_TO_DEVIATION
from penstock.queries.text import identifier
from penstock.validate.bound import Bound
from penstock.validate.kinds.figures import finite
from penstock.validate.rows import Rows

_CENTRES = {
    "iqr": "SELECT q[1], q[2], q[2] - q[1] FROM (SELECT quantile_cont({x}, [0.25, 0.75]) AS q FROM {rows})",
    "zscore": "SELECT avg({x}), avg({x}), stddev_pop({x}) FROM {rows}",
    "mad": f"SELECT median({{x}}), median({{x}}), {MAD_TO_DEVIATION} * mad({{x}}) FROM {{rows}}",
}


def settled(check: Bound, rows: Rows) -> Bound:
    """Return the check with what fails it, once the spread of the values is known."""
    column = rows.column(check.columns[0], where=check.spec.name)
    number, name = finite(column, f"check {check.spec.name!r} of {rows.table}"), identifier(column.name)
    kept = number + " IS NOT NULL" + ("" if check.where is None else f" AND {check.where}")
    source = f"{rows.sql(check.reads)} WHERE {kept}"
    query = _CENTRES[check.says("method")].format(x=number, rows=source)
    ((low, high, spread),) = rows.connection.execute(query).fetchall()
    endless = f"{name} IS NOT NULL AND {number} IS NULL"
    if low is None or not spread:
        return replace(check, fails=endless, expectation=f"{column.name} is no finite number")
    least, most = low - check.says("factor") * spread, high + check.says("factor") * spread
    outside = f"{number} NOT BETWEEN CAST('{least!r}' AS DOUBLE) AND CAST('{most!r}' AS DOUBLE)"
    return replace(
        check,
        fails=f"({endless}) OR ({number} IS NOT NULL AND {outside})",
        expectation=f"{column.name} is far from the others, outside {least:.6g} to {most:.6g},",
    )
