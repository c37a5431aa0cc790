"""`list`: the videos that have pages, for scripts."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from generator.adapters.catalogue import Catalogue
from generator.adapters.next_video import following_pages
from generator.adapters.settings import Settings
from generator.cli.help import LOOK
from generator.cli.options import Config, Json, app, open_catalogue, settled
from generator.core.site import list_json

_AT_ONCE = 500  # videos in memory


@app.command(name="list", rich_help_panel=LOOK)
def list_videos(config: Config = None, as_json: Json = False) -> None:
    """List the videos that have pages, one per line, or all as one JSON object."""
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        entries = _entries(settings, catalogue)
        try:
            lines = (f"{list_json.text_line(entry)}\n" for entry in entries)
            for text in _json(entries) if as_json else lines:
                sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever reads has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _entries(settings: Settings, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """Yield every video, read in portions to bound memory."""
    last = 0
    while ids := catalogue.shown_after(last, _AT_ONCE):
        last = ids[-1]
        figures = {stats.id: stats for stats in catalogue.stats(ids)}
        following = following_pages(settings.state / "ledger.db", ids)
        for video in catalogue.shown(ids):
            if video.id in figures:
                after = following.get(video.id)
                yield list_json.entry(settings.site.base, video, figures[video.id], after)


def _json(entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield '{"videos": ['
    before = "\n"
    for entry in entries:
        yield before + json.dumps(entry)
        before = ",\n"
    yield "]}\n"
