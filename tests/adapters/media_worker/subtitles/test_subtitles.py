"""Subtitles as people have them: files of many kinds and charsets, and streams inside of videos."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clips import make_clip
from spoken import ENCODINGS, SPOKEN
from webvtt_judges import Referee, Shown, referee, shown

from generator.adapters.media_worker.subtitles import (
    MAX_BYTES,
    embedded,
    embedded_subtitles,
    to_webvtt,
)
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.model import MetadataSource, Subtitles

# What holds no cue with a text, and what is a piece of a file.
EMPTY = {
    "mozilla/missing-separator.vtt", "glut23/invalid_format.sbv", "glut23/invalid_format1.srt",
    "glut23/invalid_format3.srt", "glut23/invalid_format4.srt", "glut23/no_captions.vtt",
    "androidx/typical_dialogue", "androidx/webvtt__empty",
    "tkarabela/subtitle_with_attached_images_aegisub.ass",
    "sindresorhus/fixture-vtt-space.vtt", "sindresorhus/fixture-vtt-tab.vtt",
}  # fmt: skip
FOLDERS = [
    "mozilla", "glut23", "byroot", "androidx", "libass", "tkarabela", "jellyfin", "sindresorhus",
    "mediacms-io", "google", "mediaelement", "zulko",
]  # fmt: skip
SUFFIXES = {".srt", ".vtt", ".ass", ".ssa", ".sbv", ".ttml"}


@pytest.fixture(scope="module")
def judge(program: Callable[[str], str]) -> Iterator[Referee]:
    with referee(program("node")) as judge:
        yield judge


def subrip(*texts: str) -> str:
    """Return a SubRip file in which each text is seen for a second."""
    return "".join(
        f"{number}\n00:00:{number:02},000 --> 00:00:{number + 1:02},000\n{text}\n\n"
        for number, text in enumerate(texts, 1)
    )


def seen(name: str, content: str | bytes) -> list[str]:
    """Return the texts that are seen of a file."""
    whole = content.encode() if isinstance(content, str) else content
    return [cue.text for cue in shown(to_webvtt(name, whole))]


def reason(name: str, content: str | bytes) -> str:
    with pytest.raises(UnusableFileError) as error:
        seen(name, content)
    return str(error.value)


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_what_people_say_is_read_in_the_encoding_of_their_country(
    language: str, encoding: str
) -> None:
    content = subrip(*SPOKEN[language]).encode(encoding)

    assert seen(f"film.{language}.srt", content) == list(SPOKEN[language])


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_the_encoding_is_found_where_the_name_tells_no_language_or_a_wrong_one(
    language: str, encoding: str
) -> None:
    content = subrip(*SPOKEN[language]).encode(encoding)

    assert seen("film.srt", content) == list(SPOKEN[language])
    assert seen("film.en.srt", content) == list(SPOKEN[language])


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"],
)
@pytest.mark.parametrize("language", sorted(SPOKEN))
def test_every_language_is_read_in_unicode(language: str, encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith("32-be") else ""
    content = (mark + subrip(*SPOKEN[language])).encode(encoding)

    assert seen("film.srt", content) == list(SPOKEN[language])


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("film.srt", "cp1251", SPOKEN["ru"][1]),
        ("film.ru.srt", "koi8_r", SPOKEN["ru"][1]),
        ("film.srt", "cp1252", "L'été, à côté, il est très tard, déjà là. " * 6 + "Pordò"),
        ("film.srt", "cp1252", "Das heißt, wir müssen früher los."),
    ],
)
def test_the_encoding_of_a_single_line_is_found(name: str, encoding: str, text: str) -> None:
    assert seen(name, subrip(text).encode(encoding)) == [text]


def test_signs_that_somebody_else_lost_do_not_cost_the_others() -> None:
    assert seen("film.srt", subrip("na\ufffdve", "\xe9t\xe9").encode()) == [
        "na\ufffdve",
        "\xe9t\xe9",
    ]


def test_the_encoding_is_found_of_people_who_shout() -> None:
    for language, encoding in ENCODINGS:
        shouted = [line.replace("\xdf", "ss").upper() for line in SPOKEN[language]]

        assert seen(f"film.{language}.srt", subrip(*shouted).encode(encoding)) == shouted


def test_a_slip_in_utf_8_costs_one_letter_and_not_all_of_them() -> None:
    content = (
        subrip(*SPOKEN["cs"] * 2).encode() + b"\n99\n00:01:00,000 --> 00:02:00,000\nna\xefve\n"
    )

    assert seen("film.cs.srt", content) == [*SPOKEN["cs"] * 2, "na\ufffdve"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_become_valid_webvtt_or_hold_nothing(
    judge: Referee, shared: Path, folder: str
) -> None:
    files = [
        file
        for file in sorted((shared / "media" / "text" / folder).iterdir())
        if file.suffix.lower() in SUFFIXES or (folder == "androidx" and not file.suffix)
    ]
    assert files

    for file in files:
        name = f"{folder}/{file.name}"
        content = file.read_bytes()
        try:
            made = to_webvtt(file.name if file.suffix else f"{file.name}.srt", content)
        except UnusableFileError as error:
            reason = str(error)
        else:
            reason = ""
            assert judge.complaints(made) == [], name
            assert shown(made)
        is_empty = name in EMPTY or (file.suffix == ".vtt" and b"-->" not in content)
        assert (reason == "holds no subtitles that can be read") == is_empty, name


def test_hostile_files_become_valid_webvtt_or_are_refused(
    judge: Referee, shared: Path, program: Callable[[str], str], tmp_path: Path
) -> None:
    program("ffmpeg")
    maker = shared / "media" / "hostile" / "make_hostile.py"
    library = tmp_path / "library"
    subprocess.run(
        [sys.executable, maker, library, "--only", "sidecars"], check=True, capture_output=True
    )
    reasons: dict[str, str] = {}
    for file in library.rglob("*.*"):
        if file.suffix in SUFFIXES:
            try:
                made = to_webvtt(file.name, file.read_bytes())
            except UnusableFileError as error:
                reasons[file.stem] = str(error)
            else:
                assert judge.complaints(made) == []
                reasons[file.stem] = " | ".join(cue.text for cue in shown(made))

    assert reasons == {
        "srt_html": "alert(1)x --> & &",
        "srt_binary": "is not text",
        "srt_times": "neg",
        "srt_utf16": "ÄÖÜ",
        "srt_big": "holds more than 50,000 subtitles, too many for browsers",
        "vtt_script": "<v >hi",
        "vtt_nohead": "no header",
        "ass_odd": "x,y,z\nnext",
    }


def test_times_of_subrip_are_read_however_they_are_written() -> None:
    lines = [
        "00:00:01,000 --> 00:00:02,500",
        "0:0:3.5 --> 0:0:4.25",
        "00:05,000 -> 00:06,000",
        "00:00:07 --> 00:00:08",
        "  00:00:09,000-->00:00:10,000  X1:40 X2:600 Y1:20 Y2:50",
        "00:00:11,90 --> 00:00:60,000",
        "-00:00:05,000 --> 00:01:02,000",
        "100:00:00,000 --> 100:00:01,0004",
    ]

    found = shown(to_webvtt("film.srt", "\n\n".join(f"{line}\nx" for line in lines).encode()))

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [
        (0, 62_000),
        (1000, 2500),
        (3500, 4250),
        (5000, 6000),
        (7000, 8000),
        (9000, 10_000),
        (11_090, 60_000),
        (360_000_000, 360_001_000),
    ]


def test_what_stands_below_times_that_cannot_be_read_is_left_out() -> None:
    content = subrip("one", "two").replace("00:00:02,000 --> 00:00:03,000", "00:00:02,000 --> ")

    assert seen("film.srt", content) == ["one"]


def test_numbers_that_are_said_are_not_taken_for_those_of_subtitles() -> None:
    assert seen("film.srt", subrip("How old are you?\n42", "43", "44")) == [
        "How old are you?\n42", "43", "44",
    ]  # fmt: skip
    assert seen("film.srt", subrip("one") + "2\n") == ["one"]
    assert seen("film.srt", subrip("", "two")) == ["two"]


def test_an_empty_line_within_subrip_does_not_end_its_text() -> None:
    assert seen("film.srt", subrip("one\n\nmore", "two")) == ["one\nmore", "two"]


def test_subrip_keeps_what_is_said_and_its_italics_alone() -> None:
    text = r"{\an8}<i>Up</i> {there} <font color=red>C:\new</font> {\i1}a{\i0} {\fad(1,2)}b"

    (cue,) = shown(made := to_webvtt("film.srt", subrip(text).encode()))

    assert cue == Shown(1000, 2000, r"Up {there} C:\new a b", "line:0")
    assert rb"<i>Up</i> {there} <c.red>C:\new</c> <i>a</i> b" in made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"- One\N- Two\hthree", "- One\n- Two\xa0three"),
        (r"One\ntwo", "One\ntwo"),
        (r"C:\Name\new and \\server\new", r"C:\Name\new and \\server\new"),
        (r"{\an8}up\Nhere", "up\nhere"),
        (r"{\i1}One\N{\i0}two", "One\ntwo"),
    ],
)
def test_breaks_and_spaces_of_substation_in_subrip_are_none_of_its_letters(
    text: str, expected: str, judge: Referee
) -> None:
    content = to_webvtt("film.srt", subrip(text).encode())

    assert [cue.text for cue in shown(content)] == [expected]
    assert judge.complaints(content) == []


def test_webvtt_keeps_voices_and_places_and_drops_styles_notes_and_regions() -> None:
    content = """\ufeffWEBVTT - of a film
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000

REGION
id:fred

STYLE
::cue { background: url(https://spy.example/) }

NOTE 00:00 --> not here

first
00:01.000 --> 00:02.000 align:start line:0 region:fred
<v Fred>Hi, I am <c.yellow.own>Fred</c>

NOTE
who else

00:00:03.000 --> 00:00:04.000
- One
- Two
00:00:05.000 --> 00:00:06.000
Three

stray
"""

    made = to_webvtt("film.vtt", content.encode())

    assert (
        made.decode()
        == """WEBVTT

00:00:01.000 --> 00:00:02.000 align:start line:0
<v Fred>Hi, I am <c.yellow>Fred</c></v>

00:00:03.000 --> 00:00:04.000
- One
- Two

00:00:05.000 --> 00:00:06.000
Three
"""
    )


@pytest.mark.parametrize("name", ["film.srt", "film.txt", "film.vtt"])
def test_what_a_file_is_is_told_by_what_is_in_it(name: str) -> None:
    script = "[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,0,0,0,,Hi {\\b1}you\n"

    assert seen(name, "WEBVTT\n\n00:01.000 --> 00:02.000\nHi you\n\nstray\n") == ["Hi you"]
    assert seen(name, script) == ["Hi you"]
    assert seen("film.ass", subrip("Hi you")) == ["Hi you"]
    assert seen("film.srt", subrip("Dialogue: none\nWEBVTT")) == ["Dialogue: none\nWEBVTT"]


SCRIPT = r"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Underline, Alignment
Style: Default,Arial,20,blue,0,0,0,2
Style: Sung ,Arial,,&H00FFFFFF,0,-1,0,8

[Events]
Format: Layer, Start, End, Style, Name, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,never
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Bob,Hi, {\b1}you{\b0}\Nthere\h{\pos(1,2)\fs30}x
Dialogue: 0,0:00:03.00,0:00:04.00,sung,,La {\i0}la{\r} la
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,{\p1}m 0 0 l 9 9{\p0}{\an7}Shop {\r Sung}a
Dialogue: 0,0:00:05:00,0:00:06:00,Default,,{\bord2\be1\blur3}Shop \{open\} {\b700}b{\b400}c
Dialogue: 1,0:00:07.00,0:00:08.00,Default,,{\k20}Sign
Dialogue: 0,0:00:07.00,0:00:08.00,Default,,{\pos(3,4)}Sign
Dialogue: 0,0:00:08.04,0:00:08.08,Default,,Sign
Dialogue: 0,0:00:09.00,0:00:09.50,Default,,Sign
Dialogue: 0,Invalid,0:00:09.50,Default,,never
Dialogue: 0,0:00:10.00,0:00:11.00,Default,,{\p1}m 0 0 l 9 9
"""


def test_of_substation_what_is_said_is_kept_and_no_drawing() -> None:
    made = to_webvtt("film.ass", SCRIPT.encode()).decode()

    assert (
        made
        == """WEBVTT

00:00:01.000 --> 00:00:02.500
Hi, <b>you</b>
there\xa0x

00:00:03.000 --> 00:00:04.000 line:0
<i>La</i> la <i>la</i>

00:00:05.000 --> 00:00:06.000 line:0
Shop <i>a</i>

00:00:05.000 --> 00:00:06.000
Shop {open} <b>b</b>c

00:00:07.000 --> 00:00:08.080
Sign

00:00:09.000 --> 00:00:09.500
Sign
"""
    )


def test_old_substation_is_read_as_well() -> None:
    script = (
        "[Script Info]\nScriptType: v4.00\n[V4 Styles]\n"
        "Style: Top,Arial,20,1,2,3,4,-1,0,1,1,1,6,0,0,0,0,0\n"
        "[Events]\nDialogue: Marked=0,0:00:01.00,0:00:02.00,*Top,,0000,0000,0000,,Hi\n"
    )

    assert shown(to_webvtt("film.ssa", script.encode())) == [Shown(1000, 2000, "Hi", "line:0")]
    assert b"<b>Hi</b>" in to_webvtt("film.ssa", script.encode())


def test_frames_are_counted_where_the_file_says_how_fast_they_are() -> None:
    assert shown(to_webvtt("film.sub", b"{1}{1}25\n{25}{50}{Y:i}Hi|you\n")) == [
        Shown(1000, 2000, "Hi\nyou", "")
    ]
    assert "has no frame rate" in reason("film.sub", "{25}{50}Hi\n")


def test_timed_text_is_read_and_traps_in_it_are_not() -> None:
    start = '<?xml version="1.0"?>'
    text = (
        '<tt xmlns="http://www.w3.org/ns/ttml"><body><div>'
        '<p begin="1s" end="00:00:02.500">Hi &lt;you&gt;<br/>there</p></div></body></tt>'
    )
    bomb = '<!DOCTYPE tt [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'

    assert seen("film.ttml", start + text) == ["Hi <you>\nthere"]
    assert "declares entities" in reason("film.ttml", bomb + text)
    assert "declares entities" in reason("film.ttml", start + text[:-9])
    assert "unsupported kind" in reason("film.ttml", text.replace('"1s"', '"25f"'))


def test_files_that_cannot_be_shown_are_refused_with_a_reason() -> None:
    assert reason("film.srt", b"") == "holds no subtitles that can be read"
    assert reason("film.srt", subrip("", " ")) == "holds no subtitles that can be read"
    assert reason("film.srt", bytes(range(256)) * 9) == "is not text"
    assert reason("film.srt", b" " * (MAX_BYTES + 1)) == "is larger than 5 MB, and is not read"
    assert "VobSub" in reason("film.sub", b"\0\0\1\xba" + bytes(2048))
    assert "more than 50,000" in reason("film.srt", subrip(*["x"]) * 50_001)


SHOW = ["-f", "lavfi", "-i", "testsrc=size=64x36:rate=10:duration=4"]
SUNG = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Sung,Arial,20,0,0,0,0,0,-1,0,0,100,100,0,0,1,1,1,8,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.00,Sung,Bob,0,0,0,,La, {\\i0}la{\\pos(1,2)}\\Nla
Dialogue: 0,0:00:02.00,0:00:03.00,Sung,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}
"""


@dataclass(frozen=True)
class Inner:
    """Subtitles to put into a video, and what ffmpeg is told of their stream."""

    content: bytes
    suffix: str = "srt"
    codec: str = "copy"
    metadata: tuple[str, ...] = ()
    disposition: str = "0"


@pytest.fixture
def made_film(
    program: Callable[[str], str], tmp_path: Path
) -> Callable[..., tuple[Subtitles, ...]]:
    """Return a function that makes a video with subtitles and returns what is found inside."""
    ffmpeg = program("ffmpeg")

    def make(name: str, *inner: Inner, options: tuple[str, ...] = ()) -> tuple[Subtitles, ...]:
        files: list[str] = []
        arguments: list[str] = []
        for number, track in enumerate(inner):
            file = tmp_path / f"{number}.{track.suffix}"
            file.write_bytes(track.content)
            files += ["-i", str(file)]
            arguments += ["-map", str(number + 1), f"-c:s:{number}", track.codec]
            arguments += [f"-disposition:s:{number}", track.disposition]
            for pair in track.metadata:
                arguments += [f"-metadata:s:s:{number}", pair]
        codec = "libvpx" if name.endswith("webm") else "mpeg4"
        film = tmp_path / name
        command = [ffmpeg, "-v", "error", *SHOW, *files, "-map", "0", "-c:v", codec, *arguments]
        subprocess.run([*command, *options, str(film)], check=True)
        with VideoFile(str(film)) as opened:
            return embedded_subtitles(opened)

    return make


def test_subtitles_inside_a_matroska_are_found_with_all_that_is_told_of_them(
    made_film: Callable[..., tuple[Subtitles, ...]], judge: Referee
) -> None:
    tracks = made_film(
        "film.mkv",
        Inner(
            subrip("<i>Hi</i> {you} & me", "C:\\new", "\xc4").encode(),
            metadata=("language=ger",),
        ),
        Inner(SUNG.encode(), "ass", metadata=("title=F\xfcr alle",), disposition="forced"),
        Inner(
            b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Bob>Hi &amp; ho\n",
            "vtt",
            metadata=("language=eng",),
            disposition="hearing_impaired",
        ),
        Inner(subrip(" ").encode()),
    )

    assert [(one.language, one.label, one.forced, one.sdh, one.source) for one in tracks] == [
        ("de", "Deutsch", False, False, MetadataSource.EMBEDDED),
        ("", "F\xfcr alle", True, False, MetadataSource.EMBEDDED),
        ("en", "English (SDH)", False, True, MetadataSource.EMBEDDED),
    ]
    assert all(judge.complaints(one.content) == [] for one in tracks)
    assert shown(tracks[0].content) == [
        Shown(1000, 2000, "Hi {you} & me", ""),
        Shown(2000, 3000, r"C:\new", ""),
        Shown(3000, 4000, "\xc4", ""),
    ]
    assert b"<i>Hi</i>" in tracks[0].content
    assert shown(tracks[1].content) == [Shown(1000, 2000, "La, la\nla", "line:0")]
    assert b"<i>La,</i> la\n" in tracks[1].content
    assert b"\n<v Bob>Hi &amp; ho</v>\n" in tracks[2].content


def test_subtitles_inside_an_mp4_keep_times_and_italics(
    made_film: Callable[..., tuple[Subtitles, ...]],
) -> None:
    spoken = subrip("A <i>b</i> {c} <b>\xe9</b>d", "1 < 2 &amp; 3", "")
    inner = Inner(spoken.encode(), codec="mov_text", metadata=("language=pol",))

    (tracks,) = made_film("film.mp4", inner)

    assert (tracks.language, tracks.label) == ("pl", "Polski")
    assert [(cue.start_ms, cue.end_ms) for cue in shown(tracks.content)] == [
        (1000, 2000),
        (2000, 3000),
    ]
    assert "A <i>b</i> {c} <b>\xe9</b>d\n" in tracks.content.decode()


def test_subtitles_inside_a_webm_are_found(
    made_film: Callable[..., tuple[Subtitles, ...]],
) -> None:
    spoken = b"WEBVTT\n\n00:01.000 --> 00:02.000 line:0\nHi\n"

    (found,) = made_film("film.webm", Inner(spoken, "vtt"))

    assert shown(found.content) == [Shown(1000, 2000, "Hi", "line:0")]


def test_times_count_from_where_the_video_starts(
    made_film: Callable[..., tuple[Subtitles, ...]],
) -> None:
    inner = Inner(subrip("Hi").encode())

    (found,) = made_film("film.mkv", inner, options=("-output_ts_offset", "100"))

    assert [(cue.start_ms, cue.end_ms) for cue in shown(found.content)] == [(1000, 2000)]


def test_a_matroska_in_an_old_encoding_is_read_in_the_language_it_tells(
    made_film: Callable[..., tuple[Subtitles, ...]], tmp_path: Path
) -> None:
    marks = [f"{number:02}" * 30 for number in range(len(SPOKEN["ru"]))]
    made_film("film.mkv", Inner(subrip(*marks).encode(), metadata=("language=rus",)))
    film = tmp_path / "film.mkv"
    whole = film.read_bytes()
    for mark, line in zip(marks, SPOKEN["ru"], strict=True):
        encoded = line.encode("koi8_r")
        assert len(encoded) <= len(mark)
        whole = whole.replace(mark.encode(), encoded.ljust(len(mark)))
    film.write_bytes(whole)

    with VideoFile(str(film)) as opened:
        (found,) = embedded_subtitles(opened)

    assert [cue.text for cue in shown(found.content)] == list(SPOKEN["ru"])


def test_pictures_come_as_before_after_subtitles_were_read(
    made_film: Callable[..., tuple[Subtitles, ...]], tmp_path: Path
) -> None:
    made_film("film.mkv", Inner(subrip("Hi").encode()))

    with VideoFile(str(tmp_path / "film.mkv")) as film:
        before = len(list(film.frames()))
        assert len(embedded_subtitles(film)) == 1
        assert len(list(film.frames())) == before > 0
        assert embedded_subtitles(film)


def test_of_a_video_that_takes_too_long_to_be_read_there_are_none(
    made_film: Callable[..., tuple[Subtitles, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert made_film("film.mkv", Inner(subrip("Hi").encode()))
    monkeypatch.setattr(embedded, "_MAX_S", 0.0)

    with VideoFile(str(tmp_path / "film.mkv")) as film:
        assert embedded_subtitles(film) == ()
        assert film.key_frame(0) is not None


def test_a_video_without_subtitles_has_none(tmp_path: Path) -> None:
    with VideoFile(str(make_clip(tmp_path / "film.mkv"))) as film:
        assert embedded_subtitles(film) == ()


def test_what_lies_behind_a_damaged_place_is_lost_and_no_more(
    made_film: Callable[..., tuple[Subtitles, ...]], tmp_path: Path
) -> None:
    made_film("film.mkv", Inner(subrip("one", "two").encode()))
    film = tmp_path / "film.mkv"
    whole = film.read_bytes()
    for end in range(600, len(whole), 400):
        film.write_bytes(whole[:end])
        try:
            with VideoFile(str(film)) as opened:
                tracks = embedded_subtitles(opened)
        except UnusableFileError:
            continue
        assert all(set(texts_of(one)) <= {"one", "two"} for one in tracks)


def texts_of(subtitles: Subtitles) -> list[str]:
    return [cue.text for cue in shown(subtitles.content)]
