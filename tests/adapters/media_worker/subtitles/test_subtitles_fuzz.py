"""Subtitles, whatever is in them: UnfitError or valid WebVTT, and what was said is what is seen."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import pytest
from clips import make_clip
from hypothesis import example, given
from hypothesis import strategies as st
from spoken import ENCODINGS, SPOKEN
from webvtt_judges import Referee, referee, shown, words

from generator.adapters.media_worker.subtitles import embedded_subtitles, to_webvtt
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.webvtt import escape_cue_text as escaped

SUFFIXES = ["srt", "vtt", "ass", "ssa", "sub", "sbv", "ttml", "txt", ""]
MAX_SECONDS = 5  # of this processor, for a file of 256 KB; most take a tenth
LARGE_BYTES = 1 << 18
PIECES = [
    "1\n", "42\n", "00:00:01,000 --> 00:00:02,000\n",
    "00:01.000 --> 00:02.500 line:0 align:start\n", "00:00:01,000 --> \n",
    "99:99:99,999 --> 00:00:00,000\n", "-1:0:0.5 --> 9999:00:00,0\n", "-->", "WEBVTT\n", "NOTE\n",
    "STYLE\n", "REGION\n", "\n", "\n\n", "\r\n", "\r", "<i>", "</i>", "<v A>", "<font color=red>",
    "&amp;", "&", "<", "{\\an8}", "{\\i1}", "{\\p1}", "{", "}", "\\N", "\\h", "[Script Info]\n",
    "[V4+ Styles]\n", "[V4 Styles]\n", "[Events]\n", "Format: Text, Start, End\n",
    "Format: Start, End, Text\n", "Style: Default,x,,,,,,-1,-1,-1,,,,,,,,,8\n", "Style:\n",
    "Format:\n", "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,",
    "Dialogue: 0:00:01.00,0:00:02.00,", ",", "{1}{1}25\n", "{25}{50}", "0:00:01.000,0:00:02.000\n",
    "<tt xmlns='http://www.w3.org/ns/ttml'>", "<body>", "<div>", "<p begin='1s' end='2s'>",
    "</p></div></body></tt>", "\0", "\ufeff", "\u2028", "one", "Grüße", "привет", "日本語",
    "\U0001f600",
]  # fmt: skip

pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=30).map("".join)
encodings = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "cp1251", "cp932", "cp1258"]
)
names = st.builds(
    "film{}.{}".format, st.sampled_from(["", ".de", ".vi", ".ja.forced"]), st.sampled_from(SUFFIXES)
)


@pytest.fixture(scope="module")
def judge(program: Callable[[str], str]) -> Iterator[Referee]:
    with referee(program("node")) as judge:
        yield judge


def valid_or_refused(judge: Referee, name: str, content: bytes) -> None:
    try:
        made = to_webvtt(name, content)
    except UnusableFileError as error:
        reason = str(error)
    else:
        reason = "valid"
        assert shown(made)
        assert judge.complaints(made) == []
        assert to_webvtt("film.vtt", made) == made
    assert reason
    assert "\n" not in reason


@given(names, st.binary(max_size=300))
def test_any_bytes_are_refused_or_become_valid(judge: Referee, name: str, content: bytes) -> None:
    valid_or_refused(judge, name, content)


@given(names, pieces, encodings)
@example("film.srt", "00:00:01,000 --> 00:00:02,000\n<v A>a<v B>b</v>", "utf-8")
def test_anything_that_looks_like_subtitles_is_refused_or_becomes_valid(
    judge: Referee, name: str, text: str, encoding: str
) -> None:
    valid_or_refused(judge, name, text.encode(encoding, "replace"))


@cache
def real(shared: Path) -> list[tuple[str, bytes]]:
    """Return names and contents of real files that are small enough to be changed often."""
    files = sorted((shared / "media" / "text").rglob("*"))
    return [
        (file.name, content)
        for file in files
        if file.suffix in {".srt", ".vtt", ".ass", ".sbv", ".ttml"}
        and len(content := file.read_bytes()) < 4000
    ]


@given(st.data())
def test_real_files_that_were_damaged_are_refused_or_become_valid(
    judge: Referee, shared: Path, data: st.DataObject
) -> None:
    name, content = data.draw(st.sampled_from(real(shared)), label="file")
    changed = bytearray(content)
    places = st.integers(0, max(len(content) - 1, 0))
    for at in data.draw(st.lists(places, max_size=6), label="places"):
        kind = data.draw(st.sampled_from(["flip", "cut", "twice", "piece"]))
        if kind == "flip" and at < len(changed):
            changed[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del changed[at : at + data.draw(st.integers(1, 50))]
        elif kind == "twice":
            changed[at:at] = changed[at : at + 100]
        else:
            changed[at:at] = data.draw(st.sampled_from(PIECES)).encode()

    valid_or_refused(judge, name, bytes(changed))


@dataclass(frozen=True)
class Said:
    start_ms: int
    end_ms: int
    text: str


# What can be seen: no controls, and spaces only where they are drawn together.
seen = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"],
                     exclude_characters="\ufeff\ufffe\uffff")  # fmt: skip
lines = st.lists(
    st.text(seen, min_size=1, max_size=30).filter(lambda line: line.strip()),
    min_size=1,
    max_size=3,
).map("\n".join)
dialogues = st.lists(
    st.builds(
        lambda start, lasts, text: Said(start * 10, (start + lasts) * 10, text),
        st.integers(0, 3_000_000),
        st.integers(1, 2_000),
        lines,
    ),
    min_size=1,
    max_size=6,
).map(lambda said: sorted(said, key=lambda one: one.start_ms))


def clock(ms: int, mark: str, digits: int = 3) -> str:
    seconds, fraction = divmod(ms, 1000)
    rest = f"{fraction:03}"[:digits]
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest}"


def as_subrip(cues: list[Said]) -> str:
    return "\n".join(
        f"{number}\n{clock(one.start_ms, ',')} --> {clock(one.end_ms, ',')}\n{escaped(one.text)}\n"
        for number, one in enumerate(cues, 1)
    )


def as_webvtt(cues: list[Said]) -> str:
    return "WEBVTT\n\n" + "\n".join(
        f"{clock(one.start_ms, '.')} --> {clock(one.end_ms, '.')} line:0\n{escaped(one.text)}\n"
        for one in cues
    )


def as_substation(cues: list[Said]) -> str:
    return "[Events]\nFormat: Layer, Start, End, Style, Text\n" + "".join(
        f"Dialogue: 0,{clock(one.start_ms, '.', 2)},{clock(one.end_ms, '.', 2)},Default,"
        + one.text.replace("{", r"\{").replace("}", r"\}").replace("\n", r"\N")
        + "\n"
        for one in cues
    )


def as_youtube(cues: list[Said]) -> str:
    return "\n".join(
        f"{clock(one.start_ms, '.')},{clock(one.end_ms, '.')}\n{escaped(one.text)}\n"
        for one in cues
    )


@given(dialogues, st.sampled_from(["srt", "vtt", "sbv"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_times_and_words_come_through_to_the_millisecond(
    judge: Referee, cues: list[Said], kind: str, line_end: str
) -> None:
    writers = {"srt": as_subrip, "vtt": as_webvtt, "sbv": as_youtube}
    text = writers[kind](cues)

    made = to_webvtt(f"film.{kind}", text.replace("\n", line_end).encode())

    assert judge.complaints(made) == []
    assert [Said(one.start_ms, one.end_ms, words(one.text)) for one in shown(made)] == [
        Said(one.start_ms, one.end_ms, words(one.text)) for one in cues
    ]


@given(dialogues)
def test_words_of_substation_come_through_and_repeated_ones_are_joined(said: list[Said]) -> None:
    plain = [Said(line.start_ms, line.end_ms, line.text.replace("\\", "/")) for line in said]

    cues_shown = shown(to_webvtt("film.ass", as_substation(plain).encode()))

    assert {words(line.text) for line in cues_shown} == {words(line.text) for line in plain}
    for line in plain:
        assert any(
            cue.start_ms <= line.start_ms
            and cue.end_ms >= line.end_ms
            and words(cue.text) == words(line.text)
            for cue in cues_shown
        )


@given(st.sampled_from(ENCODINGS), st.data())
def test_whatever_is_said_in_a_language_is_read_in_its_encoding(
    spoken: tuple[str, str], data: st.DataObject
) -> None:
    language, encoding = spoken
    phrases = st.lists(st.sampled_from(SPOKEN[language]), min_size=3, unique=True)
    cues = [
        Said(number * 1000, number * 1000 + 900, text)
        for number, text in enumerate(data.draw(phrases))
    ]

    found = shown(to_webvtt(f"film.{language}.srt", as_subrip(cues).encode(encoding)))

    assert [one.text for one in found] == [one.text for one in cues]


@pytest.fixture(scope="module")
def films(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, bytes]]:
    """Return videos with subtitles inside, by their suffixes."""
    folder = tmp_path_factory.mktemp("films")
    clip = make_clip(folder / "clip.mp4")
    (folder / "a.srt").write_text(as_subrip([Said(0, 200, "<i>one</i>"), Said(200, 400, "two")]))
    (folder / "b.ass").write_text(as_substation([Said(0, 400, "three")]))
    command = [program("ffmpeg"), "-v", "error", "-i", clip, "-i", folder / "a.srt"]
    mkv, mp4 = folder / "film.mkv", folder / "film.mp4"
    both = ["-i", folder / "b.ass", "-map", "0", "-map", "1", "-map", "2", "-c", "copy"]
    subprocess.run([*command, *both, mkv], check=True)
    subprocess.run([*command, "-c", "copy", "-c:s", "mov_text", mp4], check=True)
    return [(one.suffix, one.read_bytes()) for one in (mkv, mp4)]


@given(st.data())
def test_inside_a_damaged_video_are_valid_subtitles_or_none(
    judge: Referee, films: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    suffix, whole = data.draw(st.sampled_from(films))
    marks = [at for text in (b"one", b"two", b"three", b"styl") for at in _places(whole, text)]
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.sampled_from(marks)) + data.draw(st.integers(-40, 40))
        changed[at % len(changed)] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"film{suffix}"
        file.write_bytes(changed)
        try:
            with VideoFile(str(file)) as film:
                tracks = embedded_subtitles(film)
        except UnusableFileError:
            tracks = ()

    for one in tracks:
        assert shown(one.content)
        assert judge.complaints(one.content) == []


def _places(whole: bytes, text: bytes) -> Iterator[int]:
    at = whole.find(text)
    while at >= 0:
        yield at
        at = whole.find(text, at + 1)


@pytest.mark.parametrize("unit", [*PIECES, "<b ", "<i>x", "</i>x<i>", "{\\i1}x", "<v a>b", "\n1"])
@pytest.mark.parametrize(
    "head",
    ["", "WEBVTT\n\n00:00.000 --> 00:01.000\n", "[Events]\nDialogue: 0,0:0:0,0:0:1,,,0,0,0,,"],
)
def test_no_file_keeps_the_reader_busy(head: str, unit: str) -> None:
    content = (head + unit * LARGE_BYTES).encode()[:LARGE_BYTES]
    begun = process_time()

    try:
        made = to_webvtt("film.srt", content)
    except UnusableFileError:
        made = b""

    assert process_time() - begun < MAX_SECONDS
    assert len(made) < 20 * LARGE_BYTES
