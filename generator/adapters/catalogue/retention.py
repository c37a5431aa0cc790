"""Thinning the log: views that are old enough become counts by day.

An event's id is needed as long as somebody may tell it again. After that a view is worth no row of
its own: what it added to stands in the tables. All other events stay.
"""

import sqlite3
from collections import Counter

KEPT_S = 45 * 86400  # so long may a queue, and whoever mends one, hold an event back
_DAY_S = 86400
_PLACE = "thinned"  # the fact that names the last event looked at


def thin(connection: sqlite3.Connection, now: int, cursor: int, most: int) -> int:
    """Look at up to `most` events that are old enough; return at how many. Within a transaction.

    Only at those before `cursor`, which pages show: by the event of that number itself the ledger
    knows the catalogue again.
    """
    row = connection.execute("SELECT value FROM fact WHERE name = ?", (_PLACE,)).fetchone()
    events = connection.execute(
        "SELECT seq, kind, video, value ->> 'count', at FROM event"
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
    views = [event for event in old if event[1] == "Viewed"]
    counts: Counter[tuple[int, int]] = Counter()
    for _, _, video, count, at in views:
        counts[video, at // _DAY_S] += 1 if count is None else int(count)
    connection.executemany(
        # of a copy that became part of another video, for that; of a forgotten one, for none
        "INSERT INTO viewed SELECT coalesce(merged_into, id), date(? * 86400, 'unixepoch'), ?"
        " FROM video WHERE id = ? AND (path != '' OR merged_into IS NOT NULL)"
        " ON CONFLICT (video, day) DO UPDATE SET count = count + excluded.count",
        [(day, count, video) for (video, day), count in counts.items()],
    )
    connection.executemany("DELETE FROM event WHERE seq = ?", [(event[0],) for event in views])
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_PLACE, str(old[-1][0])))
    return len(old)
