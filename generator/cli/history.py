"""`history`, `undo`, `redo` and `state`: what people did, taken back, and what was before."""

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.history import HistoryEntry, PastEvent
from generator.cli.help import CARE, LOOK
from generator.cli.inspect_site import find_video
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core.errors import SettingsError
from generator.core.formatting import counted, readable, rfc3339
from generator.core.model import Event, EventKind, VideoStats

_CLI = "cli"  # the source of events
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
EventName = Annotated[
    str | None,
    typer.Argument(metavar="[EVENT]", help="The number or id of an event, or the id of a batch."),
]


@app.command(rich_help_panel=LOOK)
def history(
    video: Annotated[
        str | None, typer.Argument(help="A video's file or number; without it, all videos.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many lines.")
    ] = 20,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List what people did, newest first: ratings, favorites, tags, imports and undone ones.

    What was done at once (an import, a renamed tag) is one line. Views are not listed.
    """
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        if video is None:
            entries = catalogue.history.entries(limit)
        else:
            number = find_video(video, settings, catalogue)
            if number is None:
                raise SettingsError(
                    f"no video is named {video}",
                    hint='a video is named by its file like "Norway/fjord.mp4" or its number',
                )
            events = catalogue.history.of_video(number, limit)
            entries = [HistoryEntry(event, 1, int(event.is_undone)) for event in events]
        rows = [_row(entry, catalogue) for entry in entries]
    show(as_json, {"history": rows}, "\n".join(map(_line, rows)) or "nothing yet")


@app.command(rich_help_panel=CARE)
def undo(
    event: EventName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what it would undo.")] = (
        False
    ),
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Undo what people did last, or one event; a batch (import, retag) is undone as a whole.

    It is recorded as new events: nothing leaves the log, and `redo` takes it back.
    """
    with open_catalogue(settled(config)) as catalogue:
        past = catalogue.history
        events = past.last_done() if event is None else past.find(event)
        answers = [] if dry_run else catalogue.undo(events, now(), _CLI)
        _tell(catalogue, "undone", events, answers, as_json=as_json, dry_run=dry_run)


@app.command(rich_help_panel=CARE)
def redo(event: EventName = None, config: Config = None, as_json: Json = False) -> None:
    """Redo what was undone last, or one event."""
    with open_catalogue(settled(config)) as catalogue:
        past = catalogue.history
        events = past.last_undone() if event is None else past.find(event)
        answers = catalogue.redo(events, now(), _CLI)
        _tell(catalogue, "redone", events, answers, as_json=as_json, dry_run=False)


@app.command(rich_help_panel=LOOK)
def state(
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="DATE", help="2026-11-30 (its end, UTC) or 2026-11-30T12:00:00Z."
        ),
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the ratings, favorites, views and tags of all videos as they were at a date."""
    instant = _instant(at)
    with open_catalogue(settled(config)) as catalogue, catalogue.at(instant) as past:
        videos = {video.id: video for video in past.shown()}
        figures = past.stats(videos)
        rows = [
            {
                "id": stats.id,
                "path": readable(videos[stats.id].place.path),
                "title": videos[stats.id].title,
                "stars": stats.stars,
                "favorite": stats.favorite,
                "views": stats.views,
                "tags": list(stats.tags),
            }
            for stats in figures
        ]
        lines = [f"{videos[stats.id].title}: {_figures(stats)}" for stats in figures]
    lines.insert(0, f"{counted(len(rows), 'video')} at {rfc3339(instant)}")
    show(as_json, {"at": rfc3339(instant), "videos": rows}, "\n".join(lines))


def _instant(text: str) -> int:
    hint = "write it like 2026-11-30, or like 2026-11-30T12:00:00+01:00"
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise SettingsError(f"not a date: {readable(text)}", hint=hint) from error
    if _DAY.fullmatch(text.strip()):
        moment += timedelta(days=1, seconds=-1)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp())
    except (OverflowError, ValueError) as error:
        raise SettingsError(f"not a date: {readable(text)}", hint=hint) from error


def _figures(stats: VideoStats) -> str:
    parts = [f"{stats.stars} stars"] * (stats.stars is not None) + ["favorite"] * stats.favorite
    parts += [counted(stats.views, "view")] * bool(stats.views)
    parts += [f"#{readable(tag)}" for tag in stats.tags]
    return ", ".join(parts) or "nothing"


def _tell(
    catalogue: Catalogue,
    how: str,
    events: Iterable[PastEvent],
    answers: Iterable[Event],
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    targets = {str(answer.value["event"]) for answer in answers}
    changed = [event for event in events if dry_run or event.id in targets]
    rows = [_row(HistoryEntry(event, 1, 0), catalogue) for event in changed]
    what = counted(len(rows), "event")
    heading = f"{what} would be {how} (nothing done)" if dry_run else f"{what} {how}"
    lines = [heading, *(f"  {_line(row)}" for row in rows[:20])]
    lines += [f"  and {len(rows) - 20} more"] * (len(rows) > 20)  # noqa: PLR2004 (a screen)
    show(as_json, {how: rows, "dry_run": dry_run}, "\n".join(lines))


def _row(entry: HistoryEntry, catalogue: Catalogue) -> dict[str, Any]:
    event = entry.first
    names = catalogue.name_of(event.video) if event.video is not None else None
    return {
        "event": event.seq,
        "id": event.id,
        "at": rfc3339(event.at),
        "source": event.source,
        "kind": event.kind,
        "video": event.video,
        "title": names[1] if names else "",
        "what": describe_event(event.kind, event.value),
        "batch": event.batch or None,
        "events": entry.count,
        "undone": entry.undone,
    }


def _line(row: Mapping[str, Any]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(_instant(row["at"])))
    if row["events"] > 1:
        what = f"{row['events']} events, the last: {row['what']}  (batch {row['batch']})"
    else:
        what = f"{row['what']}"
    state_now = {0: ""}.get(row["undone"], "  (undone)")
    if 0 < row["undone"] < row["events"]:
        state_now = f"  ({row['undone']} undone)"
    about = f"  {readable(row['title'])}" if row["title"] else ""
    return f"{row['event']:>8}  {when}  {row['source']:<8}{about}: {what}{state_now}"


def describe_event(kind: EventKind, value: Mapping[str, Any]) -> str:
    """Return what people did in some words."""
    names = value.get("names", [value["name"]] if "name" in value else [])
    tags = " ".join(f"#{readable(str(name))}" for name in names)
    match kind:
        case EventKind.RATED:
            text = f"rated {value['stars']}"
        case EventKind.VIEWED:
            text = counted(int(value.get("count", 1)), "view")
        case EventKind.TAGGED | EventKind.UNTAGGED | EventKind.RETAGGED:
            how = {EventKind.TAGGED: "tagged", EventKind.UNTAGGED: "untagged"}
            text = f"{how.get(kind, 'tags set to')} {tags}".rstrip()
        case EventKind.ADDED_DATE_SET:
            text = f"added date set to {rfc3339(value['added_at'])}"
        case EventKind.IMPORT_DEFERRED:
            text = f"imported {value['field']} {value['value']} for {readable(value['key'])}"
        case EventKind.EVENT_UNDONE | EventKind.EVENT_REDONE:
            how_far = "undid" if kind is EventKind.EVENT_UNDONE else "redid"
            text = f"{how_far} event {readable(str(value['event']))}"
        case _:
            text = re.sub(r"(?<!^)([A-Z])", r" \1", kind).lower()
    return text + (" (a visitor)" if value.get("visitor") else "")
