"""A site of videos known by their bare names, as a small video server had them; for tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, VideoId
from generator.core.site import urls


class OldLibrary:
    """Videos that are found, renamed and lost by their paths alone."""

    def __init__(self, folder: Path, **options: Any) -> None:  # noqa: ANN401 (settings)
        self.folder = folder
        self.options = {"old_addresses": True, **options}
        self.engine = Engine(trial.settings(folder, **self.options), TEMPLATES)
        self.count, self.now = 0, trial.NOW

    def reopen(self, **options: Any) -> None:  # noqa: ANN401 (settings)
        self.engine.close()
        self.options |= options
        self.engine = Engine(trial.settings(self.folder, **self.options), TEMPLATES)

    def append(self, kind: EventKind, video: int, **value: object) -> None:
        self.count += 1
        name = f"e{self.now}-{self.count}"
        self.engine.catalogue.append([Event(name, kind, self.now, "test", VideoId(video), value)])

    def add(self, paths: Mapping[int, str], tags: Mapping[int, list[str]] | None = None) -> None:
        events = [self._matches(video, path) for video, path in paths.items()]
        self.engine.catalogue.append(events)
        for video, names in (tags or {}).items():
            self.append(EventKind.RETAGGED, video, names=names)

    def move(self, video: int, path: str) -> None:
        self.append(EventKind.VIDEO_MOVED, video, **_file(video, path), title=f"film {video}")

    def lose(self, *videos: int) -> None:
        for video in videos:
            self.append(EventKind.VIDEO_MISSING, video)
            self.append(EventKind.VIDEO_DROPPED, video)

    def bring_back(self, video: int, path: str) -> None:
        self.append(EventKind.VIDEO_RETURNED, video, **_file(video, path))

    def build(self) -> Any:  # noqa: ANN401 (a receipt)
        self.now += 1
        return self.engine.refresh(self.now)

    def page(self, video: int) -> str:
        return str(urls.watch_path(VideoId(video), f"film-{video}"))

    def _matches(self, video: int, path: str) -> Event:
        value = {
            **_file(video, path), "title": f"film {video}", "slug": f"film-{video}",
            "added_at": self.now, "recorded_at": self.now, "container": "mp4",
        }  # fmt: skip
        return Event(f"found-{video}", EventKind.VIDEO_FOUND, self.now, "test", value=value)


def _file(video: int, path: str) -> dict[str, object]:
    return {
        "root": "", "path": path, "size_bytes": 5, "mtime_ns": 1,
        "fingerprint": f"{video:032x}", "folder_tags": [],
    }  # fmt: skip
