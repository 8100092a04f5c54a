"""An HTML document of one file: no script, nothing from elsewhere; whoever makes its lines escapes every value."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from penstock.errors import ConfigurationError

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d9dee4; --paper: #ffffff; --tint: #f4f6f8;
  --good: #1a7f4b; --warn: #9a6700; --bad: #c0262d; --bar: #5b7fa6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #98a3ae; --line: #333b44; --paper: #14181d;
  --tint: #1c2229; --good: #4cc38a; --warn: #e0a83b; --bad: #ff7b72; --bar: #7ea6d1; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .4rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .2rem 0 .6rem; } .soft { color: var(--soft); font-size: .9rem; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 500; }
td, th { padding: .4rem .8rem .4rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { overflow-wrap: anywhere; min-width: 12rem; } svg { display: block; } rect { fill: var(--bar); }
rect.last { fill: var(--ink); } rect.none { fill: var(--line); }
article { border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 6px; padding: 1rem 1.2rem;
  margin: 0 0 1rem; } article.warn-edge { border-left-color: var(--warn); }
pre { background: var(--tint); border-radius: 6px; padding: .8rem; overflow-x: auto;
  font: .82rem/1.45 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .4rem 0 0; } summary { cursor: pointer; color: var(--soft); }
.columns { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.2rem; }
.columns td.name { min-width: 0; } .columns section { border-top: 1px solid var(--line); padding-top: .6rem; }
rect.before { fill: var(--line); } polyline { fill: none; stroke: var(--bar); stroke-width: 2; }
section.bad-edge { border-top-color: var(--bad); } section.bad-edge polyline { stroke: var(--bad); }
.key { display: inline-block; width: .9rem; height: .7rem; margin: 0 .35rem 0 0; background: var(--line); }
.key.now { height: 0; margin: 0 .35rem .2rem .8rem; border-top: 2px solid var(--bar); background: none; }
@media print { body { max-width: none; padding: 0; } article { break-inside: avoid; } }
"""


def document(title: str, lines: Iterable[str]) -> str:
    """Return a document.

    Args:
        title: Of the page, as text.
        lines: HTML of its body.
    """
    # Not even a value that got through as markup could run: the page itself forbids all scripts.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body><main>",
    ]
    return "\n".join([*head, *lines, "</main></body></html>", ""])


def write(file: str, text: str) -> None:
    """Write a document to a file.

    Raises:
        ConfigurationError: It cannot be written there.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--html: {file} cannot be written", value=error.strerror, remedy="Name a file in a folder that exists"
        ) from error
