"""Training sets, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, moment, plural, size


def built(receipt: Any) -> list[Block]:
    """Word what building did (a ``DatasetReceipt``)."""
    word = "is built" if receipt.built else "was there already, unchanged"
    blocks: list[Block] = [
        Line(
            f"Training set {receipt.name} {receipt.version} {word}: {plural(receipt.rows, 'sample')} in "
            f"{plural(receipt.shards, 'shard')}, {size(receipt.bytes)}.",
            "good",
        ),
        table(("split", ">samples", ">share"), _splits(receipt.splits)),
    ]
    if receipt.unlabelled:
        blocks.append(Line(f"{plural(receipt.unlabelled, 'row')} without a label left out.", "faint"))
    blocks += [Line(f"note: {note}", "faint") for note in receipt.notes]
    blocks.append(Line(f"In {receipt.path}"))
    return blocks


def verified(receipt: Any) -> list[Block]:
    """Word what verifying found (a ``VerifyReceipt``)."""
    blocks: list[Block] = [Line(f"passed: {check}", "faint") for check in receipt.passed]
    blocks += [Line(f"failed: {sentence}", "bad") for sentence in receipt.failures]
    state = "is sound" if receipt.sound else "is not sound"
    blocks.append(
        Line(
            f"Training set {receipt.name} {receipt.version} {state}: {plural(receipt.rows, 'sample')} in "
            f"{plural(receipt.shards, 'shard')}, {size(receipt.bytes)} read.",
            "good" if receipt.sound else "bad",
        )
    )
    return blocks


def manifests(listed: Sequence[Any]) -> list[Block]:
    """Word the training sets that there are (``Manifest`` each)."""
    rows = [
        (
            each.name,
            each.version,
            moment(each.created_at),
            count(each.rows),
            ", ".join(f"{name} {count(figures.rows)}" for name, figures in each.splits.items()),
            str(len(each.shards)),
            str(each.release or ""),
        )
        for each in listed
    ]
    return [table(("dataset", "version", "made (UTC)", ">samples", "splits", ">shards", ">release"), rows)]


def _splits(splits: Any) -> list[tuple[str, str, str]]:
    whole = sum(splits.values()) or 1
    return [(name, count(rows), f"{rows / whole:.1%}") for name, rows in splits.items()]
