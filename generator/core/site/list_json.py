"""The list of videos for scripts: what pages show, and the exact stats, as JSON has them.

It has nothing that pages do not show: no hidden files, and of a description only the visible text.
"""

from generator.core import formatting
from generator.core.media import playability
from generator.core.media.playability import FAMILIES, Playability
from generator.core.model import OutPath, Video, VideoStats
from generator.core.site import descriptions, urls


def entry(
    base: str, video: Video, stats: VideoStats, following: OutPath | None
) -> dict[str, object]:
    """Return one video of the list.

    Args:
        base: where the site lives on its host, "" or "/sub/folder".
        video: as pages show it.
        stats: as they are now.
        following: the watch page of the next video; None at the end.
    """
    path = video.place.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    rating = None
    if stats.score_tenths is not None:
        rating = {"mean": stats.score_tenths / 10, "votes": stats.votes}
    return {
        "id": video.id,
        "root": video.place.root,
        "path": path,
        "file": base + urls.media_path(video.place),
        "title": formatting.readable(video.title),
        "recorded": formatting.iso_time(video.recorded_at, video.recorded_offset_min),
        "added": formatting.rfc3339(video.added_at),
        "duration_s": video.probe.duration_s,
        "size_bytes": video.size_bytes,
        "description": _description(video),
        "tags": list(stats.tags),
        "chapters": [
            {"start_s": one.start_s, "title": formatting.readable(one.title)}
            for one in video.chapters
        ],
        "subtitles": [
            {"language": one.language, "label": formatting.readable(one.label)}
            for one in video.tracks
        ],
        "plays": plays(video),
        "watch": f"{base}/{urls.watch_path_of(video)}",
        "next": f"{base}/{following}" if following else None,
        "stars": stats.stars,
        "favorite": stats.favorite,
        "rating": rating,
        "views": stats.views,
    }


def plays(video: Video) -> list[str] | None:
    """Return the families of browsers that are sure to play a video, or its playable copy.

    Returns:
        None where too little is known of the file to say.
    """
    copy = video.rendition
    if copy is not None and copy.made_by != "remux":
        return list(FAMILIES)
    verdicts = playability.verdicts(video.probe)
    if Playability.UNKNOWN in verdicts.values():
        return None
    good = {Playability.PLAYS, Playability.REMUX} if copy is not None else {Playability.PLAYS}
    return [family for family in FAMILIES if verdicts[family] in good]


def text_line(video: dict[str, object]) -> str:
    """Return an entry as one line for people and for `grep`: number, day, length, file, title."""
    tags = video["tags"]
    assert isinstance(tags, list)
    duration_s = video["duration_s"]
    length = formatting.duration(duration_s if isinstance(duration_s, float) else None) or "-"
    root = f"{video['root']}/" if video["root"] else ""
    return "  ".join(
        (
            f"{video['id']:>7}",
            str(video["recorded"])[:10],
            f"{length:>8}",
            formatting.readable(f"{root}{video['path']}"),
            "-",
            " ".join((str(video["title"]), *(f"#{tag}" for tag in tags))),
        )
    )


def _description(video: Video) -> str:
    if not video.description:
        return ""
    html = descriptions.as_html(
        video.description, descriptions.SeekTarget(""), is_markdown=video.is_markdown
    )
    return descriptions.plain_text(html)
