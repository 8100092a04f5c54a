"""The queries of a pipeline, parsed: texts that an earlier run has seen are not parsed again, nor is the parser loaded.

So the time of a plan grows with the queries that changed, and a later parser, which might print what a query means in
another way, has no table computed anew whose text stayed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from penstock.catalog.port import Catalog
from penstock.model.queries import ParsedQuery
from penstock.model.specs import TransformSpec

_RULES = 1
"""To be raised with what ``queries.edges`` finds or refuses: texts are parsed anew then."""


def parsed(pipeline: str, transforms: Iterable[TransformSpec], catalog: Catalog) -> dict[str, ParsedQuery]:
    """Return table to parsed query of the transforms that are queries.

    Args:
        pipeline: Their pipeline.
        transforms: All of its transforms.
        catalog: Knows the texts that were parsed before, and is told of new ones.

    Raises:
        ConfigurationError: A query cannot be parsed, or does what no transform may.
    """
    texts = {transform.table: (_digest(transform), transform) for transform in transforms if transform.sql is not None}
    known = catalog.queries(pipeline) if texts else {}
    found = {digest: known.get(digest) or parse(transform) for digest, transform in texts.values()}
    if found.keys() - known.keys():
        catalog.put_queries(pipeline, found)
    return {table: found[digest] for table, (digest, _) in texts.items()}


def _digest(transform: TransformSpec) -> str:
    text = f"{_RULES}\n{transform.sql}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def parse(transform: TransformSpec) -> ParsedQuery:
    """Parse the query of a transform that is one; raises ConfigurationError as ``parsed`` does."""
    from penstock.queries import edges

    sql, origin = transform.sql or "", transform.origin or transform.table
    return ParsedQuery(tables=edges.edges(sql, origin=origin), meaning=edges.meaning(sql, origin=origin))
