"""Which rows mean that the source has deleted their key."""

from __future__ import annotations

from penstock.errors import ConfigurationError
from penstock.load.change import Change, Prepared, column_of
from penstock.model.specs import Deletes
from penstock.queries.text import identifier, literal

_NUMBERS = ("INT", "DECIMAL", "FLOAT", "DOUBLE")


def deletion_column(change: Change, prepared: Prepared) -> tuple[str, str] | None:
    """Return the column that says deletion, by its warehouse name, and its type; None where there is none."""
    deletes = change.spec.source.deletes
    if deletes is None or deletes.column is None:
        return None
    name = column_of(change, prepared, deletes.column)
    return name, prepared.types[name.lower()]


def means_deletion(change: Change, prepared: Prepared, row: str) -> str:
    """Return the SQL that a row means deletion; never null.

    Raises:
        ConfigurationError: The column holds numbers, of which none is named; a named value is none of its type.
    """
    deletes, found = change.spec.source.deletes, deletion_column(change, prepared)
    if deletes is None or found is None:
        return "false"
    name, type_ = found
    column = f"{row}.{identifier(name)}"
    if deletes.values:
        return f"coalesce({column} IN ({_values(change, deletes, type_)}), false)"
    if type_ == "BOOLEAN" and not deletes.any_value:
        return f"coalesce({column}, false)"
    if any(number in type_ for number in _NUMBERS) and type_ != "INTERVAL" and not deletes.any_value:
        raise ConfigurationError(
            f"The column {deletes.column!r}, by which {change.spec.source.table!r} says deletions, holds numbers, and "
            "which of them mean it is not said",
            value=type_,
            valid=f'deletes={{"column": "{deletes.column}", "values": [1]}}, or "values": "any" for all but null',
        )
    return f"{column} IS NOT NULL"


def _values(change: Change, deletes: Deletes, type_: str) -> str:
    listed = []
    for value in deletes.values:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        cast = f"TRY_CAST({literal(text)} AS {type_})"
        if change.ports.transaction.execute(f"SELECT {cast} IS NULL") == [(True,)]:
            raise ConfigurationError(
                f"The column {deletes.column!r}, by which {change.spec.source.table!r} says deletions, holds {type_}",
                value=value,
                valid=f"values of the type {type_}",
            )
        listed.append(cast)
    return ", ".join(listed)
