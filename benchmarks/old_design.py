"""The small video server that `old_server` compares with, rebuilt in our own words.

Each request reads four JSON files and scans one flat folder, as the guide of such servers describes
it, and renders its page by Jinja2. With `cached` that is kept in memory for five minutes, which is
how the guide makes it faster; pages are rendered for each request then, too.

    python -m benchmarks.old_design FOLDER PORT [cached]     serve until stopped
"""

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import uvicorn
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

CACHE_S = 300.0
RELATED = 12
_FILES = ("ratings.json", "views.json", "tags.json", "favorites.json")
_TEMPLATES = {
    "base.html": """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<title>{{ title }}</title><link rel="stylesheet" href="/static/style.css"></head><body>
<nav>{% for name in ["", "favorites", "tags", "best-of", "popular", "random"] %}
<a href="/{{ name }}">{{ name or "home" }}</a>{% endfor %}</nav>
<h1>{{ title }}</h1>{% block main %}{% endblock %}</body></html>""",
    "list.html": """{% extends "base.html" %}{% block main %}<div class="grid">
{% for video in videos %}{% include "card.html" %}{% endfor %}</div>{% endblock %}""",
    "card.html": """<div class="card"><a href="/watch/{{ video.name|urlencode }}">
<img src="/thumbnail/{{ video.name|urlencode }}.jpg" alt="" loading="lazy">
<h3>{{ video.title }}</h3></a>
<p>{% for star in range(1, 6) %}<span>{{ "★" if star <= video.rating else "☆" }}</span>
{% endfor %} {{ video.views }} views{% if video.favorite %} ♥{% endif %}</p>
<p>{{ "%.1f"|format(video.size / 1048576) }} MB</p>
<p>{% for tag in video.tags %}<a href="/tag/{{ tag|replace("#", "")|urlencode }}">{{ tag }}</a>
{% endfor %}</p></div>""",
    "watch.html": """{% extends "base.html" %}{% block main %}
<video controls src="/video/{{ video.name|urlencode }}"></video>{% include "card.html" %}
<h2>Related</h2>{% for video in related %}{% include "card.html" %}{% endfor %}{% endblock %}""",
}


@dataclass(frozen=True, slots=True)
class OldVideo:
    """One video as the templates show it."""

    name: str
    title: str
    rating: int
    views: int
    favorite: bool
    tags: tuple[str, ...]
    size: int
    mtime: float


class OldServer:
    """The pages; `cached` keeps what was read for five minutes."""

    def __init__(self, folder: Path, *, cached: bool) -> None:
        self._folder, self._cached = folder, cached
        self._lock = Lock()
        self._kept: tuple[float, list[OldVideo]] = (0.0, [])
        self._templates = Environment(loader=DictLoader(_TEMPLATES), autoescape=True)

    def app(self) -> Starlette:
        """Return the server; its pages run in threads, as under any WSGI server."""
        pages: dict[str, Callable[[Request], Response]] = {
            "/": self._home,
            "/watch/{name:path}": self._watch,
            "/favorites": self._favorites,
            "/tag/{tag:path}": self._tag,
        }
        return Starlette(routes=[Route(path, page) for path, page in pages.items()])

    def _videos(self) -> list[OldVideo]:
        """Return all videos, the newest first."""
        if not self._cached:
            return self._read()
        with self._lock:
            read_at, videos = self._kept
            if not videos or time.monotonic() - read_at > CACHE_S:
                videos = self._read()
                self._kept = (time.monotonic(), videos)
            return videos

    def _read(self) -> list[OldVideo]:
        ratings, views, tags, favorites = (
            json.loads((self._folder / file).read_text(encoding="utf-8")) for file in _FILES
        )
        videos = []
        for path in (self._folder / "videos").iterdir():
            if path.suffix.lower() not in {".mp4", ".mkv", ".webm"}:
                continue
            status, name = path.stat(), path.name
            videos.append(
                OldVideo(
                    name,
                    path.stem.replace("_", " "),
                    ratings.get(name, 0),
                    views.get(name, 0),
                    name in favorites["favorites"],
                    tuple(tags.get(name, ())),
                    status.st_size,
                    status.st_mtime,
                )
            )
        return sorted(videos, key=lambda video: video.mtime, reverse=True)

    def _page(self, template: str, **context: Any) -> Response:  # noqa: ANN401 (of templates)
        return HTMLResponse(self._templates.get_template(template).render(context))

    def _home(self, request: Request) -> Response:
        limit = int(request.query_params.get("limit", "1000000"))
        return self._page("list.html", title="Home", videos=self._videos()[:limit])

    def _favorites(self, request: Request) -> Response:
        del request
        videos = [video for video in self._videos() if video.favorite]
        return self._page("list.html", title="Favorites", videos=videos)

    def _tag(self, request: Request) -> Response:
        tag = "#" + request.path_params["tag"]
        videos = [video for video in self._videos() if tag in video.tags]
        return self._page("list.html", title=tag, videos=videos)

    def _watch(self, request: Request) -> Response:
        videos, name = self._videos(), request.path_params["name"]
        video = next((video for video in videos if video.name == name), None)
        if video is None:
            return HTMLResponse("not found", 404)
        shared = set(video.tags)
        related = [v for v in videos if v is not video and shared.intersection(v.tags)][:RELATED]
        return self._page("watch.html", title=video.title, video=video, related=related)


def write_library(folder: Path, names: dict[str, dict[str, Any]]) -> None:
    """Write the four files, and the videos, of no content that matters; by name and facts."""
    chance = random.Random(len(names))
    contents: tuple[object, ...] = (
        {name: facts["stars"] for name, facts in names.items() if facts["stars"]},
        {name: facts["views"] for name, facts in names.items() if facts["views"]},
        {name: [f"#{tag}" for tag in facts["tags"]] for name, facts in names.items()},
        {"favorites": [name for name, facts in names.items() if facts["favorite"]]},
    )
    for file, content in zip(_FILES, contents, strict=True):
        (folder / file).write_text(json.dumps(content, indent=4), encoding="utf-8")
    (folder / "videos").mkdir()
    for name in names:
        (folder / "videos" / name).write_bytes(bytes(chance.randrange(1, 50)))


def main() -> None:
    """Serve one folder."""
    server = OldServer(Path(sys.argv[1]), cached="cached" in sys.argv[3:])
    uvicorn.run(server.app(), port=int(sys.argv[2]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
