"""Drift of columns together: whether a classifier can tell new rows from those of the reference.

Columns may keep their distributions while what they say of each other changes. If a classifier that has seen some rows
of both tells others apart better than by chance, the two differ (Lopez-Paz and Oquab, Revisiting Classifier Two-Sample
Tests, 2017). Needs ``penstock[drift]``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from penstock.errors import MissingExtraError
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 10_000
"""Rows of each side that are worth being looked at."""
_LEAST_ROWS = 50
_FOLDS, _SEED = 5, 0
_MOST_CATEGORIES = 200
_NAMES_SHARE = 0.9
"""Of the rows: text and whole numbers with so many different values name a row."""
_TELLING, _MOST_TELLING = 0.005, 5
"""How much worse it gets without a column that is worth naming, and how many are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDrift:
    """How well rows can be told apart.

    Attributes:
        area: Area under the ROC curve over rows that the classifier had not seen; 0.5 is chance, 1 is certainty.
        limit: From which on it counts, given the numbers of rows.
        rows: Rows of the reference and of what is compared that were looked at.
        columns: The columns that tell most, with how much the area falls if their values are shuffled.
    """

    area: float
    limit: float
    rows: tuple[int, int]
    columns: tuple[tuple[str, float], ...] = ()

    @property
    def drifted(self) -> bool:
        """Say whether the rows can be told apart."""
        return self.area > self.limit


def classify(
    reference: pa.Table, current: pa.Table, *, chance: float = 0.001, least: float = 0.05
) -> DomainDrift | None:
    """Return how well rows can be told apart; None where there are too few rows, or no column to tell them by.

    Args:
        reference: Rows of the reference, as a fair sample.
        current: The rows that are compared, with the same columns.
        chance: The chance of a false alarm.
        least: How far above 0.5 the area must be to matter.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.inspection import permutation_importance
        from sklearn.metrics import roc_auc_score
        from sklearn.model_selection import StratifiedKFold
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingExtraError("Telling rows apart by a classifier", "drift") from None
    import numpy as np
    import pyarrow as pa

    n, m = reference.num_rows, current.num_rows
    encoded = dict(_encoded(pa.concat_tables([reference, current], promote_options="permissive")))
    if min(n, m) < _LEAST_ROWS or not encoded:
        return None
    names, rows = list(encoded), np.column_stack([values for values, _ in encoded.values()])
    side = np.concatenate([np.zeros(n), np.ones(m)])
    scores = np.empty(n + m)
    # So few rows take a second; threads that wait for each other beside other work take many.
    with threadpool_limits(1):
        for seen, unseen in StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED).split(rows, side):
            categories = [category for _, category in encoded.values()]
            model = HistGradientBoostingClassifier(max_iter=60, random_state=_SEED, categorical_features=categories)
            scores[unseen] = model.fit(rows[seen], side[seen]).predict_proba(rows[unseen])[:, 1]
    # The area of scores that tell nothing is that of Mann and Whitney's statistic.
    deviation = math.sqrt((n + m + 1) / (12 * n * m))
    limit = 0.5 + max(least, NormalDist().inv_cdf(1 - chance) * deviation)
    area, told = float(roc_auc_score(side, scores)), list[tuple[str, float]]()
    if area > limit:
        with threadpool_limits(1):
            shuffled = permutation_importance(
                model, rows[unseen], side[unseen], scoring="roc_auc", n_repeats=3, random_state=_SEED
            )
        told = sorted(zip(names, map(float, shuffled.importances_mean), strict=True), key=lambda each: -each[1])
    columns = tuple(each for each in told[:_MOST_TELLING] if each[1] >= _TELLING)
    return DomainDrift(area=area, limit=limit, rows=(n, m), columns=columns)


def _encoded(rows: pa.Table) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """Yield columns as numbers, NaN for none, and whether they are categories, without moments and names of rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(rows.column_names, rows.columns, strict=True):
        kind, present = column.type, len(column) - column.null_count
        number = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        known = number or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
        if not known or not present:
            continue
        if not number and present > _LEAST_ROWS and pc.count_distinct(column).as_py() > _NAMES_SHARE * present:
            continue
        if pa.types.is_string(kind):
            yield name, (_categories(column), True)
        else:
            yield name, (pc.cast(column, pa.float64(), safe=False).to_numpy().astype("float64"), False)


def _categories(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = column.drop_null().value_counts()
    most = pc.take(counted.field("values"), pc.array_sort_indices(counted.field("counts"), order="descending"))
    found = pc.index_in(column, value_set=most.slice(0, _MOST_CATEGORIES))
    # Rare values are one category of their own, apart from missing ones.
    rare = pc.and_(pc.is_valid(column), pc.is_null(found))
    return pc.cast(pc.if_else(rare, _MOST_CATEGORIES, found), pa.float64()).to_numpy().astype("float64")
