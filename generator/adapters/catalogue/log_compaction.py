"""Compacts the log: views that are old enough become counts by day.

An event's id is needed as long as the event may be sent again. After that a view needs no row of
its own: the tables have its count. All other events stay.
"""

import sqlite3
from collections import Counter

KEPT_S = 45 * 86400  # longest delay of an event, dead-letter queue included
_DAY_S = 86400
_CURSOR_FACT = "compacted"  # the fact with the last event processed


def compact(connection: sqlite3.Connection, now: int, cursor: int, most: int) -> int:
    """Process up to `most` events that are old enough; return how many. Within a transaction.

    Only those before `cursor`, which pages show: the ledger recognizes the catalogue by the event
    with that number.
    """
    row = connection.execute("SELECT value FROM fact WHERE name = ?", (_CURSOR_FACT,)).fetchone()
    events = connection.execute(
        "SELECT seq, kind, video, value ->> 'count', at, source, id,"
        " id IN (SELECT event FROM undone) FROM event"
        " WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?",
        (int(row[0]) if row else 0, cursor, most),
    ).fetchall()
    old = []
    for event in events:
        if event[4] > now - KEPT_S:
            break
        old.append(event)
    if not old:
        return 0
    # an import is recognized by its events when it is repeated
    views = [event for event in old if event[1] == "Viewed" and event[5] != "import"]
    counts: Counter[tuple[int, int]] = Counter()
    for _, _, video, count, at, _, _, is_undone in views:
        if not is_undone:
            counts[video, at // _DAY_S] += 1 if count is None else int(count)
    connection.executemany(
        # views of a merged copy go to the other video, those of a forgotten one nowhere
        "INSERT INTO views_by_day SELECT coalesce(merged_into, id), date(? * 86400, 'unixepoch'), ?"
        " FROM video WHERE id = ? AND (path != '' OR merged_into IS NOT NULL)"
        " ON CONFLICT (video, day) DO UPDATE SET count = count + excluded.count",
        [(day, count, video) for (video, day), count in counts.items()],
    )
    connection.executemany("DELETE FROM event WHERE seq = ?", [(event[0],) for event in views])
    connection.executemany(
        "DELETE FROM undone WHERE event = ?", [(event[6],) for event in views if event[7]]
    )
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_CURSOR_FACT, str(old[-1][0])))
    return len(old)


def count_compactable(connection: sqlite3.Connection, now: int, cursor: int) -> int:
    """Return how many views `compact` would replace; nothing is changed."""
    row = connection.execute("SELECT value FROM fact WHERE name = ?", (_CURSOR_FACT,)).fetchone()
    done = int(row[0]) if row else 0
    (end,) = connection.execute(
        "SELECT coalesce(min(seq), ?1) FROM event WHERE seq > ?2 AND seq < ?1 AND at > ?3",
        (cursor, done, now - KEPT_S),
    ).fetchone()
    (count,) = connection.execute(
        "SELECT count(*) FROM event WHERE seq > ? AND seq < ? AND kind = 'Viewed'", (done, end)
    ).fetchone()
    return int(count)
