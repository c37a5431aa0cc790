"""The list of videos: by `reelshelf list`, and by the API a part at a time; the same in both."""

import json
import os
import random
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, Tray
from fastapi import FastAPI
from forks import Command, completed
from paths import TEMPLATES

from api_lambda.app import ApiConfig, create_app
from api_lambda.owner_secrets import EnvSecrets
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.build.engine import Engine
from generator.core import formatting
from generator.core.model import (
    Event,
    EventKind,
    Place,
    Probe,
    Rendition,
    Video,
    VideoId,
    VideoStats,
)
from generator.core.site import list_json

VIDEOS = 130  # in two folders, with a boundary of a portion in neither
NEXT = re.compile(r'rel="next" href="([^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a site that was built, and of which some changed since."""
    folder = tmp_path_factory.mktemp("listed")
    settings = trial.settings(folder)
    with Engine(settings, TEMPLATES) as engine:
        trial.fill(engine.catalogue, VIDEOS)
        described = {
            "read": ["own", "beside"],
            "details": {
                "own": {
                    "description": "# Fjord\n\nA [boat](http://example.org) & more\n\n[x]: /secret",
                    "is_markdown": True,
                    "chapters": [[0.0, "Begin"], [61.5, "Boat\n\ud800"]],
                },
                "beside": {"tracks": [["de", "Deutsch", False, False, "abc"]]},
            },
        }
        odd = trial.found(VIDEOS + 1, random.Random(1))
        path = "Year 2000/Folder 1/\udcff#?%.mp4"
        engine.catalogue.append([replace(odd, value={**odd.value, "path": path})])
        engine.catalogue.append([event(EventKind.VIDEO_DESCRIBED, 2, described)])
        engine.refresh(trial.NOW)
        engine.catalogue.append(
            [
                event(EventKind.VIEWED, 3, {"count": 1234}),
                event(EventKind.VIDEO_MISSING, 4),
                event(EventKind.VIDEO_DROPPED, 4),
                event(EventKind.VIDEO_MISSING, 5),  # whose pages stay for a while
            ]
        )
    return folder


def event(kind: EventKind, video: int, value: dict[str, object] | None = None) -> Event:
    return Event(f"{kind}-{video}", kind, trial.NOW, "scan", VideoId(video), value or {})


@pytest.fixture
def api(site: Path) -> Any:  # noqa: ANN401 (a generator)
    app = create_app(ApiConfig(site / "state", durable=False))
    yield Asker(app, client=("203.0.113.5", 5000))
    app.state.close()


def listed(site: Path, *options: str) -> str:
    done = completed(
        ["list", *options],
        cwd=site,
        env={
            **os.environ,
            "REELSHELF_STATE": str(site / "state"),
            "REELSHELF_SITE_URL": "https://videos.example.org",
            "HOME": str(site),
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def paged(api: Asker, limit: int) -> list[dict[str, Any]]:
    videos: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = api("GET", f"/api/videos?after={after}&limit={limit}").json
        assert len(page["videos"]) <= limit
        videos += page["videos"]
        assert page["after"] in {None, videos[-1]["id"]}
        after = page["after"]
    return videos


def test_the_command_and_the_api_list_the_same_and_all_that_is_shown(
    site: Path, api: Asker
) -> None:
    listing = json.loads(listed(site, "--json"))

    assert list(listing) == ["videos"]
    ids = [one["id"] for one in listing["videos"]]
    assert ids == [i for i in range(1, VIDEOS + 2) if i != 4]
    assert paged(api, 7) == paged(api, 500) == listing["videos"]
    assert len(listed(site).splitlines()) == len(ids)


def test_what_follows_is_what_the_watch_page_leads_to(site: Path, api: Asker) -> None:
    videos = {entry["id"]: entry for entry in paged(api, 50)}

    for entry in videos.values():
        page = (site / "out" / entry["watch"].lstrip("/")).read_text(encoding="utf-8")
        found = NEXT.search(page)
        assert entry["next"] == (found[1] if found else None)
    assert sum(entry["next"] is None for entry in videos.values()) == 2  # at the end of each folder


def test_a_video_has_what_its_page_tells_and_exact_figures(api: Asker) -> None:
    videos = {one["id"]: one for one in paged(api, 50)}
    about, odd = videos[2], videos[VIDEOS + 1]

    assert about["description"] == "Fjord\nA boat & more"  # of Markdown only what can be read
    assert about["chapters"] == [
        {"start_s": 0.0, "title": "Begin"},
        {"start_s": 61.5, "title": "Boat \ufffd"},
    ]
    assert about["subtitles"] == [{"language": "de", "label": "Deutsch"}]
    assert videos[3]["views"] >= 1234
    assert videos[3]["views"] % 100 != 0  # the page rounds it
    assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}(\+00:00)?", videos[3]["recorded"])
    assert odd["path"] == "Year 2000/Folder 1/\ufffd#?%.mp4"
    assert odd["file"] == "/video/Year%202000/Folder%201/%FF%23%3F%25.mp4"


def test_a_line_has_the_file_and_the_title(site: Path) -> None:
    line = listed(site).splitlines()[-1]

    assert line.startswith(f"{VIDEOS + 1:>7}  ")
    assert "Year 2000/Folder 1/\ufffd#?%.mp4  -  " in line


def test_pages_of_the_list_stay_right_while_videos_come_and_go(state: Path) -> None:
    app = create_app(ApiConfig(state, durable=False))
    api = Asker(app)
    first = api("GET", "/api/videos?limit=5").json

    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        catalogue.append([event(EventKind.VIDEO_MISSING, 3), event(EventKind.VIDEO_DROPPED, 3)])
        catalogue.append([event(EventKind.VIDEO_MISSING, 5), event(EventKind.VIDEO_DROPPED, 5)])
    second = api("GET", f"/api/videos?after={first['after']}&limit=5").json
    app.state.close()

    assert [one["id"] for one in first["videos"]] == [1, 2, 3, 4, 5]
    assert [one["id"] for one in second["videos"]] == [6, 7, 8, 9, 10]
    assert {one["next"] for one in first["videos"]} == {None}  # nothing was built yet


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", f"after={1 << 63}", "limit=0", "limit=501", "limit=", "to=3"]
)
def test_what_is_no_part_of_the_list_is_refused(owner: Asker, query: str) -> None:
    assert owner("GET", f"/api/videos?{query}").status == 422


def test_behind_the_last_video_there_is_nothing(owner: Asker) -> None:
    told = owner("GET", f"/api/videos?after={(1 << 63) - 1}").json

    assert told == {"videos": [], "after": None}


def test_the_last_part_says_that_it_is_the_last(make_app: Callable[..., FastAPI]) -> None:
    page = Asker(make_app(base="/films"))("GET", "/api/videos?after=15&limit=5").json

    assert [one["id"] for one in page["videos"]] == [16, 17, 18, 19, 20]
    assert page["after"] is None
    assert page["videos"][0]["watch"].startswith("/films/watch/")
    assert page["videos"][0]["file"].startswith("/films/video/")


def test_before_a_queue_the_list_is_not_to_be_had(tmp_path: Path) -> None:
    app = create_app(ApiConfig(tmp_path, secrets=EnvSecrets(secret="5e" * 32)), Tray())
    response = Asker(app)("GET", "/api/videos")
    app.state.close()

    assert response.status == 501


def test_whoever_reads_the_list_may_stop_reading(site: Path) -> None:
    environment = {**os.environ, "REELSHELF_STATE": str(site / "state")}
    with Command(
        ["list", "--json"],
        cwd=site,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        errors = listing.stderr.read()

    assert (listing.returncode, errors) == (0, b"")


H264 = Probe("mp4", 1.0, 640, 360, 25.0, "h264", "aac", None, "avc1.64001f,mp4a.40.2", "yuv420p")
HEVC = replace(H264, video_codec="hevc", codecs="hev1.1.6.L93.B0,mp4a.40.2")
MKV = replace(H264, container="matroska,webm")
COPY = Rendition("abc", 1000, "transcode", "mp4", "")


@pytest.mark.parametrize(
    ("probe", "copy", "plays"),
    [
        (H264, None, ["Chromium", "Firefox", "Safari"]),
        (MKV, None, ["Chromium"]),
        (HEVC, None, []),
        (HEVC, COPY, ["Chromium", "Firefox", "Safari"]),
        (HEVC, replace(COPY, made_by="remux"), ["Safari"]),
        (MKV, replace(COPY, made_by="remux"), ["Chromium", "Firefox", "Safari"]),
        (Probe("mp4"), None, None),
    ],
)
def test_plays_names_the_browsers_that_are_sure_to_play_it(
    probe: Probe, copy: Rendition | None, plays: list[str] | None
) -> None:
    place = Place("films", "a.mp4")
    video = Video(VideoId(1), "a", place, "A", 0, -(10**15), 1, probe, rendition=copy)
    figures = VideoStats(VideoId(1), 1, None, 0, None, 0, False, ())  # noqa: FBT003

    entry = list_json.entry("", video, figures, None)

    assert entry["plays"] == plays
    assert entry["file"] == "/video/films/a.mp4"
    assert "films/a.mp4  -  A" in list_json.text_line(entry)


@pytest.mark.parametrize(
    ("at", "offset_min", "told"),
    [
        (0, 0, "1970-01-01T00:00:00+00:00"),
        (0, 330, "1970-01-01T05:30:00+05:30"),
        (0, -210, "1969-12-31T20:30:00-03:30"),
        (0, None, "1970-01-01T00:00:00"),
        (1 << 62, 60, "9999-12-31T23:59:59+01:00"),
        (-(1 << 62), -60, "0001-01-01T00:00:00-01:00"),
    ],
)
def test_an_instant_is_told_with_its_zone(at: int, offset_min: int | None, told: str) -> None:
    assert formatting.iso_time(at, offset_min) == told
