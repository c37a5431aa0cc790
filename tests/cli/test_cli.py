"""The command line as people and scripts use it, each command in a process of its own."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from clips import make_clip
from command_line import reelshelf
from forks import Command, completed

from generator.cli import app


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("Norway/Fjord.mp4", "Norway/Boat.mp4", "Talk.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        make_clip(tmp_path / "videos" / name, color=len(name))
    assert reelshelf(tmp_path, "init").returncode == 0
    return tmp_path


def test_from_nothing_to_a_site(site: Path) -> None:
    done = reelshelf(site, "build")

    assert done.returncode == 0, done.stderr
    assert "3 files seen; 3 found" in done.stdout
    assert "<title>" in (site / "site_out/index.html").read_text(encoding="utf-8")
    assert (site / "site_out/index.html.gz").is_file()
    assert len(list((site / "site_out/watch").glob("*.html"))) == 3


def test_a_receipt_for_scripts_is_one_json_object(site: Path) -> None:
    done = reelshelf(site, "build", "--json")

    receipt = json.loads(done.stdout)
    assert (receipt["found"], receipt["posters"], receipt["dry_run"]) == (3, 3, False)
    assert receipt["written"] > 20
    assert receipt["seconds"]["render"] > 0


def test_a_dry_run_tells_how_many_pages_and_does_nothing(site: Path) -> None:
    dry = json.loads(reelshelf(site, "build", "--dry-run", "--json").stdout)

    assert not (site / "site_out" / "index.html").exists()
    real = json.loads(reelshelf(site, "build", "--json").stdout)
    assert dry["found"] == real["found"] == 3
    assert dry["planned"] == real["planned"]


def test_a_file_that_is_no_video_gives_exit_code_1_and_a_reason(site: Path) -> None:
    (site / "videos/bad.mp4").write_bytes(b"nothing")

    done = reelshelf(site, "build")
    printed = reelshelf(site, "problems", "--json")

    assert (done.returncode, printed.returncode) == (1, 1)
    (problem,) = json.loads(printed.stdout)["problems"]
    assert problem["path"] == "bad.mp4"
    assert problem["reason"]


def test_a_problem_is_tried_again_when_asked(site: Path) -> None:
    (site / "videos/bad.mp4").write_bytes(b"nothing")
    reelshelf(site, "build")

    before = json.loads(reelshelf(site, "build", "--json").stdout)
    asked = reelshelf(site, "problems", "--retry")
    after = json.loads(reelshelf(site, "build", "--json").stdout)

    assert (before["refused"], asked.returncode, after["refused"]) == (0, 0, 1)


def test_why_tells_the_way_from_a_page_to_its_event(site: Path) -> None:
    reelshelf(site, "build")
    page = next((site / "site_out/watch").glob("fjord-*.html")).name

    printed = json.loads(reelshelf(site, "why", f"watch/{page}", "--json").stdout)
    video = reelshelf(site, "why", "videos/Norway/Fjord.mp4")

    assert printed["reason"] == "new page"
    assert [event["kind"] for event in printed["events"]] == ["PosterMade", "VideoFound"]
    assert f"watch/{page}" in video.stdout


def test_status_tells_whether_the_site_is_up_to_date(site: Path) -> None:
    reelshelf(site, "build")

    told = json.loads(reelshelf(site, "status", "--json").stdout)

    assert (told["videos"], told["events_behind"]) == (3, 0)


def test_all_mistakes_in_the_settings_are_told_at_once(site: Path) -> None:
    (site / "reelshelf.toml").write_text('library = ["videos"]\ntitel = "x"\njobs = -1\n', "utf-8")

    surroundings = {**os.environ, "REELSHELF_SITE_URL": "nowhere"}
    done = completed(["build"], cwd=site, env=surroundings)

    assert done.returncode == 2
    for word in ("titel", "did you mean title", "jobs", "site_url"):
        assert word in done.stderr


@pytest.mark.parametrize(
    "arguments", [["build", "--library", "nowhere"], ["build", "--nonsense"], ["why", "nothing"]]
)
def test_bad_use_gives_exit_code_2_and_says_what_to_do(site: Path, arguments: list[str]) -> None:
    done = reelshelf(site, *arguments)

    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_two_builders_of_one_site_do_not_run_at_once(site: Path) -> None:
    with Command(["watch", "--json"], cwd=site, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        try:
            done = reelshelf(site, "build")
        finally:
            watching.send_signal(signal.SIGINT)

    assert done.returncode == 1
    assert "another reelshelf" in done.stderr


def test_watch_shows_what_is_added_renamed_and_removed(site: Path) -> None:
    environment = {**os.environ, "REELSHELF_SETTLE_S": "0.2", "REELSHELF_MISSING_GRACE_S": "0"}
    with Command(
        ["watch", "--json"],
        cwd=site,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        try:
            first = json.loads(watching.stdout.readline())
            make_clip(site / "videos/New one.mp4", color=9)
            added = json.loads(watching.stdout.readline())
            (site / "videos/New one.mp4").rename(site / "videos/Norway/Renamed.mp4")
            moved = json.loads(watching.stdout.readline())
            (site / "videos/Norway/Renamed.mp4").unlink()
            gone = json.loads(watching.stdout.readline())
        finally:
            watching.send_signal(signal.SIGINT)

    assert first["found"] == 3
    assert (added["found"], moved["moved"], gone["missing"]) == (1, 1, 1)
    assert not list((site / "site_out/watch").glob("new-one-*.html"))


def has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_an_nginx_configuration_is_printed_for_the_site(site: Path) -> None:
    done = reelshelf(site, "nginx", "--server-name", "videos.example.org")

    assert done.returncode == 0
    assert str(site / "site_out") in done.stdout
    assert "videos.example.org" in done.stdout
    assert ("    listen [::]:80;" in done.stdout.splitlines()) is has_ipv6()


def test_every_setting_of_the_commented_file_is_as_without_it(site: Path) -> None:
    text = (site / "reelshelf.toml").read_text(encoding="utf-8")
    (site / "reelshelf.toml").write_text(
        "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines()),
        encoding="utf-8",
    )

    (site / "my-templates").mkdir()

    done = reelshelf(site, "status")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["status"], ["problems"], ["why", "1"], ["token", "new"]])
def test_what_looks_at_a_site_makes_none_where_there_is_none(
    tmp_path: Path, command: list[str]
) -> None:
    done = reelshelf(tmp_path, *command)

    assert done.returncode == 2
    assert "--config" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_help_lists_every_command_in_a_group_with_its_whole_sentence(tmp_path: Path) -> None:
    lines = reelshelf(tmp_path, "--help").stdout.splitlines()

    names = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]
    groups = [line.removesuffix(":") for line in lines if line.endswith(":")]
    assert groups == ["Options", "Start", "Serve", "Publish", "Look", "Care"]
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert sorted(listed) == sorted([*names, "Build", "--version", "--traceback", "--help"])
    assert "..." not in "".join(lines).replace("[ARGS]...", "")


@pytest.mark.parametrize(
    ("arguments", "new"),
    [
        (["queue", "--put-back"], "--requeue"),
        (["dev", "--phone", "--host", "::1"], "--lan"),
        (["build", "--adopt"], "--keep-others"),
        (["watch", "--adopt"], "--keep-others"),
        (["dev", "--adopt"], "--keep-others"),
        (["publish", "--adopt"], "--keep-others"),
    ],
)
def test_an_old_name_works_with_a_word_of_advice(
    tmp_path: Path, arguments: list[str], new: str
) -> None:
    done = reelshelf(tmp_path, *arguments)

    assert done.returncode == 2
    assert f"was renamed to {new};" in done.stderr
    assert "No such option" not in done.stderr


def test_the_nginx_configuration_replaces_its_file_only_when_it_is_right(site: Path) -> None:
    real, link = site / "real.conf", site / "reelshelf.conf"
    real.write_text("as it was", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)

    wrong = reelshelf(site, "nginx", "--output", str(link), REELSHELF_SITE_URL="nowhere")
    before = real.read_text(encoding="utf-8")
    right = reelshelf(site, "nginx", "--output", str(link))
    printed = reelshelf(site, "nginx")
    nowhere = reelshelf(site, "nginx", "--output", str(site / "no" / "folder.conf"))

    assert (wrong.returncode, before) == (2, "as it was")
    assert (right.returncode, right.stdout) == (0, "")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == printed.stdout
    assert real.stat().st_mode & 0o777 == 0o640
    assert nowhere.returncode == 2
    assert "cannot write" in nowhere.stderr
    assert not list(site.glob(".*.tmp"))
