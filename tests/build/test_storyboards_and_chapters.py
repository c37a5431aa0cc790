"""Pages that no template makes: which videos have storyboards, and their chapters."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from histories import History, describe, full_render, lose, new_board, tree, trial_site
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.core.media import webvtt
from generator.core.model import Event, EventKind, OutPath, Video, VideoId
from generator.core.site import urls
from generator.plan import every_page
from generator.render.pages import TEMPLATES, uses

BOARD = {"digest": "abc", "count": 9, "columns": 3, "tile_width_px": 160, "tile_height_px": 90}
CHAPTERS = [[0.0, "One"], [4.5, "Two"]]


def happen(engine: Engine, kind: EventKind, video: int, **value: object) -> None:
    number = engine.catalogue.last_event()
    event = Event(f"e{number}", kind, trial.NOW, "test", VideoId(video), value)
    engine.catalogue.append([event])


def tell_chapters(engine: Engine, video: int, chapters: list[list[object]]) -> None:
    details = {"nfo": {"chapters": chapters}}
    value = {"details": details, "read": ["nfo"], "sidecar_digest": str(len(chapters))}
    happen(engine, EventKind.VIDEO_DESCRIBED, video, **value)


def written(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {path for path, content in after.items() if before.get(path) != content}


def boards_of(videos: list[Video]) -> dict[str, bytes]:
    """Return the board pages there should be, by the videos that are shown."""
    parts: dict[int, dict[str, list[object]]] = {}
    for video in sorted(videos, key=lambda video: video.id):
        if (board := video.storyboard) is not None:
            row = [board.digest, board.count, board.columns]
            row += [board.tile_width_px, board.tile_height_px]
            parts.setdefault(video.id // 50, {})[str(video.id)] = row
    return {
        f"board/{part}.json": json.dumps(rows, separators=(",", ":")).encode() + b"\n"
        for part, rows in parts.items()
    }


def chapters_of(videos: list[Video]) -> dict[str, bytes]:
    return {
        f"text/0/{video.id}-chapters.vtt": webvtt.chapters_vtt(
            video.chapters, video.probe.duration_s
        )
        for video in videos
        if video.chapters
    }


def check(engine: Engine, site: Path) -> None:
    videos = list(engine.catalogue.shown())
    there = {
        path: content for path, content in tree(site).items() if path.startswith(("board/", "text"))
    }
    assert there == {**boards_of(videos), **chapters_of(videos)}


@settings(max_examples=examples(4, thorough=10))
@given(
    seed=st.integers(0, 10**6),
    bursts=st.lists(st.sampled_from([1, 2, 6, 30]), min_size=2, max_size=6),
)
def test_every_storyboard_and_all_chapters_are_told_of_and_no_others(
    seed: int, bursts: list[int]
) -> None:
    with trial_site(120) as (engine, folder):
        history, now = History(120, seed), trial.NOW
        engine.refresh(now)
        for number, burst in enumerate(bursts):
            for _ in range(burst):
                step = history.chance.choice([new_board, new_board, describe, lose])
                if history.there:
                    engine.catalogue.append(step(history))
            now += 1

            engine.refresh(now)

            check(engine, folder / "out")
            assert tree(folder / "out") == full_render(engine, folder / f"full{number}")


@pytest.fixture
def site() -> Iterator[tuple[Engine, Path]]:
    with trial_site(120) as (engine, folder):
        engine.refresh(trial.NOW)
        yield engine, folder / "out"


def test_a_storyboard_rewrites_its_watch_page_and_one_small_file(
    site: tuple[Engine, Path],
) -> None:
    engine, out = site
    before = tree(out)
    happen(engine, EventKind.BOARD_MADE, 53, storyboard=BOARD)

    receipt = engine.refresh(trial.NOW + 1)

    (video,) = engine.catalogue.shown([VideoId(53)])
    assert written(before, tree(out)) == {urls.watch_path_of(video), "board/1.json"}
    assert (out / "board/1.json").read_bytes() == b'{"53":["abc",9,3,160,90]}\n'
    assert (receipt.planned, receipt.written) == (2, 2)


def test_a_storyboard_that_became_another_rewrites_the_same_two_files(
    site: tuple[Engine, Path],
) -> None:
    engine, out = site
    happen(engine, EventKind.BOARD_MADE, 53, storyboard=BOARD)
    engine.refresh(trial.NOW + 1)
    happen(engine, EventKind.BOARD_MADE, 53, storyboard={**BOARD, "digest": "def"})

    assert engine.refresh(trial.NOW + 2).written == 2
    assert json.loads((out / "board/1.json").read_bytes()) == {"53": ["def", 9, 3, 160, 90]}


def test_storyboards_stand_in_the_order_of_their_videos(site: tuple[Engine, Path]) -> None:
    engine, out = site
    for video in (11, 9, 30, 100):
        happen(engine, EventKind.BOARD_MADE, video, storyboard=BOARD)
        engine.refresh(trial.NOW + video)

    assert list(json.loads((out / "board/0.json").read_bytes())) == ["9", "11", "30"]
    assert list(json.loads((out / "board/2.json").read_bytes())) == ["100"]


def test_the_file_of_a_part_goes_with_its_last_storyboard(site: tuple[Engine, Path]) -> None:
    engine, out = site
    for video in (3, 4):
        happen(engine, EventKind.BOARD_MADE, video, storyboard=BOARD)
    engine.refresh(trial.NOW + 1)
    happen(engine, EventKind.BOARD_MADE, 3, storyboard=None)
    engine.refresh(trial.NOW + 2)
    assert list(json.loads((out / "board/0.json").read_bytes())) == ["4"]
    happen(engine, EventKind.VIDEO_MISSING, 4)
    happen(engine, EventKind.VIDEO_DROPPED, 4)

    engine.refresh(trial.NOW + 3)

    assert not (out / "board").exists()
    assert engine.ledger.page("board/0.json") is None


def test_chapters_go_when_there_are_none_and_with_their_video(site: tuple[Engine, Path]) -> None:
    engine, out = site
    for video in (3, 4):
        tell_chapters(engine, video, CHAPTERS)
    engine.refresh(trial.NOW + 1)
    check(engine, out)
    assert sorted(path.name for path in (out / "text/0").iterdir()) == [
        "3-chapters.vtt",
        "4-chapters.vtt",
    ]
    tell_chapters(engine, 3, [])
    happen(engine, EventKind.VIDEO_MISSING, 4)
    happen(engine, EventKind.VIDEO_DROPPED, 4)

    engine.refresh(trial.NOW + 2)

    assert not (out / "text").exists()


def test_a_video_of_another_length_has_its_chapters_written_anew(
    site: tuple[Engine, Path],
) -> None:
    engine, out = site
    tell_chapters(engine, 3, CHAPTERS)
    engine.refresh(trial.NOW + 1)
    before = (out / "text/0/3-chapters.vtt").read_bytes()
    (video,) = engine.catalogue.shown([VideoId(3)])
    file = {"root": "", "path": video.place.path, "size_bytes": 9, "mtime_ns": 2}
    file |= {"fingerprint": "f" * 32, "container": "mp4", "duration_s": 4711.0}
    happen(engine, EventKind.VIDEO_CHANGED, 3, **file, width_px=1920, height_px=1080)

    engine.refresh(trial.NOW + 2)

    check(engine, out)
    assert (out / "text/0/3-chapters.vtt").read_bytes() != before


def test_what_a_watch_page_leads_to_is_written_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []
    write = Output.write

    def noting(self: Output, path: OutPath, content: bytes, **more: Any) -> None:  # noqa: ANN401 (as given)
        paths.append(path)
        write(self, path, content, **more)

    monkeypatch.setattr(Output, "write", noting)
    with trial_site(120) as (engine, folder):
        tell_chapters(engine, 3, CHAPTERS)
        happen(engine, EventKind.BOARD_MADE, 60, storyboard=BOARD)
        engine.refresh(trial.NOW)
        engine.render_into(Output(folder / "anew"))
        videos = list(engine.catalogue.shown())
        pages = [page.path for page in every_page(engine.ledger, engine.site, videos)]

    for written_in_turn in (paths, pages):
        first = next(n for n, path in enumerate(written_in_turn) if path.startswith("watch/"))
        assert {"text/0/3-chapters.vtt", "board/1.json"} <= set(written_in_turn[:first])


def test_a_full_refresh_keeps_and_mends_them(site: tuple[Engine, Path]) -> None:
    engine, out = site
    tell_chapters(engine, 3, CHAPTERS)
    happen(engine, EventKind.BOARD_MADE, 60, storyboard=BOARD)
    engine.refresh(trial.NOW + 1)
    (out / "board/1.json").write_text("{}", encoding="utf-8")
    (out / "text/0/3-chapters.vtt").unlink()

    receipt = engine.refresh(trial.NOW + 2, full=True)

    assert (receipt.written, receipt.removed) == (2, 0)
    check(engine, out)


def test_pages_of_no_template_are_made_anew_when_all_templates_changed_and_not_for_one() -> None:
    assert uses("", set(TEMPLATES))
    assert not uses("", {"watch.html", "card.html"})
