"""`reelshelf dev` as a process: what it builds, serves, tells and reloads."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import pytest
from clips import make_clip
from forks import Command, completed
from served import Answer, Asked, commands, greet, introduce, opened, run, write

from generator.devserver import network_address

SETTINGS = 'library = ["library"]\ntemplates = "theme"\nquiet_s = 0\nfolder_tags = false\n'
LATE_S = 90.0
STARS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Running(Asked):
    """The command, running in a folder of its own."""

    folder: Path
    process: subprocess.Popen[str]
    told: dict[str, Any]

    def receipt(self) -> dict[str, Any]:
        """Wait for the next receipt."""
        assert self.process.stdout is not None
        receipt: dict[str, Any] = json.loads(self.process.stdout.readline())
        return receipt

    def page(self, path: str, *, until: Callable[[Answer], bool]) -> Answer:
        """Be a page that is open until it shows something, however often it is told to reload."""

        async def reload() -> Answer:
            while not until(answer := self(path)):
                build = re.search(rb"build=([0-9]+)", answer.body)
                assert build
                async with opened(self, introduced=False, build=int(build[1])) as line:
                    await introduce(line)
                    await greet(line)
                    while "reload" not in await commands(line, 1):
                        pass
            return answer

        return run(reload())


def says(text: str) -> Callable[[Answer], bool]:
    return lambda answer: text.encode() in answer.body


def is_mended(answer: Answer) -> bool:
    return b'role="alert"' not in answer.body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a library, a theme that changes nothing, and settings."""
    (tmp_path / "library").mkdir()
    for number in range(2):
        make_clip(tmp_path / "library" / f"clip {number}.mp4", number)
    (tmp_path / "theme").mkdir()
    write(tmp_path / "reelshelf.toml", SETTINGS.encode())
    return tmp_path


@contextmanager
def developing(folder: Path, *options: str) -> Iterator[Running]:
    """Run the command until it serves, and at the end stop it as Ctrl-C does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    with (
        (folder / "log").open("a") as log,
        Command(
            ["dev", "--port", "0", "--json", *options],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process,
    ):  # fmt: skip
        late = Timer(LATE_S, process.kill)  # whoever waits for a line then waits no longer
        late.start()
        try:
            assert process.stdout is not None
            lines = (json.loads(line) for line in process.stdout)
            told = next(line for line in lines if "address" in line)
            yield Running(urlsplit(told["address"]).port or 80, folder, process, told)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait()
            late.cancel()
            assert code == 0, (folder / "log").read_text()


def test_a_first_build_that_fails_is_told_and_tried_again_until_it_is_mended(folder: Path) -> None:
    write(folder / "theme" / "watch.html", b"one\n{% if %}")
    with developing(folder) as ask:
        broken = ask("/")
        (folder / "theme" / "watch.html").unlink()
        mended = ask.page("/", until=says("clip 1"))

    assert broken.status == 404
    assert b"cannot render the template watch.html, line 2: " in broken.body
    assert (mended.status, is_mended(mended)) == (200, True)


def test_a_template_that_breaks_is_told_over_the_old_pages_until_it_is_mended(folder: Path) -> None:
    with developing(folder) as ask:
        write(folder / "theme" / "watch.html", b"{% if %}")
        broken = ask.page("/", until=says("template watch.html, line 1: "))
        write(folder / "theme" / "watch.html", b"<p>{{ page.title }} is new</p>")
        mended = ask.page("/", until=is_mended)
        page = next((folder / "site_out" / "watch").glob("clip-1*.html"))

    assert broken.status == mended.status == 200
    assert b"clip 1" in broken.body
    assert page.read_bytes() == b"<p>clip 1 is new</p>"


def test_a_template_put_back_as_it_was_ends_the_failure_although_no_page_changes(
    folder: Path,
) -> None:
    with developing(folder) as ask:
        write(folder / "theme" / "watch.html", b"{% if %}")
        ask.page("/", until=says('role="alert"'))
        (folder / "theme" / "watch.html").unlink()
        mended = ask.page("/", until=is_mended)

    assert mended.status == 200


def test_settings_that_change_are_served_and_wrong_ones_are_told(folder: Path) -> None:
    settings = folder / "reelshelf.toml"
    with developing(folder) as ask:
        write(settings, (SETTINGS + 'title = "Another title"').encode())
        other = ask.page("/", until=says("Another title"))
        write(settings, (SETTINGS + 'tittle = "Another title"').encode())
        wrong = ask.page("/", until=says("did you mean title?"))
        write(
            settings, (SETTINGS + 'out = "elsewhere"\nsite_url = "http://a.example/sub"').encode()
        )
        gone = ask.page("/", until=lambda answer: not says("Another title")(answer))
        moved = ask.page("/sub/", until=says("clip 1"))

    assert is_mended(other)
    assert b"Another title</title>" in wrong.body
    assert gone.status == 404
    assert b"/sub/watch/" in moved.body
    assert (folder / "elsewhere" / "index.html").is_file()


def test_a_rating_of_the_owner_is_taken_and_shown_by_the_same_server(folder: Path) -> None:
    with developing(folder) as ask:
        who = json.loads(ask("/api/session").body)
        rated = ask("/api/videos/1/rating", "PUT", STARS, b'{"stars": 4}')
        receipt = ask.receipt()
        event = json.loads(rated.body)
        shown = json.loads(ask(f"{event['receipt']}?wait=10").body)

    assert who["role"] == "owner"
    assert (rated.status, event["video"]["stars"]) == (200, 4)
    assert receipt["events"] == 1
    assert receipt["written"] > 0
    assert shown["state"] == "shown"


def test_a_phone_is_given_an_address_and_is_a_visitor(folder: Path) -> None:
    address = network_address()
    if address is None:
        pytest.skip("this computer is in no network")
    with developing(folder, "--lan") as ask:
        with closing(HTTPConnection(address, ask.port, timeout=LATE_S)) as phone:
            phone.request("GET", "/api/session")
            visitor = json.loads(phone.getresponse().read())
            phone.request("PUT", "/api/videos/1/rating", b'{"stars": 4}', STARS)
            refused = phone.getresponse()
            refused.read()
        owner = json.loads(ask("/api/session").body)
        named = ask("/", headers={"Host": "evil.example"})

    assert ask.told["network"] == f"http://{address}:{ask.port}/"
    assert ask.told["address"] == f"http://127.0.0.1:{ask.port}/"
    assert (visitor["role"], owner["role"]) == ("visitor", "owner")
    assert refused.status in {401, 403}
    assert named.status == 421


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--phone", "--host", "127.0.0.2"], 2, "use either --host or --lan"),
        (["--port", "70000"], 2, "ports are 0 to 65535"),
        (["--config", "nothing.toml"], 2, "nothing.toml"),
    ],
)
def test_what_cannot_be_served_ends_at_once_and_is_told(
    folder: Path, options: list[str], code: int, message: str
) -> None:
    ended = completed(["dev", *options], cwd=folder, timeout=LATE_S)

    assert (ended.returncode, message in ended.stderr) == (code, True)


def test_a_site_that_another_builds_is_not_served_by_a_second(folder: Path) -> None:
    with developing(folder):
        ended = completed(["dev", "--port", "0"], cwd=folder, timeout=LATE_S)

    assert ended.returncode == 1
    assert "another reelshelf builds the site" in ended.stderr
