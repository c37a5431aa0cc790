"""`why`, `status`, `problems` and `duplicates`: the state of the catalogue and of the pages."""

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
from generator.cli.help import LOOK
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core import formatting
from generator.core.errors import SettingsError
from generator.core.model import Place, VideoId
from generator.core.site import urls

_NUMBER = re.compile("[0-9]{1,18}")  # as SQLite can hold it
_EVENT = re.compile("event ([0-9]{1,18})")


@app.command(rich_help_panel=LOOK)
def why(
    subject: Annotated[
        str,
        typer.Argument(help="A page's path or address, a video's file or id, or an event's id."),
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Explain why a page was last written, or what happened to a video or an event."""
    settings = settled(config)
    with (
        open_catalogue(settings) as catalogue,
        Ledger(settings.state / "ledger.db", reads_only=True) as ledger,
    ):
        answer = (
            _why_page(subject, settings, catalogue, ledger)
            or _why_video(subject, settings, catalogue, ledger)
            or _why_event(subject, catalogue, ledger)
        )
        is_built = bool(ledger.fact("begun"))
    if answer is None and not is_built:
        raise SettingsError(
            f"nothing is built yet, and no file or event is named {subject}",
            hint="run `reelshelf build` first; then `why` explains each page",
        )
    if answer is None:
        raise SettingsError(
            f"not a page, a video or an event: {subject}",
            hint='a page is like "all/title.html", a video like "Norway/fjord.mp4" or its number,'
            ' an event like "event 108", or like the id in the answer to a write',
        )
    lines = answer.pop("lines")
    show(as_json, answer, "\n".join(lines))


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
        lines.append(f"  written {formatting.rfc3339(refresh[1])} in build {page.refresh}")
    lines.append(f"  reason: {page.reason}")
    events: list[dict[str, object]] = []
    if page.cause is not None:
        events = _events(catalogue, VideoId(page.cause), refresh[3] if refresh else None)
        lines.append(f"  the video was {page.cause}: " + _names(catalogue, page.cause))
        lines += [
            f"    event {e['seq']}  {e['at']}  {_described(e)} ({e['source']})" for e in events[:5]
        ]
    return {**_row(page), "events": events, "lines": lines}


def _why_video(
    subject: str, settings: Settings, catalogue: Catalogue, ledger: Ledger
) -> dict[str, Any] | None:
    video = find_video(subject, settings, catalogue)
    if video is None:
        return None
    events = _events(catalogue, video, None)
    if not events:
        return None
    pages = ledger.pages_caused_by(video)
    lines = [f"video {video}: {_names(catalogue, video)}"]
    lines += [f"  event {e['seq']}  {e['at']}  {_described(e)} ({e['source']})" for e in events]
    lines += [f"  {page.path}  reason: {page.reason}" for page in pages]
    if not ledger.fact("begun"):
        lines.append("  not built yet: `reelshelf build` makes its pages")
    return {"video": video, "events": events, "pages": [_row(p) for p in pages], "lines": lines}


def _why_event(subject: str, catalogue: Catalogue, ledger: Ledger) -> dict[str, Any] | None:
    numbered = _EVENT.fullmatch(subject)
    name = catalogue.event_id(int(numbered[1])) if numbered else subject
    numbered_event = catalogue.event_by_id(name) if _is_text(name) else None
    if numbered_event is None:
        return None
    seq, event = numbered_event
    described = _described({"kind": event.kind, "value": event.value})
    lines = [f"event {seq}  {formatting.rfc3339(event.at)}  {described} ({event.source})"]
    if event.video is not None:
        lines.append(f"  about the video {event.video}: " + _names(catalogue, event.video))
    refresh = ledger.refresh_of(seq)
    pages: list[PageRow] = []
    if refresh is None:
        lines.append("  not on its pages yet: `reelshelf watch` or `reelshelf build` writes them")
    else:
        lines.append(f"  shown {formatting.rfc3339(refresh[1])} by build {refresh[0]}")
        if event.video is not None:
            pages = [p for p in ledger.pages_caused_by(event.video) if p.refresh == refresh[0]]
        lines += [f"  {page.path}  reason: {page.reason}" for page in pages]
    return {
        "event": name,
        "seq": seq,
        "kind": event.kind,
        "video": event.video,
        "refresh": refresh[0] if refresh else None,
        "pages": [_row(page) for page in pages],
        "lines": lines,
    }


def find_video(subject: str, settings: Settings, catalogue: Catalogue) -> VideoId | None:
    """Return the video with that number (there may be none), or that file."""
    if _NUMBER.fullmatch(subject):
        return VideoId(int(subject))
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


def _described(event: Mapping[str, Any]) -> str:
    """Return the event in words, with its main value: `Untagged "winter"`."""
    value = event["value"] if isinstance(event["value"], dict) else {}
    names = value.get("names", value.get("folder_tags", value.get("name")))
    text = str(event["kind"])
    if text.endswith("agged") and isinstance(names, list | str):
        quoted = (f'"{name}"' for name in ([names] if isinstance(names, str) else names))
        text = f"{text} {', '.join(quoted) or 'none'}"
    if isinstance(value.get("stars"), int):
        text = f"{text} {formatting.counted(value['stars'], 'star')}"
    if isinstance(value.get("path"), str):
        text = f"{text} {value['path']}"
    return f"{text}: {value['reason']}" if isinstance(value.get("reason"), str) else text


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_a_name(path: str) -> bool:
    """Return whether this can be a file name: any bytes but NUL."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _names(catalogue: Catalogue, video: int) -> str:
    files = catalogue.files_of([video])
    if not files:
        return "(unknown)"
    if not files[0].place.path:
        return "(merged into another video, or removed)"
    return formatting.readable(files[0].place.path) + (" (missing)" if files[0].missing else "")


def _row(page: PageRow) -> dict[str, object]:
    return {
        "path": page.path, "template": page.template, "size": page.size,
        "refresh": page.refresh, "reason": page.reason, "cause": page.cause,
    }  # fmt: skip


@app.command(rich_help_panel=LOOK)
def status(config: Config = None, as_json: Json = False) -> None:
    """Show what the catalogue holds, and whether the pages are up to date."""
    settings = settled(config)
    with (
        open_catalogue(settings) as catalogue,
        Ledger(settings.state / "ledger.db", reads_only=True) as ledger,
    ):
        counts, (pages, size) = catalogue.counts(), ledger.page_count()
        behind = catalogue.last_event() - int(ledger.fact("cursor") or 0)
        last = ledger.refresh()
    answer: dict[str, Any] = {
        **counts, "pages": pages, "bytes": size, "events_behind": behind,
        "last_refresh": formatting.rfc3339(last[1]) if last else None, "out": str(settings.out),
        "library": [str(path) for path in settings.library],
    }  # fmt: skip
    changed = answer["last_refresh"]
    lines = [
        f"library  {', '.join(answer['library']) or 'none configured'}",
        f"videos   {counts['videos']} shown, {counts['missing']} missing",
        f"problems {counts['problems'] or 'none'}",
        f"pages    {pages} ({formatting.file_size(size)}) in {settings.out}",
        f"events   {counts['events']}; {_behind(behind)}",
        f"changed  {f'{changed}, by the last build with changes' if changed else 'never'}",
    ]
    show(as_json, answer, "\n".join(lines))


def _behind(events: int) -> str:
    if events < 0:  # a backup was put back, and nothing was built since
        return f"pages are ahead of the catalogue by {-events}; the next build repairs that"
    return f"{events} not shown yet" if events else "all shown"


@app.command(rich_help_panel=LOOK)
def problems(
    config: Config = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Let the next build retry these files.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List files that are not, or only partly, shown, and why; exit with 1 if there are any."""
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        problems_now = catalogue.problems()
        if retry:
            catalogue.forget_problems(problems_now, now())
    rows = [
        {
            "root": p.place.root,
            "path": formatting.readable(p.place.path),
            "stage": p.stage,
            "reason": p.reason,
        }
        for p in problems_now
    ]
    lines = [f"{row['path'] or '.'}\n    {row['reason']}" for row in rows] or ["no problems"]
    if retry and rows:
        lines.append(f"the next build will retry {formatting.counted(len(rows), 'file')}")
    show(as_json, {"problems": rows, "retried": retry}, "\n".join(lines))
    if rows and not retry:
        raise typer.Exit(1)


@app.command(rich_help_panel=LOOK)
def duplicates(config: Config = None, as_json: Json = False) -> None:
    """List videos with identical content whose files are all present."""
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        files = catalogue.twice()
    rows = [
        {
            "fingerprint": file.fingerprint,
            "video": file.video,
            "root": file.place.root,
            "path": formatting.readable(file.place.path),
            "size_bytes": file.size_bytes,
        }
        for file in files
    ]
    lines: list[str] = []
    before = ""
    for file, row in zip(files, rows, strict=True):
        if file.fingerprint != before:
            lines.append(f"{file.fingerprint}  {formatting.file_size(file.size_bytes)} each")
        before = file.fingerprint
        root = f"{file.place.root}/" if file.place.root else ""
        lines.append(f"  {file.video:>7}  {root}{row['path']}")
    show(as_json, {"duplicates": rows}, "\n".join(lines) or "no duplicates")
