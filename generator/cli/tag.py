"""`tag` and `retag`: tags of many videos at once; each run is one undo."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any
from uuid import uuid4

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.settings import Settings
from generator.cli.help import CARE
from generator.cli.inspect_site import find_video
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core.errors import SettingsError
from generator.core.formatting import counted, normalize_tag, readable
from generator.core.library.import_entries import folded
from generator.core.model import Event, EventKind, Video, VideoId

_LISTED = 20
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print which videos would change.")]


class TagAction(StrEnum):
    """What the command does with a tag."""

    ADD = "add"
    REMOVE = "remove"


@app.command(rich_help_panel=CARE)
def tag(
    action: Annotated[TagAction, typer.Argument(help="Add the tag, or remove it.")],
    name: Annotated[str, typer.Argument(metavar="TAG", help="The tag, with or without #.")],
    videos: Annotated[
        list[str] | None, typer.Argument(metavar="[VIDEO]...", help="Videos by file or number.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--folder", help="All videos in a folder and its subfolders.")
    ] = None,
    tagged: Annotated[str | None, typer.Option("--tagged", help="All videos with a tag.")] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="All videos with these words in the title.")
    ] = None,
    dry_run: DryRun = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add a tag to many videos, or remove it; several conditions must all hold.

    `reelshelf undo` undoes it as a whole.
    """
    new = _normal(name)
    if not videos and folder is None and tagged is None and title is None:
        raise SettingsError(
            "no video is named", hint="name videos, or use --folder, --tagged or --title"
        )
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        chosen = _ids(videos or [], settings, catalogue)
        matches = _matcher(chosen, folder, None if tagged is None else _normal(tagged), title)
        is_added = action is TagAction.ADD
        kind = EventKind.TAGGED if is_added else EventKind.UNTAGGED
        changed = [
            video
            for video in catalogue.shown()
            if (new in video.tags) is not is_added and matches(video)
        ]
        events = [(kind, video.id, new) for video in changed]
        batch = _record(catalogue, events, dry_run=dry_run)
    _tell(f"#{new}", changed, batch, as_json=as_json, dry_run=dry_run)


@app.command(rich_help_panel=CARE)
def retag(
    old: Annotated[str, typer.Argument(help="The tag to replace.")],
    new: Annotated[str, typer.Argument(help="The tag to put in its place.")],
    dry_run: DryRun = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Rename a tag: every video with the old one gets the new one instead.

    `reelshelf undo` undoes it as a whole.
    """
    before, after = _normal(old), _normal(new)
    if before == after:
        raise SettingsError(f"both are the tag #{after}", hint="name two different tags")
    with open_catalogue(settled(config)) as catalogue:
        changed = [video for video in catalogue.shown() if before in video.tags]
        events = [
            change
            for video in changed
            for change in (
                (EventKind.UNTAGGED, video.id, before),
                (EventKind.TAGGED, video.id, after),
            )
        ]
        batch = _record(catalogue, events, dry_run=dry_run)
    _tell(f"#{before} to #{after}", changed, batch, as_json=as_json, dry_run=dry_run)


def _normal(name: str) -> str:
    normal = normalize_tag(name)
    if not normal:
        raise SettingsError(f"not a tag: {readable(name)!r}", hint="a tag has a visible character")
    return normal


def _ids(names: Iterable[str], settings: Settings, catalogue: Catalogue) -> set[VideoId]:
    ids = set()
    for name in names:
        video = find_video(name, settings, catalogue)
        if video is None:
            raise SettingsError(
                f"no video is named {readable(name)}; nothing was changed",
                hint='a video is named by its file like "Norway/fjord.mp4" or its number',
            )
        ids.add(video)
    return ids


def _matcher(
    ids: set[VideoId], folder: str | None, tagged: str | None, title: str | None
) -> Callable[[Video], bool]:
    below = None if folder is None else folder.strip("/") + "/"
    words = folded(title or "").split()

    def matches(video: Video) -> bool:
        path = f"{video.place.root}/{video.place.path}" if video.place.root else video.place.path
        shown_title = folded(video.title)
        return (
            (not ids or video.id in ids)
            and (below in {None, "/"} or f"{path}".startswith(str(below)))
            and (tagged is None or tagged in video.tags)
            and all(word in shown_title for word in words)
        )

    return matches


def _record(
    catalogue: Catalogue, changes: Iterable[tuple[EventKind, VideoId, str]], *, dry_run: bool
) -> str:
    batch, at = uuid4().hex, now()
    events = [
        Event(uuid4().hex, kind, at, "cli", video, {"names": [name]}, batch=batch)
        for kind, video, name in changes
    ]
    if dry_run or not events:
        return ""
    catalogue.append(events)
    return batch


def _tell(what: str, changed: list[Video], batch: str, *, as_json: bool, dry_run: bool) -> None:
    done = "would change (nothing done)" if dry_run else "changed"
    lines = [f"{what}: {counted(len(changed), 'video')} {done}", *_titles(changed)]
    lines += ["to take it back: reelshelf undo"] * bool(batch)
    rows: list[dict[str, Any]] = [
        {"id": video.id, "path": readable(video.place.path), "title": video.title}
        for video in changed
    ]
    show(as_json, {"changed": rows, "batch": batch or None, "dry_run": dry_run}, "\n".join(lines))


def _titles(changed: list[Video]) -> Iterator[str]:
    for video in changed[:_LISTED]:
        yield f"  {video.title}"
    if len(changed) > _LISTED:
        yield f"  and {len(changed) - _LISTED} more"
