"""What commands tell: of any subject, in words that say which, how many, and what comes next."""

import json
import os
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from clips import make_clip
from commanded import command
from effort import examples
from forks import Command
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId

_BUILD = ("build", "--pages-only", "--no-compress")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("telling")
    (folder / "films").mkdir()
    make_clip(folder / "films/one.mp4")
    make_clip(Path(os.fsdecode(bytes(folder) + b"/films/a\xff.mp4")), color=2)
    (folder / "reelshelf.toml").write_text("storyboards = false\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> Path:
    before = command(site, "why", "index.html")
    assert before.code == 2
    assert "nothing is built yet" in before.err
    done = command(site, *_BUILD, "films")
    assert done.code == 0, done.text
    assert "2 files seen; 2 found" in done.out
    return site


@settings(max_examples=examples(10, thorough=25))
@given(subject=st.text(st.characters(), max_size=20))
@example(subject="a\udcff.mp4")
@example(subject="films/a\udcff.mp4")
@example(subject="99999999999999999999")
@example(subject="\u00b2")
@example(subject="\u0663")
@example(subject="\ud800")
@example(subject="a\0b")
@example(subject="event \u00b2")
@example(subject="event 999999999999999999")
@example(subject="http://[")
@example(subject="?")
@example(subject="x" * 100_000)
def test_why_takes_any_subject(built: Path, subject: str) -> None:
    answer = command(built, "why", "--", subject)

    assert answer.code in {0, 2}
    assert "Traceback" not in answer.text
    assert "unexpected" not in answer.text


def test_why_tells_what_an_event_was_about(built: Path) -> None:
    printed = (
        (EventKind.TAGGED, {"names": ["winter", "x\x1b[31m"]}),
        (EventKind.UNTAGGED, {"names": ["winter"]}),
        (EventKind.RATED, {"stars": 1}),
    )
    with Catalogue(built / "state/catalogue.db") as catalogue:
        catalogue.append(
            Event(uuid4().hex, kind, 1_800_000_000, "owner", VideoId(1), value)
            for kind, value in printed
        )

    text = command(built, "why", "1").out

    assert 'Untagged "winter" (owner)' in text
    assert 'Tagged "winter", "x\\x1b[31m" (owner)' in text
    assert "Rated 1 star (owner)" in text
    assert "\x1b" not in text


def test_the_name_of_a_token_steers_no_terminal(built: Path) -> None:
    refused = command(built, "token", "new", "a\x1b]0;x\x07b\u202e")

    assert refused.code == 2
    assert "\x1b" not in refused.err
    assert "\u202e" not in refused.err


def test_wrong_use_is_told_as_json_where_that_is_asked_for(built: Path) -> None:
    for arguments in (["build", "--nonsense"], ["why"], ["build", "--jobs", "x"], ["nonsense"]):
        answer = command(built, *arguments, "--json")
        problem = json.loads(answer.out)
        assert answer.code == 2
        assert problem["error"]
        assert "--help" in problem["hint"]


def test_a_build_tells_how_many_videos_will_not_play(built: Path) -> None:
    done = command(built, *_BUILD, "films")
    receipt = json.loads(command(built, *_BUILD, "films", "--json").out)

    assert "2 videos may not play in every browser" in done.out
    assert receipt["unplayable"] == 2


def test_watch_goes_on_with_the_former_settings_where_changed_ones_cannot_be_used(
    tmp_path: Path,
) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/watch.html").write_text("{% for %}", encoding="utf-8")
    file = tmp_path / "reelshelf.toml"
    plain = 'library = ["videos"]\nquiet_s = 0\n'
    file.write_text(plain, encoding="utf-8")
    with Command(
        ["watch", "--json"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        try:
            watching.stdout.readline()
            file.write_text(plain + 'templates = "mine"\n', encoding="utf-8")
            log = ""
            while "keeping the previous" not in log and len(log) < 2_000:
                log += watching.stderr.readline()
            watching.stdout.readline()  # with the former ones
            file.write_text(plain + 'title = "Another"\n', encoding="utf-8")
            receipt = json.loads(watching.stdout.readline())
        finally:
            watching.send_signal(signal.SIGINT)

    assert "watch.html" in log
    assert "keeping the previous settings" in log
    assert receipt["written"] > 10
    assert watching.returncode == 0
    assert "Another" in (tmp_path / "site_out/index.html").read_text(encoding="utf-8")
