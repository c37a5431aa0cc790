"""Files, streams and settings that are not what they should be: told, never thrown, no hanging."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commanded import command
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.adapters.settings import Settings, load
from generator.adapters.settings.toml_tables import place_of
from generator.core.errors import SettingsError

REELSHELF = Path(sys.executable).with_name("reelshelf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    return tmp_path


def is_told(folder: Path, *arguments: str, code: int = 2) -> str:
    answer = command(folder, *arguments)
    assert answer.code == code, answer.text
    assert "Traceback" not in answer.text
    assert "unexpected" not in answer.text
    return " ".join(answer.text.split())


# -- the settings file


def as_folder(file: Path) -> None:
    file.mkdir()


def as_pipe(file: Path) -> None:
    os.mkfifo(file)


def as_dangling_link(file: Path) -> None:
    file.symlink_to("nowhere")


def as_utf_16(file: Path) -> None:
    file.write_text("title = 'x'\n", encoding="utf-16")


def as_huge(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(100_000_000)


def as_deep(file: Path) -> None:
    file.write_text("ignore = " + "[" * 50_000, encoding="utf-8")


def as_long_number(file: Path) -> None:
    file.write_text("jobs = " + "9" * 5_000, encoding="utf-8")


@pytest.mark.parametrize(
    "made",
    [as_folder, as_pipe, as_dangling_link, as_utf_16, as_huge, as_deep, as_long_number],
)
def test_a_settings_file_that_is_none_is_told(folder: Path, made: object) -> None:
    made(folder / "reelshelf.toml")  # type: ignore[operator]  # one of the above

    assert "cannot read the settings reelshelf.toml" in is_told(folder, "status")
    assert not (folder / "nowhere").exists()
    assert not (folder / "state").exists()


def test_a_settings_file_with_a_mark_of_its_order_is_read(folder: Path) -> None:
    (folder / "reelshelf.toml").write_text("title = 'Mine'\nstate = 'kept'\n", encoding="utf-8-sig")

    assert command(folder, "status").code == 0
    assert (folder / "kept").is_dir()


def test_init_writes_through_no_link(folder: Path) -> None:
    (folder / "reelshelf.toml").symlink_to("elsewhere")

    assert "already exists" in is_told(folder, "init")
    assert not (folder / "elsewhere").exists()


# -- the folders


@pytest.mark.parametrize("name", ["state", "site_out"])
@pytest.mark.parametrize("made", [Path.touch, as_pipe, as_dangling_link])
def test_a_folder_that_is_none_is_told(folder: Path, name: str, made: object) -> None:
    made(folder / name)  # type: ignore[operator]  # one of the above

    assert f"{name} is no folder" in is_told(folder, "build", "-l", "videos").replace(
        "out:", f"{folder}/site_out"
    ).replace("state:", f"{folder}/state")


@pytest.mark.parametrize("name", ["catalogue.db", "ledger.db", "under-way.txt", "build.lock"])
@pytest.mark.parametrize("made", [as_folder, as_pipe])
def test_a_file_of_the_state_that_is_none_is_told(folder: Path, name: str, made: object) -> None:
    (folder / "state").mkdir()
    made(folder / "state" / name)  # type: ignore[operator]  # one of the above

    told = is_told(folder, "build", "-l", "videos")

    assert f"state/{name} is not a regular file" in told


def test_a_library_that_is_a_file_is_told(folder: Path) -> None:
    (folder / "film.mp4").touch()

    assert "film.mp4" in is_told(folder, "build", "-l", "film.mp4")


# -- what is set


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("title", "a\0b"), ("title", "a\x1b[31mb"), ("title", "a\u202eb"), ("title", " \n "),
        ("title", "a\ufffeb"), ("description", "a\u2066b"), ("description", "\x85\x9b"),
        ("site_url", "http://x y/"), ("site_url", "http://x\n"), ("site_url", "http://u:p@x"),
        ("site_url", "http://u@x"), ("site_url", "http://x:99999"), ("site_url", "http://x:0"),
        ("site_url", "http://x:a"), ("site_url", "http://x:"), ("site_url", "http://bücher.example"),
        ("site_url", "http://"), ("site_url", "http://-x"), ("site_url", "http://x..y"),
        ("site_url", "http://x/a//b"), ("site_url", "http://x/../b"), ("site_url", "http://x/?"),
        ("site_url", "http://[::1"), ("site_url", "ftp://x"), ("site_url", "http://x/ä"),
        ("out", ""), ("out", "a\0b"), ("state", ""), ("library", ["a\0"]), ("library", [""]),
        ("templates", ""), ("out", "~nobody-of-that-name/x"), ("bucket", "a b"),
        ("s3_endpoint", "nowhere"), ("s3_endpoint", "http://x:99999"), ("queue", "redis://a b"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_told_with_its_setting(
    folder: Path, setting: str, value: object
) -> None:
    (folder / "reelshelf.toml").write_text(f"{setting} = {json.dumps(value)}\n", encoding="utf-8")

    assert f" {place_of(setting)}: " in is_told(folder, "status")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "https://my_nas.local/films/",
        "http://[::1]:8080",
        "http://x:1/a.b/~c",
    ],
)
def test_an_address_that_can_be_meant_is_taken(folder: Path, url: str) -> None:
    (folder / "reelshelf.toml").write_text(f"site_url = {json.dumps(url)}\n", encoding="utf-8")

    assert command(folder, "status").code == 0


def test_every_number_has_bounds(folder: Path) -> None:
    defaults = {name: one.default for name, one in Settings.model_fields.items()}
    numbers = [n for n, default in defaults.items() if type(default) in {int, float}]
    assert len(numbers) > 15
    for value in ("inf", "-inf", "nan", "99999999999999999999", "-1", "1e300", "-1e300"):
        lines = (f"{name} = {value}\n" for name in numbers)
        (folder / "reelshelf.toml").write_text("".join(lines), encoding="utf-8")

        with pytest.raises(SettingsError) as refusal:
            load(folder / "reelshelf.toml", {})

        assert [name for name in numbers if f" {place_of(name)}: " not in str(refusal.value)] == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(
        ["", "s3://", "s3://a", "s3:///x", "~", "~x/", "/", ".", "..", "http://[", "0"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)


@settings(
    max_examples=examples(10, thorough=30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from(sorted(Settings.model_fields)), value=VALUES)
def test_whatever_a_setting_is_it_is_taken_or_told(folder: Path, name: str, value: object) -> None:
    if name == "state" and isinstance(value, str):
        value = "state"  # a status makes one: within this folder
    text = json.dumps(value).replace("null", "[]")
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + "}"
    (folder / "reelshelf.toml").write_text(f"{name} = {text}\n", encoding="utf-8")

    answer = command(folder, "nginx", "-l", "videos")

    assert answer.code in {0, 2}, answer.text
    assert "Traceback" not in answer.text
    assert "unexpected" not in answer.text
    assert {one.name for one in folder.iterdir()} <= {"videos", "reelshelf.toml"}


# -- where it runs


def run(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={"PATH": str(REELSHELF.parent) + ":/usr/bin:/bin", **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_no_stream_and_no_locale_gives_a_traceback(folder: Path) -> None:
    names = (b"F\xc3\xbc\xc3\x9f.mp4", b"\xff\x1b[31m.mp4")
    for name in names:
        (Path(os.fsdecode(bytes(folder) + b"/videos/" + name))).write_bytes(b"no film")
    (folder / "reelshelf.toml").write_text('library = ["videos"]\nquiet_s = 0\n', encoding="utf-8")
    assert command(folder, "build").code == 1

    done = run(
        folder,
        """
        reelshelf problems | true
        reelshelf problems >&- 2>&- <&-
        reelshelf problems > /dev/full
        reelshelf problems --json > /dev/full
        LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 reelshelf problems >&2; echo $?
        mkdir gone && cd gone && rmdir ../gone && reelshelf status; echo $?
        """,
    )

    printed = done.stderr.decode()
    assert done.stdout.split() == [b"1", b"2"]
    assert "Traceback" not in printed
    assert "Exception ignored" not in printed
    assert "No space left on device" in printed
    assert "\\ufffd" in printed
    assert "started in is gone" in printed
