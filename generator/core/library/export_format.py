"""The forms of an export: JSON, CSV and .nfo, each a pure function of what the catalogue holds.

Nothing in them depends on the time of the export, so that equal catalogues have equal exports. An
.nfo carries a digest of itself: one that was edited since is recognized, and no longer ours.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.sax.saxutils import escape

from generator.core import formatting
from generator.core.library.import_entries import ImportEntry, ImportField
from generator.core.model import Place, VideoId

FORMAT = "reelshelf-export/1"
CSV_COLUMNS = ("path", "stars", "favorite", "views", "tags")
JSON_START = b'{"format": "reelshelf-export/'  # how every export in this form begins
CSV_START = ",".join(CSV_COLUMNS).encode() + b"\r\n"
_NFO_MARK = re.compile(
    rb'<\?xml version="1\.0" encoding="UTF-8" standalone="yes"\?>\n'
    rb"<!-- Written by reelshelf export; sha256 of what follows: ([0-9a-f]{64}) -->\n"
)
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class ExportedVideo:
    """All that people did to a video, exactly, and where its metadata is from.

    `sources` has by field the source whose value is shown; `tags_by_source` the tags of every
    source but users, those that a user removed too. `votes` are (visitor, stars, instant), and
    `visitor_favorites` (visitor, instant), by visitor.
    """

    id: VideoId
    place: Place
    title: str
    added_at: int
    recorded_at: int
    recorded_offset_min: int | None
    missing_at: int | None
    stars: int | None = None
    stars_at: int | None = None
    favorite_at: int | None = None
    views: int = 0
    last_viewed_at: int | None = None
    tags: tuple[str, ...] = ()
    user_tags: tuple[str, ...] = ()
    removed_tags: tuple[str, ...] = ()
    tags_by_source: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    votes: tuple[tuple[str, int, int], ...] = ()
    visitor_favorites: tuple[tuple[str, int], ...] = ()


def json_export(
    videos: Iterable[ExportedVideo], waiting: Iterable[Mapping[str, object]] = ()
) -> Iterator[bytes]:
    """Yield an export as one JSON object, one video a line.

    Args:
        videos: in the order in which they are to stand.
        waiting: imported entries whose file has not come, as they are to stand.
    """
    yield _bytes(f'{{"format": "{FORMAT}", "videos": [')
    yield from _lines(map(json_entry, videos))
    yield b'], "waiting": ['
    yield from _lines(waiting)
    yield b"]}\n"


def _lines(entries: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    before = "\n"
    for entry in entries:
        yield _bytes(before + _encode(entry))
        before = ",\n"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def json_entry(video: ExportedVideo) -> dict[str, object]:
    """Return a video as it stands in an export."""
    path = video.place.path
    raw = path.encode("utf-8", "surrogateescape")
    entry: dict[str, object] = {"id": video.id}
    if video.place.root:
        entry["root"] = video.place.root
    entry["path"] = raw.decode("utf-8", "replace")
    if not _is_text(path):
        entry["path_bytes"] = quote(raw)
    return entry | {
        "title": formatting.readable(video.title),
        "stars": video.stars,
        "stars_at": _time(video.stars_at),
        "favorite": video.favorite_at is not None,
        "favorite_at": _time(video.favorite_at),
        "views": video.views,
        "last_viewed": _time(video.last_viewed_at),
        "tags": video.tags,
        "user_tags": video.user_tags,
        "removed_tags": video.removed_tags,
        "sources": {**video.sources, "tags": video.tags_by_source},
        "added": formatting.rfc3339(video.added_at),
        "recorded": formatting.iso_time(video.recorded_at, video.recorded_offset_min),
        "missing_since": _time(video.missing_at),
        "votes": [
            {"visitor": visitor, "stars": stars, "at": _time(at)}
            for visitor, stars, at in video.votes
        ],
        "visitor_favorites": [
            {"visitor": visitor, "at": _time(at)} for visitor, at in video.visitor_favorites
        ],
    }


def waiting_row(entry: ImportEntry) -> dict[str, object]:
    """Return an imported entry that waits for its file, as it stands in an export."""
    value: object = entry.value
    if entry.field is ImportField.FAVORITE:
        value = True
    elif entry.field is ImportField.ADDED:
        value = formatting.rfc3339(int(str(entry.value)))
    return {
        "key": entry.key,
        "field": entry.field,
        "value": value,
        "at": _time(entry.at),
        "visitor": entry.visitor or None,
    }


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time(instant: int | None) -> str | None:
    return None if instant is None else formatting.rfc3339(instant)


# -- CSV


def csv_export(videos: Iterable[ExportedVideo]) -> Iterator[bytes]:
    """Yield an export as CSV (RFC 4180), a line for each video; a root stands before the path."""
    yield CSV_START
    for video in videos:
        root = f"{video.place.root}/" if video.place.root else ""
        path = video.place.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        line = io.StringIO()
        csv.writer(line).writerow(
            (
                root + path,
                "" if video.stars is None else video.stars,
                "false" if video.favorite_at is None else "true",
                video.views,
                join_tags(video.tags),
            )
        )
        yield _bytes(line.getvalue())


def join_tags(tags: Iterable[str]) -> str:
    r"""Return tags as one field, with ";" between them; one within a tag is written "\;"."""
    return ";".join(re.sub(r"(\\*)(;|\Z)", _escape_end, tag) for tag in tags)


def _escape_end(match: re.Match[str]) -> str:
    """Escape a ";", and double the backslashes before it or before the end."""
    return match[1] * 2 + (match[2] and rf"\{match[2]}")


def split_tags(text: str) -> tuple[str, ...]:
    """Return the tags that `join_tags` joined."""
    tags, tag, at = [], "", 0
    while at < len(text):
        run = len(text) - at - len(text[at:].lstrip("\\"))
        ends = at + run == len(text)
        if run and (ends or text[at + run] == ";"):
            tag += "\\" * (run // 2)
            at += run
            if run % 2:  # the last backslash escapes what follows
                tag += text[at : at + 1] or "\\"
                at += 1
        elif text[at] == ";":
            tags.append(tag)
            tag, at = "", at + 1
        else:
            tag += text[at : at + max(run, 1)]
            at += max(run, 1)
    return tuple(name for name in (*tags, tag) if name)


# -- .nfo


def nfo_content(video: ExportedVideo) -> bytes:
    """Return what people did to a video as Kodi and Jellyfin write it, times in UTC."""
    elements = [("title", formatting.readable(video.title))]
    if video.stars is not None:
        elements.append(("userrating", str(2 * video.stars)))
    elements += [("playcount", str(video.views)), ("watched", _word(video.views > 0))]
    if video.last_viewed_at is not None:
        elements.append(("lastplayed", _nfo_time(video.last_viewed_at)))
    elements.append(("isuserfavorite", _word(video.favorite_at is not None)))
    elements += [("tag", tag) for tag in video.tags]
    elements.append(("dateadded", _nfo_time(video.added_at)))
    lines = [f"  <{name}>{escape(_NOT_XML.sub('', text))}</{name}>\n" for name, text in elements]
    body = f"<movie>\n{''.join(lines)}</movie>\n".encode()
    digest = hashlib.sha256(body).hexdigest()
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f"<!-- Written by reelshelf export; sha256 of what follows: {digest} -->\n"
    ).encode() + body


def is_own_nfo(content: bytes) -> bool:
    """Return whether an .nfo is an export of ours that nobody edited since."""
    mark = _NFO_MARK.match(content)
    if mark is None:
        return False
    return hashlib.sha256(content[mark.end() :]).hexdigest().encode() == mark[1]


def _word(is_so: bool) -> str:  # noqa: FBT001 (XML has words for it)
    return "true" if is_so else "false"


def _nfo_time(instant: int) -> str:
    return formatting.rfc3339(instant).replace("T", " ").removesuffix("Z")
