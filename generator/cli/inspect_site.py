"""`why`, `status`, `problems` and `duplicates`: what is known, and why pages are as they are."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger, PageRow
from generator.adapters.settings import Settings
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core import formatting
from generator.core.errors import SettingsError
from generator.core.model import Place, VideoId
from generator.core.site import urls

_NUMBER = re.compile("[0-9]{1,18}")  # as SQLite can hold it
_EVENT = re.compile("event ([0-9]{1,18})")


@app.command()
def why(
    subject: Annotated[
        str,
        typer.Argument(help="A page's path or address, a video's file or id, or an event's id."),
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell why a page was last written, or what became of a video or an event."""
    settings = settled(config)
    with (
        open_catalogue(settings) as catalogue,
        Ledger(settings.state / "ledger.db", reads_only=True) as ledger,
    ):
        told = (
            _why_page(subject, settings, catalogue, ledger)
            or _why_video(subject, settings, catalogue, ledger)
            or _why_event(subject, catalogue, ledger)
        )
        is_built = bool(ledger.fact("begun"))
    if told is None and not is_built:
        raise SettingsError(
            f"nothing is built yet, and no file or event is known as {subject}",
            hint="`reelshelf build` makes the pages; then this tells why each is as it is",
        )
    if told is None:
        raise SettingsError(
            f"neither a page nor a video nor an event: {subject}",
            hint='a page is like "all/title.html", a video like "Norway/fjord.mp4" or its number,'
            ' an event like "event 108", or like the id in the answer to a write',
        )
    lines = told.pop("lines")
    show(as_json, told, "\n".join(lines))


def _why_page(
    subject: str, settings: Settings, catalogue: Catalogue, ledger: Ledger
) -> dict[str, Any] | None:
    path = subject.removeprefix(settings.site_url).removeprefix(settings.site.base).lstrip("/")
    path = path.partition("?")[0] or urls.HOME
    page = ledger.page(path) if _is_text(path) else None
    if page is None:
        return None
    refresh = ledger.refresh(page.refresh)
    made = f", by {page.template}" if page.template else ""
    lines = [f"{page.path}  ({formatting.file_size(page.size)}{made})"]
    if refresh is not None:
        lines.append(f"  written {formatting.rfc3339(refresh[1])} in refresh {page.refresh}")
    lines.append(f"  because {page.reason}")
    events: list[dict[str, object]] = []
    if page.cause is not None:
        events = _events(catalogue, VideoId(page.cause), refresh[3] if refresh else None)
        lines.append(f"  the video was {page.cause}: " + _names(catalogue, page.cause))
        lines += [
            f"    event {e['seq']}  {e['at']}  {_deed(e)} ({e['source']})" for e in events[:5]
        ]
    return {**_row(page), "events": events, "lines": lines}


def _why_video(
    subject: str, settings: Settings, catalogue: Catalogue, ledger: Ledger
) -> dict[str, Any] | None:
    number = _NUMBER.fullmatch(subject)
    video = VideoId(int(subject)) if number else _find(subject, settings, catalogue)
    if video is None:
        return None
    events = _events(catalogue, video, None)
    if not events:
        return None
    pages = ledger.pages_caused_by(video)
    lines = [f"video {video}: {_names(catalogue, video)}"]
    lines += [f"  event {e['seq']}  {e['at']}  {_deed(e)} ({e['source']})" for e in events]
    lines += [f"  {page.path}  because {page.reason}" for page in pages]
    if not ledger.fact("begun"):
        lines.append("  not built yet: `reelshelf build` makes its pages")
    return {"video": video, "events": events, "pages": [_row(p) for p in pages], "lines": lines}


def _why_event(subject: str, catalogue: Catalogue, ledger: Ledger) -> dict[str, Any] | None:
    numbered = _EVENT.fullmatch(subject)
    name = catalogue.event_id(int(numbered[1])) if numbered else subject
    found = catalogue.event_by_id(name) if _is_text(name) else None
    if found is None:
        return None
    seq, event = found
    deed = _deed({"kind": event.kind, "value": event.value})
    lines = [f"event {seq}  {formatting.rfc3339(event.at)}  {deed} ({event.source})"]
    if event.video is not None:
        lines.append(f"  about the video {event.video}: " + _names(catalogue, event.video))
    refresh = ledger.refresh_of(seq)
    pages: list[PageRow] = []
    if refresh is None:
        lines.append("  not on its pages yet: a builder shows it (`reelshelf watch`, or `build`)")
    else:
        lines.append(f"  shown {formatting.rfc3339(refresh[1])} by refresh {refresh[0]}")
        if event.video is not None:
            pages = [p for p in ledger.pages_caused_by(event.video) if p.refresh == refresh[0]]
        lines += [f"  {page.path}  because {page.reason}" for page in pages]
    return {
        "event": name,
        "seq": seq,
        "kind": event.kind,
        "video": event.video,
        "refresh": refresh[0] if refresh else None,
        "pages": [_row(page) for page in pages],
        "lines": lines,
    }


def _find(subject: str, settings: Settings, catalogue: Catalogue) -> VideoId | None:
    absolute = Path(subject).absolute()
    for root, folder in settings.roots.items():
        inside = absolute.relative_to(folder) if absolute.is_relative_to(folder) else Path(subject)
        for path in (str(inside), str(inside).removeprefix(f"{root}/")):
            found = catalogue.find(Place(root, path)) if _is_a_name(path) else None
            if found is not None:
                return found
    return None


def _events(catalogue: Catalogue, video: VideoId, until: int | None) -> list[dict[str, object]]:
    return [
        {
            "seq": seq,
            "kind": kind,
            "value": json.loads(value),
            "at": formatting.rfc3339(at),
            "source": source,
        }
        for seq, kind, value, at, source in catalogue.events_of(video, 20)
        if until is None or seq <= until
    ]


def _deed(event: Mapping[str, Any]) -> str:
    """Return what happened, with what is worth a word of it: `Untagged "winter"`."""
    value = event["value"] if isinstance(event["value"], dict) else {}
    names = value.get("names", value.get("folder_tags", value.get("name")))
    told = str(event["kind"])
    if told.endswith("agged") and isinstance(names, list | str):
        quoted = (f'"{one}"' for one in ([names] if isinstance(names, str) else names))
        told = f"{told} {', '.join(quoted) or 'none'}"
    if isinstance(value.get("stars"), int):
        told = f"{told} {formatting.counted(value['stars'], 'star')}"
    if isinstance(value.get("path"), str):
        told = f"{told} {value['path']}"
    return f"{told}: {value['reason']}" if isinstance(value.get("reason"), str) else told


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_a_name(path: str) -> bool:
    """Tell whether a file may be called so: any bytes but NUL."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _names(catalogue: Catalogue, video: int) -> str:
    known = catalogue.known([video])
    if not known:
        return "(not known)"
    if not known[0].place.path:
        return "(part of another video now, or forgotten)"
    return formatting.readable(known[0].place.path) + (" (missing)" if known[0].missing else "")


def _row(page: PageRow) -> dict[str, object]:
    return {
        "path": page.path, "template": page.template, "size": page.size,
        "refresh": page.refresh, "reason": page.reason, "cause": page.cause,
    }  # fmt: skip


@app.command()
def status(config: Config = None, as_json: Json = False) -> None:
    """Tell what the catalogue holds, and whether the site shows it."""
    settings = settled(config)
    with (
        open_catalogue(settings) as catalogue,
        Ledger(settings.state / "ledger.db", reads_only=True) as ledger,
    ):
        counts, (pages, size) = catalogue.counts(), ledger.page_count()
        behind = catalogue.last_event() - int(ledger.fact("cursor") or 0)
        last = ledger.refresh()
    told: dict[str, Any] = {
        **counts, "pages": pages, "bytes": size, "events_behind": behind,
        "last_refresh": formatting.rfc3339(last[1]) if last else None, "out": str(settings.out),
        "library": [str(path) for path in settings.library],
    }  # fmt: skip
    lines = [
        f"library  {', '.join(told['library']) or 'none named'}",
        f"videos   {counts['videos']} shown, {counts['missing']} missing",
        f"problems {counts['problems'] or 'none'}",
        f"pages    {pages} ({formatting.file_size(size)}) in {settings.out}",
        f"events   {counts['events']}; {_behind(behind)}",
        f"built    {told['last_refresh'] or 'never'}",
    ]
    show(as_json, told, "\n".join(lines))


def _behind(events: int) -> str:
    if events < 0:  # a backup was put back, and nothing was built since
        return f"the pages show {-events} more: the next build compares them"
    return f"{events or 'none'} not shown yet"


@app.command()
def problems(
    config: Config = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Let the next build try these files again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the files that are not, or not wholly, shown, and why: exit code 1 if any."""
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        found = catalogue.problems()
        if retry:
            catalogue.forget_problems(found, now())
    rows = [
        {
            "root": p.place.root,
            "path": formatting.readable(p.place.path),
            "stage": p.stage,
            "reason": p.reason,
        }
        for p in found
    ]
    lines = [f"{row['path'] or '.'}\n    {row['reason']}" for row in rows] or ["no problems"]
    if retry and rows:
        lines.append(f"{len(rows)} file(s) will be tried again by the next build")
    show(as_json, {"problems": rows, "retried": retry}, "\n".join(lines))
    if rows and not retry:
        raise typer.Exit(1)


@app.command()
def duplicates(config: Config = None, as_json: Json = False) -> None:
    """List the videos whose content is the same while all their files are there."""
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        found = catalogue.twice()
    rows = [
        {
            "fingerprint": one.fingerprint,
            "video": one.video,
            "root": one.place.root,
            "path": formatting.readable(one.place.path),
            "size_bytes": one.size_bytes,
        }
        for one in found
    ]
    lines: list[str] = []
    before = ""
    for one, row in zip(found, rows, strict=True):
        if one.fingerprint != before:
            lines.append(f"{one.fingerprint}  {formatting.file_size(one.size_bytes)} each")
        before = one.fingerprint
        root = f"{one.place.root}/" if one.place.root else ""
        lines.append(f"  {one.video:>7}  {root}{row['path']}")
    show(as_json, {"duplicates": rows}, "\n".join(lines) or "no duplicates")
