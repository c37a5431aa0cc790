"""What the builder did, as other processes read it: totals, last receipts, and what is kept.

The ledger is the only source: the builder writes the totals with each receipt, in one transaction.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.core.build_receipt import Receipt
from generator.core.measurements import Totals

_BLANK = Receipt().as_dict()  # what a receipt of an earlier release lacks
TOTALS = "totals"  # a fact: see Engine._put_receipt


@dataclass(frozen=True, slots=True)
class BuildFigures:
    """What a ledger has of the refreshes so far.

    `cursor` is the last event that pages show, and `cursor_event` its id; `receipts` are the last
    ones, newest first; `pages`, `bytes` and `fragments` are what is kept.
    """

    cursor: int = 0
    cursor_event: str = ""
    totals: Totals = field(default_factory=dict)
    receipts: tuple[Mapping[str, Any], ...] = ()
    pages: int = 0
    bytes: int = 0
    fragments: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)


def build_figures(file: Path, receipts: int = 20, *, sizes: bool = False) -> BuildFigures:
    """Return what a ledger has. It only reads; the ledger may be missing.

    Args:
        file: the ledger.
        receipts: how many of them.
        sizes: also count what is kept, which takes longer the larger the site is.
    """
    if not file.is_file():
        return BuildFigures()
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            ledger.execute("BEGIN")  # one state of all tables
            return _read(ledger, receipts, sizes=sizes)
    except sqlite3.DatabaseError:  # it is being created
        return BuildFigures()


def _read(ledger: sqlite3.Connection, receipts: int, *, sizes: bool) -> BuildFigures:
    facts = dict(
        ledger.execute(
            "SELECT name, value FROM fact WHERE name IN ('cursor', 'cursor_event', ?)", (TOTALS,)
        )
    )
    rows = ledger.execute("SELECT receipt FROM refresh ORDER BY id DESC LIMIT ?", (receipts,))
    pages = size = fragments = 0
    if sizes:
        query = "SELECT count(*), coalesce(sum(size), 0) FROM page"
        pages, size = ledger.execute(query).fetchone()
        (fragments,) = ledger.execute("SELECT 2 * count(*) FROM video_snapshot").fetchone()
    return BuildFigures(
        int(facts.get("cursor", 0)),
        facts.get("cursor_event", ""),
        json.loads(facts.get(TOTALS) or "{}").get("now", {}),
        tuple({**_BLANK, **json.loads(receipt)} for (receipt,) in rows),
        pages,
        size,
        fragments,
        dict(ledger.execute("SELECT path, reason FROM failed ORDER BY path LIMIT 20")),
    )
