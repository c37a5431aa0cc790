"""Sidecars: what each kind is read for, on real files, on odd ones and on hostile ones."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paths import ROOT

from generator.adapters.media_worker.sidecars import (
    embedded_metadata,
    max_sidecar_bytes,
    read_metadata,
)
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.model import Chapter, Metadata, SidecarKind

NOTHING = Metadata()
CHAPTERS = (Chapter(0.0, "Intro"), Chapter(83.0, "Song"))


def own(text: str, name: str = "film.md") -> Metadata:
    return read_metadata(SidecarKind.OWN, name, text.encode())


def toml(text: str) -> Metadata:
    return own(text, "film.toml")


def nfo(text: str) -> Metadata:
    return read_metadata(SidecarKind.NFO, "film.nfo", text.encode())


def movie(fields: str) -> Metadata:
    return nfo(f"<movie>{fields}</movie>")


def ytdlp(**said: object) -> Metadata:
    return read_metadata(SidecarKind.YTDLP, "film.info.json", json.dumps(said).encode())


def tagfile(said: object, name: str = "film.mp4.json") -> Metadata:
    return read_metadata(SidecarKind.JSON, name, json.dumps(said).encode())


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


# yt-dlp


def test_what_ytdlp_wrote_is_read(shared: Path) -> None:
    file = shared / "media/text/kieraneglin/example.info.json"

    metadata = read_metadata(SidecarKind.YTDLP, file.name, file.read_bytes())

    assert metadata.title == "Pinchflat Example Video"
    assert metadata.description == "Test metadata for Pinchflat"
    assert metadata.recorded_at == utc(2021, 7, 20)
    assert metadata.creator == "PinchflatTestChannel"
    assert metadata.url == "https://www.youtube.com/watch?v=ABC123"
    assert metadata.tags == ("test", "development")
    assert metadata.chapters[:2] == (Chapter(0.0, "Introduction"), Chapter(31.0, "Part 1"))


def test_every_real_description_by_ytdlp_is_read(shared: Path) -> None:
    files = sorted((shared / "media/text/meeb").glob("*.json"))

    metadata = {
        file.stem: read_metadata(SidecarKind.YTDLP, file.name, file.read_bytes()) for file in files
    }

    assert len(metadata["metadata_low_formats"].chapters) == 27
    assert metadata["metadata_low_formats"].creator == "Above & Beyond"
    assert metadata["metadata"].tags == ("test category 1", "test category 2")
    assert metadata["metadata_60fps"].recorded_at == utc(2019, 11, 11)
    assert metadata["metadata_issue_499_1080p50"].title == "Test"
    assert metadata["minimal_metadata"] == NOTHING


def test_the_exact_time_of_upload_is_better_than_its_day() -> None:
    assert ytdlp(timestamp=1_600_000_000, upload_date="20200912").recorded_at == 1_600_000_000
    assert ytdlp(timestamp=None, upload_date="20200912").recorded_at == utc(2020, 9, 12)
    assert ytdlp(upload_date=20200912).recorded_at == utc(2020, 9, 12)
    assert ytdlp(release_timestamp=1_600_000_000.7).recorded_at == 1_600_000_000
    assert ytdlp(timestamp=-1, upload_date="20201399", release_date="2020").recorded_at == utc(
        2020, 1, 1
    )


def test_several_creators_are_named_on_one_line() -> None:
    assert ytdlp(creators=["Ann", 7, None, "Bob\n", "Ann"]).creator == "Ann, 7, Bob"


@pytest.mark.parametrize("said", [{"_type": "playlist"}, {"_type": "multi_video"}, {"entries": []}])
def test_a_playlist_is_no_video(said: dict[str, object]) -> None:
    with pytest.raises(UnusableFileError, match="about a playlist"):
        ytdlp(title="All of them", **said)


def test_wrong_types_are_left_out_and_the_rest_is_taken() -> None:
    metadata = ytdlp(
        title=["a"], fulltitle="b", tags={"a": 1}, categories=[None, "Music", ["x"], {}],
        chapters=[3, {"start_time": "x"}, {"start_time": 0, "title": []}, {"start_time": 1e999},
                  {"start_time": 9, "title": "ok"}, {"start_time": True, "title": "no"}],
        upload_date=20261399, description=7, webpage_url="javascript:alert(1)", uploader=[[]],
        original_url="https://a.example/",
    )  # fmt: skip

    assert metadata == Metadata(
        title="b",
        tags=("music",),
        url="https://a.example/",
        chapters=(Chapter(0.0, "Chapter 1"), Chapter(9.0, "ok")),
    )


# Kodi and Jellyfin


def test_what_kodi_wrote_is_read(shared: Path) -> None:
    file = shared / "media/text/jellyfin/The Bone Orchard.nfo"

    metadata = read_metadata(SidecarKind.NFO, file.name, file.read_bytes())

    assert metadata.title == "The Bone Orchard"
    assert (metadata.description or "").startswith("When Shadow Moon is released from prison")
    assert metadata.recorded_at == utc(2017, 4, 30)
    assert metadata.creator == "David Slade"
    assert metadata.tags == ("drama", "mystery", "sci-fi & fantasy")


def test_every_real_nfo_is_read_or_is_about_something_else(shared: Path) -> None:
    titles, addresses, refused = {}, {}, {}
    for file in sorted((shared / "media/text/jellyfin").glob("*.nfo")):
        try:
            metadata = read_metadata(SidecarKind.NFO, file.name, file.read_bytes())
        except UnusableFileError as error:
            refused[file.stem] = str(error)
        else:
            titles[file.stem], addresses[file.stem] = metadata.title, metadata.url

    assert refused == {"American Gods": "is not about a video: it begins with <tvshow>"}
    assert titles["Dancing Queen"] == "Dancing Queen"
    assert titles["Rising"] == "Rising (1)"
    assert titles["Lilo & Stitch"] == "Lilo & Stitch"
    assert addresses["Imdb"] == "https://www.imdb.com/title/tt0944947/"
    assert addresses["Tvdb"] == "https://www.thetvdb.com/?tab=series&id=121361"


def test_an_address_behind_xml_is_taken_and_one_in_the_middle_is_not() -> None:
    assert movie("<title>a</title>") == Metadata(title="a")
    assert (
        nfo("<movie><title>a</title></movie>\n https://a.example/1 \n").url == "https://a.example/1"
    )
    assert nfo("<movie/>\nsee https://a.example/1") == NOTHING
    assert movie("<thumb>https://a.example/1</thumb>") == NOTHING
    assert movie("<website>https://a.example/2</website>").url == "https://a.example/2"


def test_art_made_of_letters_says_nothing() -> None:
    art = bytes(range(176, 224)) + b"\r\n   R E L E A S E D  by  n o b o d y\r\niMDB....: tt123\r\n"

    assert read_metadata(SidecarKind.NFO, "film.nfo", art) == NOTHING


def test_only_what_stands_right_below_the_root_counts() -> None:
    metadata = movie(
        "<actor><name>A</name><title>no</title></actor><title/><title>yes</title>"
        "<plot>some <b>bold</b> text</plot><set><year>1999</year></set>"
    )

    assert metadata == Metadata(title="yes", description="some bold text")


@pytest.mark.parametrize(
    ("fields", "creator"),
    [
        ("<director>D</director><artist>A</artist>", "A"),
        ("<director>D</director><director>E</director><studio>S</studio>", "D, E"),
        ("<credits>C</credits><studio>S</studio>", "C"),
        ("<studio>S</studio><director></director>", "S"),
        ("", None),
    ],
)
def test_the_creator_is_who_is_nearest_to_the_work(fields: str, creator: str | None) -> None:
    assert movie(fields).creator == creator


@pytest.mark.parametrize(
    ("fields", "recorded_at"),
    [
        ("<aired>2004-07-16</aired>", utc(2004, 7, 16)),
        ("<year>1999</year><premiered>1999-05-04</premiered>", utc(1999, 5, 4)),
        ("<premiered>0000-00-00</premiered><year>1999</year>", utc(1999, 1, 1)),
        ("<premiered>1964-05-04</premiered>", utc(1964, 5, 4)),
        ("<dateadded>2018-09-10 09:46:06</dateadded>", None),
        ("<releasedate>2004-07-16 21:30:00</releasedate>", utc(2004, 7, 16, 21, 30)),
    ],
)
def test_the_date_is_when_it_was_first_shown(fields: str, recorded_at: int | None) -> None:
    assert movie(fields).recorded_at == recorded_at


def test_genres_between_slashes_are_tags_of_their_own() -> None:
    told = movie("<genre>Drama / Crime</genre><tag>#Own</tag><genre>AC/DC</genre>")

    assert told.tags == ("own", "drama", "crime", "ac/dc")


def test_ampersands_and_names_of_html_are_understood() -> None:
    metadata = movie("<title>A & B &eacute;&nbsp;&copy; &lt;i&gt; &amp; &#0;&#xD800;&#x110000;"
                 "&#x1F3B8; &bogus;<![CDATA[ & &amp; ]]></title><plot>a\x0bb</plot>")  # fmt: skip

    assert metadata.title == "A & B \xe9 \xa9 <i> & \U0001f3b8 &bogus; & &amp;"
    assert metadata.description == "ab"


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>',
        "\ufeff<?xml version='1.0'?>",
        '  \n<?xml version="1.0" encoding="utf-16"?>',
        '<?xml version="1.0" encoding="x-unheard-of"?><!DOCTYPE movie>',
        "Warning: cache is cold\n",
        "<!-- made by hand -->",
        "",
    ],
)
def test_what_stands_before_the_root_does_no_harm(head: str) -> None:
    assert nfo(f"{head}<Movie><Title>Caf\xe9</Title></Movie>") == Metadata(title="Caf\xe9")


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", "UTF-16"), ("utf-16-be", ""),
     ("utf-32", ""), ("latin-1", "ISO-8859-1"), ("cp1252", ""), ("cp1252", "bogus"),
     ("cp1252", "idna"), ("cp1252", "hex"), ("cp850", "cp850"), ("utf-8", "iso-8859-15")],
)  # fmt: skip
def test_an_nfo_is_read_in_whatever_it_was_written(encoding: str, declared: str) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    content = f"{head}<movie><title>Caf\xe9 \xfc</title></movie>".encode(encoding)

    assert read_metadata(SidecarKind.NFO, "film.nfo", content).title == "Caf\xe9 \xfc"


def test_cyrillic_is_read_where_it_is_declared() -> None:
    text = '<?xml version="1.0" encoding="windows-1251"?><movie><title>Видео</title></movie>'

    assert read_metadata(SidecarKind.NFO, "a.nfo", text.encode("cp1251")).title == "Видео"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("<movie><title>No end & bare <b>", r"is not valid XML \(line 1\)"),
        ("\n\n<movie>\n<title>x</movie>", r"is not valid XML \(line 4\)"),
        ("<html><body>404</body></html>", "is not about a video: it begins with <html>"),
        ("<tvshow><a><video><title>x</title></video></a></tvshow>", "begins with <tvshow>"),
        ("<movie>\0</movie>", "is not text"),
        ('<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><movie><title>&x;</title></movie>',
         "declares entities"),
        ('<!DOCTYPE m [<!ENTITY x "y">]><movie><title>&x; & b</title></movie>',
         "declares entities"),
        ('<!DOCTYPE m [<!ENTITY % x SYSTEM "http://127.0.0.1:9"> %x;]><movie/>',
         "declares entities"),
    ],
)  # fmt: skip
def test_an_nfo_that_cannot_be_read_is_told_of(text: str, reason: str) -> None:
    with pytest.raises(UnusableFileError, match=reason):
        nfo(text)


def test_several_episodes_held_together_give_the_first() -> None:
    first, two = (f"<episodedetails><title>{name}</title></episodedetails>" for name in "ab")

    assert nfo(f"<xbmcmultiepisode>{first}{two}</xbmcmultiepisode>").title == "a"
    assert nfo(first + two).title == "a"


# Our own


def test_our_own_toml_is_read() -> None:
    metadata = toml(
        """
        title = "The Harbour"
        description = '''
        Two lines,
        not *Markdown*.'''
        date = 2024-05-01T14:30:00+02:00
        tags = ["#Boats", "sea ", "boats", 7]
        creator = "Ann"
        url = "HTTPS://a.example/1?b=c#d"
        chapters = [{start = "0:00", title = "Intro"}, {start = 00:01:23, title = "Song"}]
        """
    )

    assert metadata == Metadata(
        title="The Harbour",
        description="        Two lines,\n        not *Markdown*.",
        recorded_at=utc(2024, 5, 1, 12, 30),
        recorded_offset_min=120,
        creator="Ann",
        url="https://a.example/1?b=c#d",
        tags=("boats", "sea", "7"),
        chapters=CHAPTERS,
    )


@pytest.mark.parametrize(
    "text",
    [
        'chapters = ["0:00 Intro", "1:23 Song"]',
        "chapters = '''\n0:00 Intro\n1:23 Song'''",
        '[chapters]\n"0:00" = "Intro"\n"1:23" = "Song"',
        '[[chapters]]\nstart = 0\ntitle = "Intro"\n[[chapters]]\nstart = 83.0\ntitle = "Song"',
        'Chapters = [{time = "0:00", title = "Intro"}, {"1:23" = "Song"}]',
    ],
)
def test_chapters_may_be_written_in_several_ways(text: str) -> None:
    assert toml(text).chapters == CHAPTERS


@pytest.mark.parametrize(
    ("date", "recorded_at"),
    [
        ("2024-05-01", utc(2024, 5, 1)), ('"2024-05-01"', utc(2024, 5, 1)),
        ("2024-05-01 10:11:12", utc(2024, 5, 1, 10, 11, 12)), ('"2024/5/1"', utc(2024, 5, 1)),
        ('"2024:05:01 10:11:12"', utc(2024, 5, 1, 10, 11, 12)), ('"2024-05"', utc(2024, 5, 1)),
        ('"20240501T101112Z"', utc(2024, 5, 1, 10, 11, 12)), ("2024", utc(2024, 1, 1)),
        ('"2024-05-01 at noon"', utc(2024, 5, 1)), ("1714521600", 1_714_521_600),
        ("10:11:12", None), ("1890-01-01", utc(1890, 1, 1)),
        ("2101-01-01", None), ('"2024 or so"', None),
        ('"2024-13-45"', None), ("true", None), ("nan", None), ("-inf", None), ("1e999", None),
        ("[2024]", None),
    ],
)  # fmt: skip
def test_dates_are_read_as_people_write_them(date: str, recorded_at: int | None) -> None:
    assert toml(f"date = {date}").recorded_at == recorded_at


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "ftp://a.example/", "//a.example", "a.example", "https://", "http:///x",
     "https://user:secret@a.example/", "https://user@a.example/", "https://a.example/a b",
     "https://a.example\\\\@b.example/", "http://[::1", "https://a.example:99999/", "file:///etc",
     "https://a.example/\\u202ex", "https://a.example/<b>", "https://a.example/" + "x" * 2000],
)  # fmt: skip
def test_an_address_that_nobody_should_follow_is_left_out(url: str) -> None:
    assert toml(f'title = "x"\nurl = "{url}"') == Metadata(title="x")


def test_toml_without_anything_says_nothing() -> None:
    assert toml("") == NOTHING
    assert toml("# nothing yet\n[later]\nx = 1") == NOTHING


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title = The Harbour", r"is not valid TOML \(line 1, column 9\)"),
        ("a = 1\na = 2\n", r"is not valid TOML \(line 2, column 6\)"),
        ('title = "no end', "is not valid TOML"),
        ("x = " + "[" * 5000, "is nested too deeply to be read"),
        ("\0", "is not text"),
    ],
)
def test_toml_that_is_not_sound_is_told_of_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(UnusableFileError, match=reason):
        toml(text)


def test_a_number_of_thousands_of_digits_spoils_nothing_else() -> None:
    assert toml(f'title = "x"\nbig = {"9" * 5000}') == Metadata(title="x")
    assert own(f"---\ntitle: x\nbig: {'9' * 5000}\n---\n") == Metadata(title="x")


def test_markdown_with_yaml_in_front_is_read() -> None:
    metadata = own(
        """\ufeff---
title: "Harbour: the film"
date: 2024-05-01
tags:
  - Boats
  - no
  - 2024
author: [Ann, Bob]
url: https://a.example/
description: is not needed
chapters:
  - 0:00: Intro
  - {start: 1:23, title: Song}
---

Some *words*.

    code stays
"""
    )

    assert metadata == Metadata(
        title="Harbour: the film",
        description="Some *words*.\n\n    code stays",
        is_markdown=True,
        recorded_at=utc(2024, 5, 1),
        creator="Ann, Bob",
        url="https://a.example/",
        tags=("boats", "no", "2024"),
        chapters=CHAPTERS,
    )


def test_yaml_makes_no_types_of_what_people_write() -> None:
    told = own("---\ntitle: 1:30\ncreator: NO\ntags: yes, 1e3, ~\ndate: ~\nurl:\n---\n")

    assert told == Metadata(title="1:30", creator="NO", tags=("yes", "1e3", "~"))


def test_markdown_with_toml_in_front_is_read() -> None:
    told = own('+++\ntitle = "Harbour"\n+++\nBody\n')

    assert told == Metadata(title="Harbour", description="Body", is_markdown=True)


def test_markdown_with_plain_lines_in_front_is_read() -> None:
    told = own("Title: Harbour\nDate: 2024-05-01\nTags: a, b; #c #d\nmood: sunny\n\nBody: text\n")

    assert told == Metadata(
        title="Harbour",
        description="Body: text",
        is_markdown=True,
        recorded_at=utc(2024, 5, 1),
        tags=("a", "b", "c", "d"),
    )


@pytest.mark.parametrize(
    ("text", "title", "description"),
    [
        ("# Harbour\n\nText", "Harbour", "Text"),
        ("\n\n# C# ##\nText", "C#", "Text"),
        ("Harbour\n=======\nText", "Harbour", "Text"),
        ("---\ntitle: Harbour\n---\n# Harbour\nText", "Harbour", "Text"),
        ("---\ntitle: Harbour\n---\n# Boats\nText", "Harbour", "# Boats\nText"),
        ("## Harbour", None, "## Harbour"),
        ("Text only", None, "Text only"),
        ("Note: this is no head\n\nText", None, "Note: this is no head\n\nText"),
        ("---\nno fields\n---\nText", None, "---\nno fields\n---\nText"),
        ("---\n---\nText", None, "Text"),
        ("---\ntitle: never closed\n", None, "---\ntitle: never closed"),
        ("---\ndescription: of the head\n---\n", None, "of the head"),
        ("# Harbour", "Harbour", None),
        (" \n \n", None, None),
    ],
)
def test_the_first_heading_is_the_title_and_the_rest_the_description(
    text: str, title: str | None, description: str | None
) -> None:
    metadata = own(text)

    assert (metadata.title, metadata.description) == (title, description)
    assert metadata.is_markdown is (description is not None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("---\ntitle: a\nbad: b: c\n---\n", r"has invalid YAML front matter \(line 3\)"),
        ('---\n"\\UFFFFFFFF": a\n---\n', "has invalid YAML front matter"),
        ("---\n? [a]\n: b\n---\n", "has invalid YAML front matter"),
        ("---\na: &a [*a]\n---\n", "has invalid YAML front matter"),
        ("+++\na = b\n+++\n", r"has invalid TOML front matter \(line 2, column 5\)"),
        ("---\na: " + "[" * 9000 + "\n---\n", "nested too deeply"),
        ("---\n" + "a: b\n" * 20_000 + "---\n", "more than 64 KB between its first --- and"),
        ("\x01\x02\x03\x04", "is not text"),
    ],
)
def test_a_head_that_is_not_sound_is_told_of(text: str, reason: str) -> None:
    with pytest.raises(UnusableFileError, match=reason):
        own(text)


def test_yaml_makes_nothing_and_nothing_grows(tmp_path: Path) -> None:
    bomb = "\n".join(
        f"{b}: &{b} [{f'*{a},' * 9}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    trace = tmp_path / "trace"

    metadata = own(
        f"---\ntitle: !!python/object/apply:os.mkdir [{trace}]\n"
        f"a: &a [x, x]\n{bomb}\ntags: *i\nm: &m {{!!merge <<: [*a, *a]}}\n---\nText"
    )

    assert metadata == Metadata(description="Text", is_markdown=True)
    assert not trace.exists()


def test_the_examples_of_the_reference_are_read_in_full() -> None:
    page = ROOT / "docs/reference/sidecars.md"
    blocks = re.findall(r"```(\w+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    in_toml, in_markdown = (own(text, f"film.{name}") for name, text in blocks)

    assert [name for name, _ in blocks] == ["toml", "markdown"]
    assert in_toml == Metadata(
        title="The harbor in winter",
        description="Ice on the boats, and nobody there.",
        recorded_at=utc(2024, 1, 14, 8, 30),
        recorded_offset_min=60,
        creator="Ann",
        url="https://example.org/harbor",
        tags=("harbor", "winter"),
        chapters=(Chapter(0.0, "The pier"), Chapter(83.0, "The boats")),
    )
    assert in_markdown == replace(
        in_toml,
        description="Ice on the boats, and *nobody* there.",
        is_markdown=True,
        recorded_at=utc(2024, 1, 14),
        recorded_offset_min=None,
    )


# The old server, and Takeout


def test_tags_that_the_old_server_kept_are_read(shared: Path) -> None:
    by_file, refused = {}, []
    for file in sorted((shared / "media/legacy/variants/sidecar_tags").glob("*.json")):
        try:
            by_file[file.name] = read_metadata(SidecarKind.JSON, file.name, file.read_bytes())
        except UnusableFileError as error:
            refused.append((file.name, str(error)))

    assert refused == [
        ("Hiking_Keynote_f2b3baaa.mp4.json", "is not valid JSON (line 1, column 11)")
    ]
    assert len(by_file) == 11
    assert {one.title for one in by_file.values()} == {None}
    hiking = by_file["Hiking-Review_Travel-Birthday_Garden.mp4.json"]
    assert hiking.tags == ("drone", "b-roll", "to watch")


@pytest.mark.parametrize(
    ("said", "tags"),
    [
        (["#a", "B", "b"], ("a", "b")),
        ({"tags": "a, b, c"}, ("a", "b", "c")),
        ({"tags": "#single"}, ("single",)),
        ({"tags": [1, None, "#ok", ["#nested"], "", " ", "#"]}, ("1", "ok")),
        ({"tags": {"#x": 1}}, ()),
        ({"tags": None}, ()),
        ({}, ()),
        ([], ()),
        (
            {"tags": ["x" * 500, "y" * 99 + " z", "\ud83c tag\n of two lines"]},
            ("x" * 100, "y" * 99, "\ufffd tag of two lines"),
        ),
        ({"tags": [str(number) for number in range(999)]}, tuple(map(str, range(200)))),
    ],
)
def test_tags_of_every_shape_are_read(said: object, tags: tuple[str, ...]) -> None:
    assert tagfile(said).tags == tags


@pytest.mark.parametrize("content", [None, 7, "text", True, 1.5])
def test_json_of_another_shape_is_told_of(content: object) -> None:
    with pytest.raises(UnusableFileError, match="neither a list of tags nor an object"):
        tagfile(content)
    with pytest.raises(UnusableFileError, match="is not what yt-dlp writes"):
        read_metadata(SidecarKind.YTDLP, "a.info.json", json.dumps(content).encode())


def test_what_takeout_wrote_is_read() -> None:
    metadata = tagfile(
        {
            "title": "VID_20200912.mp4",
            "description": "At the harbour",
            "creationTime": {"timestamp": "1700000000"},
            "photoTakenTime": {"timestamp": "1600000000", "formatted": "13.09.2020"},
            "url": "https://photos.google.com/photo/AF1Qip",
        },
        "VID_20200912.mp4.json",
    )

    assert metadata == Metadata(
        description="At the harbour", recorded_at=1_600_000_000, recorded_offset_min=0
    )


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("My film", True),
        ("film.mp4", False),
        ("film", False),
        ("A.MOV", False),
        ("a b", False),
        ("a_b", False),
    ],
)
def test_a_title_that_is_the_name_of_the_file_says_nothing(title: str, kept: bool) -> None:  # noqa: FBT001
    name = "a_b.mp4.json" if title.startswith("a") else "film.mp4.JSON"

    assert tagfile({"title": title}, name).title == (title if kept else None)


# What they have in common


def test_one_wrong_byte_does_not_spoil_the_letters_of_a_whole_text() -> None:
    content = "Лодки и гавань".encode() + b"\xff\n"

    told = read_metadata(SidecarKind.OWN, "film.md", content)

    assert told.description == "Лодки и гавань\ufffd"


def test_long_texts_are_cut_and_controls_left_out() -> None:
    metadata = ytdlp(
        title="\u202e" + "title " * 99,
        description="a\r\nb\x00\x1b[31m\u2028c\u202e\tq\ud800e\u0301\n\n" + "x" * 20_000,
        uploader=" \n ",
    )

    assert metadata.title is not None
    assert metadata.description is not None
    assert (len(metadata.title), len(metadata.description)) == (299, 9_999)
    assert metadata.description.startswith("a\nb[31m\nc    q\ufffd\xe9\n\nxxx")
    assert metadata.creator is None


def test_a_kind_that_holds_no_description_is_refused() -> None:
    for kind in (SidecarKind.SUBTITLES, SidecarKind.PICTURE):
        with pytest.raises(UnusableFileError, match="is not a description"):
            read_metadata(kind, "film.srt", b"x")


def test_only_what_ytdlp_writes_may_be_large() -> None:
    assert max_sidecar_bytes(SidecarKind.YTDLP) == 32 << 20
    assert {max_sidecar_bytes(kind) for kind in SidecarKind if kind != SidecarKind.YTDLP} == {
        1 << 20
    }


# Containers


def test_what_a_container_holds_is_read() -> None:
    metadata = embedded_metadata(
        {
            "TITLE": " The Harbour ",
            "DESCRIPTION": "Short",
            "synopsis": "Long\r\nand wide",
            "ARTIST": "Ann",
            "GENRE": "Boats; Sea",
            "PURL": "https://a.example/1",
            "encoder": "Lavf",
        },
        [(0.0, 83.0, "Intro"), (83.0, 99.0, "Song")],
    )

    assert metadata == Metadata(
        title="The Harbour",
        description="Long\nand wide",
        creator="Ann",
        url="https://a.example/1",
        tags=("boats", "sea"),
        chapters=CHAPTERS,
    )


def test_a_comment_that_is_an_address_is_where_it_came_from() -> None:
    assert embedded_metadata({"comment": "https://a.example/1"}, ()) == Metadata(
        url="https://a.example/1"
    )


def test_what_phones_and_cameras_write_says_nothing_but_when() -> None:
    metadata = embedded_metadata(
        {
            "major_brand": "qt  ",
            "creation_time": "2020-09-12T10:00:00.000000Z",
            "com.apple.quicktime.make": "Apple",
            "com.apple.quicktime.creationdate": "2020-09-12T12:00:00+0200",
            "title": "IMG_0001.MOV",
        },
        [(0.0, 9.0, "")],
    )

    assert metadata == Metadata(recorded_at=utc(2020, 9, 12, 10), recorded_offset_min=120)


@pytest.mark.parametrize(
    ("tags", "recorded_at"),
    [
        ({"date": "2004-07-16"}, utc(2004, 7, 16)),
        ({"DATE": "20040716", "creation_time": "2020-09-12T10:00:00Z"}, utc(2004, 7, 16)),
        ({"date": "2020-09-12", "creation_time": "2020-09-12T10:00:00Z"}, utc(2020, 9, 12, 10)),
        ({"date": "2004", "creation_time": "2020-09-12T10:00:00Z"}, utc(2004, 1, 1)),
        ({"creation_time": "2020-09-12T10:00:00Z"}, utc(2020, 9, 12, 10)),
    ],
)
def test_a_plain_date_is_better_than_when_the_file_was_encoded(
    tags: dict[str, str], recorded_at: int | None
) -> None:
    assert embedded_metadata(tags, ()).recorded_at == recorded_at
