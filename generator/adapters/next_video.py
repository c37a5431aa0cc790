"""The next video of a watch page, read from the ledger while another process may be building.

It opens the file read-only and creates none: listing videos is no reason to create a ledger.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from generator.adapters.ledger import ListView
from generator.core.model import OutPath, Video, VideoId
from generator.core.site import urls
from generator.core.site.orders import SortKey, member, video_key
from generator.core.site.scopes import Scope, ScopeKind, folder_of, limits_of
from generator.core.site.shelves import ListingEditor
from generator.core.video_json import decode_video

WATCH_KEY = (
    SortKey.PLACE
)  # by which watch pages of a folder follow each other (plan/watch_pages.py)
_MANY = 64  # from that many videos of a folder on, reading the bounds of all shelves is cheaper


def following_pages(file: Path, videos: Sequence[VideoId]) -> dict[VideoId, OutPath]:
    """Return the target of "Next" on the watch pages of videos; those without one are left out.

    It only reads, in one snapshot; the ledger may be missing.
    """
    if not file.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            ledger.execute("BEGIN")
            return _following(ledger, videos)
    except sqlite3.DatabaseError:  # it is being created
        return {}


def _following(ledger: sqlite3.Connection, videos: Sequence[VideoId]) -> dict[VideoId, OutPath]:
    by_scope: dict[Scope, list[Video]] = defaultdict(list)
    for video in _shown(ledger, videos).values():
        by_scope[Scope(ScopeKind.FOLDER, folder_of(video.place))].append(video)
    following: dict[VideoId, VideoId] = {}
    for scope, members in by_scope.items():
        row = ledger.execute(
            "SELECT list.id, next_number FROM list JOIN scope ON scope.id = list.scope"
            " WHERE kind = ? AND name = ? AND key = ?",
            (scope.kind, _sql(scope.name), WATCH_KEY),
        ).fetchone()
        if row is None:
            continue
        view = ListView(ledger, row[0], whole=len(members) > _MANY)
        editor = ListingEditor(view, limits_of(scope), row[1])
        for video in members:
            for key in editor.near(video_key(video, WATCH_KEY), 1, up=True):
                following[video.id] = VideoId(member(key))
    pages = _shown(ledger, sorted(set(following.values())))
    return {
        video: urls.watch_path_of(pages[next_video])
        for video, next_video in following.items()
        if next_video in pages
    }


def _shown(ledger: sqlite3.Connection, videos: Sequence[VideoId]) -> dict[VideoId, Video]:
    marks = ",".join("?" * len(videos))
    query = f"SELECT video, facts FROM video_snapshot WHERE video IN ({marks})"  # noqa: S608 (marks)
    return {VideoId(i): decode_video(i, facts) for i, facts in ledger.execute(query, videos)}


def _sql(name: str) -> str | bytes:
    raw = name.encode("utf-8", "surrogateescape")
    return name if raw.decode("utf-8", "replace") == name else raw
