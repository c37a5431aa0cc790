"""History, undo, redo, tags of many videos, and the past, as people call them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from commanded import command

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId

DAY_S = 86400


def event(key: str, kind: EventKind, video: int, at: int = trial.NOW, **value: object) -> Event:
    return Event(key, kind, at, "owner", VideoId(video), value)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """Yield the folder of a site with three videos, of which the first has opinions."""
    (tmp_path / "reelshelf.toml").write_text('library = ["films"]\n', encoding="utf-8")
    (tmp_path / "films").mkdir()
    (tmp_path / "state").mkdir()
    chance = Random(1)
    with Catalogue(tmp_path / "state/catalogue.db") as catalogue:
        catalogue.append([trial.found(number, chance) for number in (1, 2, 3)])
        catalogue.append(
            [
                event("a", EventKind.RATED, 1, stars=2),
                event("b", EventKind.TAGGED, 1, names=["chess"]),
                event("c", EventKind.TAGGED, 2, names=["chess"]),
                event("d", EventKind.RATED, 1, trial.NOW + DAY_S, stars=5),
            ]
        )
    return tmp_path


def answer(site: Path, *arguments: str) -> Any:  # noqa: ANN401 (JSON)
    done = command(site, *arguments, "--json")
    assert done.code == 0, done.text
    return json.loads(done.out)


def state_of(site: Path) -> dict[int, tuple[object, ...]]:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        return {s.id: (s.stars, s.favorite, s.tags) for s in catalogue.stats(map(VideoId, (1, 2)))}


def test_history_is_newest_first_and_undo_and_redo_are_in_it(site: Path) -> None:
    assert [row["what"] for row in answer(site, "history")["history"]] == [
        "rated 5", "tagged #chess", "tagged #chess", "rated 2",
    ]  # fmt: skip
    assert answer(site, "undo")["undone"][0]["what"] == "rated 5"
    assert state_of(site)[1][0] == 2
    assert answer(site, "redo")["redone"][0]["what"] == "rated 5"
    assert state_of(site)[1][0] == 5
    latest = answer(site, "history", "1", "-n", "2")["history"]
    assert [row["what"] for row in latest] == ["redid event d", "undid event d"]


def test_an_event_is_undone_by_number_or_id_and_only_once(site: Path) -> None:
    number = answer(site, "history")["history"][-1]["event"]
    assert answer(site, "undo", str(number), "--dry-run")["undone"][0]["id"] == "a"
    assert state_of(site)[1][0] == 5
    answer(site, "undo", "d")
    answer(site, "undo", str(number))
    assert state_of(site)[1][0] is None
    again = command(site, "undo", "a")
    assert again.code != 0
    assert "nothing to be undone" in again.err
    assert "history" in again.err


def test_a_renamed_tag_is_one_undo(site: Path) -> None:
    before = state_of(site)
    assert len(answer(site, "retag", "#Chess", "schach", "--dry-run")["changed"]) == 2
    assert state_of(site) == before
    batch = answer(site, "retag", "#Chess", "schach")["batch"]
    assert {tags for *_, tags in state_of(site).values()} == {("schach",)}
    assert answer(site, "history")["history"][0]["events"] == 4
    assert len(answer(site, "undo", batch)["undone"]) == 4
    assert state_of(site) == before


def test_tags_of_many_videos_by_what_they_have_in_common(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        videos = {video.id: video for video in catalogue.shown()}
    title = videos[VideoId(2)].title
    assert [row["id"] for row in answer(site, "tag", "add", "#New", "--title", title)["changed"]]
    assert "new" in state_of(site)[2][2]
    changed = answer(site, "tag", "add", "both", "--tagged", "chess")["changed"]
    assert [row["id"] for row in changed] == [1, 2]
    assert answer(site, "tag", "add", "both", "1", "2")["changed"] == []
    assert [row["id"] for row in answer(site, "tag", "remove", "both", "1")["changed"]] == [1]
    assert "both" in state_of(site)[2][2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tag", "add", "x"), "no video is named"),
        (("tag", "add", "#", "1"), "not a tag"),
        (("tag", "add", "x", "no such file"), "nothing was changed"),
        (("retag", "a", "#A"), "both are the tag"),
        (("state", "--at", "yesterday"), "not a date"),
        (("history", "no such file"), "no video is named"),
        (("undo", os.fsdecode(b"\xff")), ""),
    ],
)
def test_wrong_arguments_are_told_and_change_nothing(
    site: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = state_of(site)
    done = command(site, *arguments)

    assert done.code != 0
    assert message in done.err
    assert "unexpected" not in done.err
    assert state_of(site) == before


def test_the_past_has_what_was_recorded_until_then(site: Path) -> None:
    day = trial.NOW // DAY_S * DAY_S
    before = answer(site, "state", "--at", f"{_iso(trial.NOW)}")
    after = answer(site, "state", "--at", _iso(day + 3 * DAY_S)[:10])
    assert [video["stars"] for video in before["videos"]] == [2, None, None]
    assert [video["stars"] for video in after["videos"]] == [5, None, None]
    assert answer(site, "state", "--at", "1999-01-01")["videos"] == []
    assert "2 stars" in command(site, "state", "--at", _iso(trial.NOW)).out


def _iso(instant: int) -> str:
    from generator.core.formatting import rfc3339  # noqa: PLC0415

    return rfc3339(instant)
