"""Sidecars, whatever is in them: nothing but UnfitError leaves, limits hold, no effort explodes."""

import codecs
import json
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from html import escape
from pathlib import Path
from time import process_time
from urllib.parse import urlsplit

import pytest
import yaml
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.adapters.media_worker.sidecars import (
    embedded_metadata,
    max_sidecar_bytes,
    read_metadata,
)
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.formatting import normalize_tag, readable
from generator.core.media.chapters import tidy_chapters
from generator.core.model import Metadata, SidecarKind

NAMES = {
    SidecarKind.OWN: "film.md",
    SidecarKind.NFO: "film.nfo",
    SidecarKind.YTDLP: "film.info.json",
    SidecarKind.JSON: "film.mp4.json",
}
FORMS = [*NAMES.items(), (SidecarKind.OWN, "film.toml")]
FIELDS = [
    "title", "fulltitle", "originaltitle", "description", "plot", "outline", "date", "aired",
    "premiered", "year", "timestamp", "upload_date", "release_date", "photoTakenTime", "creator",
    "channel", "creators", "artist", "director", "author", "url", "webpage_url", "website", "tags",
    "tag", "genre", "categories", "keywords", "chapters", "start_time", "start", "time", "_type",
]  # fmt: skip
MAX_SECONDS = 5  # of this processor; most take some hundredths

texts = st.text(st.characters(codec=None), max_size=30)
telling = st.sampled_from(
    ["", " ", "2024-05-01", "20240501", "1600000000", "1:23", "0:00 Intro", "https://a.example/x",
     "http://u:p@a.example", "http://[", "#tag, Tag; other", "\u202e\ud800\0\x1b", "nan", "a\r\n"]
)  # fmt: skip
long = st.sampled_from(
    ["e\u0301" * 400, "\ufb2c" * 400, "\u0958" * 9_990, "\u0130" * 150, "x" * 12_000, "9" * 5000]
)
numbers = st.integers() | st.floats() | st.integers(10**300, 10**301) | st.integers(0, 4 * 10**9)
leaves = st.none() | st.booleans() | numbers | texts | telling
keys = st.sampled_from(FIELDS) | st.sampled_from(["timestamp", "a", "1:23"]) | texts
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=6)
)
fields = st.dictionaries(st.sampled_from(FIELDS) | texts, trees, max_size=12)
long_fields = st.dictionaries(
    st.sampled_from(FIELDS), long | st.lists(long, max_size=2), max_size=3
)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
SOUPS = {
    "film.toml": [
        "title", "chapters", "date", "tags", "a", "=", ".", "[", "]", "[[", "]]", "{", "}", ",",
        '"', "'", '"""', "'''", "\\", "\\u0041", "\\UFFFFFFFF", "#", "\n", " ", "1", "0x", "1e999",
        "nan", "-", "_", "1979-05-27", "T07:32:00Z", "99:99:99", "\xe9", "true",
    ],
    "film.md": [
        "---\n", "...\n", "+++\n", "title", "tags", "chapters", ": ", ":", "- ", "? ", "\n", " ",
        "  ", "\t", "[", "]", "{", "}", ",", "&a ", "*a", "<<: ", "!!merge ", "!!binary ", "!<x>",
        "!", "|\n", ">-\n", "%YAML 1.1\n", "'", '"', "\\U00110000", "\\x", "#", "# ", "===\n", "~",
        "@", "`", "\xe9", "\x85", "\ufeff", "0:00", "a",
    ],
    "film.nfo": [
        "<movie>", "</movie>", "<title>", "</title>", "<tag>", "</tag>", "<year>", "</year>", ">",
        "<video/>", "<xbmc>", "</xbmc>", "<?xml version='1.0' ", "encoding='utf-16'", "?>", "&a;",
        "<!DOCTYPE movie ", "[<!ENTITY a 'b'>]", "[<!ATTLIST movie t CDATA 'x'>]", "SYSTEM 'x' ",
        "&amp;", "&", "&#0;", "&#x110000;", "&eacute;", "<![CDATA[", "]]>", "<!--", "-->", "<a b='",
        "'", "xmlns:x='y'", "<x:title>", "\n", "\xe9", "\x0b", "https://a.example/\n", "\ufffe",
    ],
    "film.info.json": [
        "{", "}", "[", "]", ",", ":", '"title"', '"tags"', '"chapters"', '"start_time"', '"a"', '"',
        "\\", "\\ud800", "\\udc00", "NaN", "-Infinity", "1e999", "-", "1", "9" * 30, "0.1", "true",
        "null", " ", "\n", "\ufeff", "\xe9",
    ],
}  # fmt: skip
OURS = {
    "film.toml": (
        b'title = "a"\ndate = 2024-05-01\ntags = ["a", "b"]\n[more]\nx.y = 1.5\n[[chapters]]\n'
        b'start = 00:00:00\ntitle = "x"\n[[chapters]]\nstart = "1:00"\ntitle = "y"\n'
    ),
    "film.md": (
        b"---\ntitle: a\ndate: 2024-05-01\ntags: [a, b]\nchapters:\n  - {start: 0, title: x}\n"
        b"  - 1:00: y\n---\n# Heading\n\nText *of* it.\n"
    ),
}


def sound(details: Metadata) -> bool:
    """Tell whether everything is within its limits, and can be told to others."""
    json.dumps(asdict(details), allow_nan=False, ensure_ascii=False).encode()
    for line in (details.title, details.creator):
        assert line is None or (0 < len(line) <= 300 and readable(line) == line)
    text = details.description
    assert text is None or (text.strip() and len(text) <= 10_000)
    assert text is None or unicodedata.is_normalized("NFC", text)
    assert not {unicodedata.category(c) for c in (text or "").replace("\n", "")} & {
        "Cc",
        "Cs",
        "Co",
    }
    assert not details.is_markdown or text
    assert details.recorded_at is None or -5_364_662_400 <= details.recorded_at < 4_133_980_800
    if details.url is not None:
        parts = urlsplit(details.url)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert parts.username is None
        assert len(details.url) <= 2000
        assert readable(details.url) == details.url
    assert len(set(details.tags)) == len(details.tags) <= 200
    assert all(0 < len(tag) <= 100 and normalize_tag(tag) == tag for tag in details.tags)
    assert tidy_chapters(details.chapters) == details.chapters
    return True


def read(kind: SidecarKind, name: str, content: bytes) -> Metadata | None:
    """Read a sidecar; None where it is refused, in one line that a person can read."""
    began, complaint, details = process_time(), "", None
    try:
        details = read_metadata(kind, name, content)
    except UnusableFileError as error:
        complaint = str(error)
    assert process_time() - began < MAX_SECONDS
    assert complaint if details is None else sound(details)
    assert readable(complaint) == complaint
    assert len(complaint) <= 120
    return details


def written(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "replace")


@cache
def samples(shared: Path) -> list[tuple[SidecarKind, str, bytes]]:
    """Return real sidecars of all kinds, and two of ours."""
    media = shared / "media"
    files = [
        *((SidecarKind.NFO, file) for file in (media / "text/jellyfin").glob("*.nfo")),
        *((SidecarKind.YTDLP, file) for file in (media / "text/meeb").glob("m*a*.json")),
        *((SidecarKind.JSON, file) for file in (media / "legacy").rglob("*.mp4.json")),
    ]
    return [
        *((kind, file.name, file.read_bytes()) for kind, file in sorted(files, key=str)),
        *((SidecarKind.OWN, name, content) for name, content in OURS.items()),
    ]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + b'{"title": "Caf\xc3\xa9"}',
        '{"title": "Caf\xe9"}'.encode("utf-16"),
        '{"title": "Caf\xe9"}'.encode("utf-16-le"),
        '{"title": "Caf\xe9"}'.encode("utf-16-be"),
        '{"title": "Caf\xe9"}'.encode("utf-32"),
        b'\r\n{"title": "Caf\xe9"}\r\n',
        b'{"title": "no", "title": "Caf\\u00e9"}',
        b'{"title": "Caf\\u00e9", "n": [NaN, -Infinity, 1e999, -0], "i": ' + b"9" * 5000 + b"}",
        b'{"title": "Cafe\\u0301"} and what an older, longer file left',
        b'{"title": "\tCaf\\u00e9\n"}',
    ],
)
def test_json_is_read_however_it_was_written(content: bytes) -> None:
    for kind in (SidecarKind.YTDLP, SidecarKind.JSON):
        assert read_metadata(kind, "film.mp4.json", content) == Metadata(title="Caf\xe9")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"title": "cut of', r"is not valid JSON \(line 1, column 11\)"),
        (b"{'title': 1}", "is not valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b"\0" * 5000, "is not text"),
        (bytes(range(256)) * 9, "is not text"),
    ],
)
def test_json_that_cannot_be_read_is_told_of(content: bytes, reason: str) -> None:
    for kind in (SidecarKind.YTDLP, SidecarKind.JSON):
        with pytest.raises(UnusableFileError, match=reason):
            read_metadata(kind, "film.mp4.json", content)


@settings(max_examples=examples(50, thorough=150))
@given(form=st.sampled_from(FORMS), content=st.binary(max_size=2000))
def test_any_bytes(form: tuple[SidecarKind, str], content: bytes) -> None:
    read(*form, content)


@given(form=st.sampled_from(FORMS), text=texts, encoding=encodings)
def test_any_text(form: tuple[SidecarKind, str], text: str, encoding: str) -> None:
    read(*form, written(text, encoding))


@settings(max_examples=examples(50, thorough=150))
@given(draw=st.data(), form=st.sampled_from(FORMS))
def test_pieces_of_a_language_in_any_order(
    draw: st.DataObject, form: tuple[SidecarKind, str]
) -> None:
    kind, name = form
    soup = SOUPS.get(name, SOUPS["film.info.json"])
    text = "".join(draw.draw(st.lists(st.sampled_from(soup), max_size=60)))
    before = draw.draw(st.sampled_from(["", "---\n", "+++\n", "{", "<movie>", "<movie><title>"]))
    after = draw.draw(
        st.sampled_from(["", "\n---\n", "\n+++\n", "}", "</movie>", "</title></movie>"])
    )

    read(kind, name, written(before + text + after, draw.draw(encodings)))


@settings(max_examples=examples(50, thorough=150))
@given(draw=st.data())
def test_real_files_that_were_damaged(draw: st.DataObject, shared: Path) -> None:
    kind, name, content = draw.draw(st.sampled_from(samples(shared)))
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(content)))
        length = draw.draw(st.sampled_from([0, 1, 2, 7, 40, 400]))
        piece = draw.draw(
            st.binary(max_size=4)
            | st.sampled_from([content[at : at + length] * 3, b"[" * 3000, b"\xff\xfe", b"\0", b""])
        )
        content = content[:at] + piece + content[at + length :]

    read(kind, name, content[: max_sidecar_bytes(kind)])


@given(
    content=trees | fields | long_fields,
    kind=st.sampled_from([SidecarKind.YTDLP, SidecarKind.JSON]),
    encoding=encodings,
)
def test_json_of_any_shape(content: object, kind: SidecarKind, encoding: str) -> None:
    details = read(kind, NAMES[kind], written(json.dumps(content), encoding))

    is_list = isinstance(content, list) and kind is SidecarKind.JSON
    is_list_of_videos = isinstance(content, dict) and content.get("_type") in (
        "playlist",
        "multi_video",
    )
    assert (details is not None) == (isinstance(content, dict) or is_list) or is_list_of_videos


@settings(max_examples=examples(40, thorough=100))
@given(said=fields, body=texts, encoding=encodings)
def test_yaml_of_any_shape(said: dict[str, object], body: str, encoding: str) -> None:
    front = yaml.safe_dump(said, allow_unicode=True, sort_keys=False)

    read(SidecarKind.OWN, "film.md", written(f"---\n{front}\n---\n{body}", encoding))


@settings(max_examples=examples(40, thorough=100))
@given(said=fields, encoding=encodings)
def test_toml_of_any_shape(said: dict[str, object], encoding: str) -> None:
    lines = [f"{json.dumps(key)} = {toml_of(value)}" for key, value in said.items()]

    for name, around in (("film.toml", "{}\n"), ("film.md", "+++\n{}\n+++\ntext")):
        read(SidecarKind.OWN, name, written(around.format("\n".join(lines)), encoding))


def toml_of(value: object) -> str:
    """Return a value in TOML, which is sound where it can be."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(key))} = {toml_of(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "")
    return {True: "true", False: "false", None: "2024-05-01"}.get(value, repr(value))  # type: ignore[call-overload,no-any-return]


elements = st.recursive(
    texts.map(escape) | telling.map(escape) | st.sampled_from(["&", "<![CDATA[a&b]]>", "<!-- -->"]),
    lambda inner: st.builds(
        lambda name, more: f"<{name} a='b'>{''.join(more)}</{name}>",
        st.sampled_from([*FIELDS, "actor", "movie", "x:plot"]),
        st.lists(inner, max_size=5),
    ),
)


@settings(max_examples=examples(40, thorough=100))
@given(
    root=st.sampled_from(["movie", "episodedetails", "VIDEO", "k:musicvideo", "tvshow", "other"]),
    inner=st.lists(elements, max_size=8),
    declared=st.sampled_from(
        ["", "utf-8", "utf-16", "latin-1", "gbk", "idna", "bogus", "punycode"]
    ),
    encoding=encodings,
    behind=st.sampled_from(["", "\nhttps://a.example/", "<movie>"]),
)
def test_xml_of_any_shape(
    root: str, inner: list[str], declared: str, encoding: str, behind: str
) -> None:
    head = f"<?xml version='1.0' encoding='{declared}'?>" if declared else ""
    text = f"{head}<{root}>{''.join(inner)}</{root}>{behind}"

    details = read(SidecarKind.NFO, "film.nfo", written(text, encoding))

    assert details is None or root not in ("tvshow", "other") or "<movie" in text


@given(
    tags=st.dictionaries(
        st.sampled_from([*map(str.upper, FIELDS), "com.apple.quicktime.title", "purl", "comment"]),
        texts | telling,
    ),
    chapters=st.lists(st.tuples(st.floats(), st.floats(), texts), max_size=9),
)
def test_containers_that_hold_anything(
    tags: dict[str, str], chapters: list[tuple[float, float, str]]
) -> None:
    assert sound(embedded_metadata(tags, chapters))


@pytest.mark.parametrize(
    "text", ["\u0958" * 9_990, "e\u0301" * 9_990, "\u0130" * 9_990, "\t" * 9_990]
)
def test_a_text_that_changes_its_length_keeps_the_limits(text: str) -> None:
    fields: dict[str, object] = dict.fromkeys(FIELDS, f"x{text}x") | {"tags": [f"x{text}x"]}

    for kind in (SidecarKind.YTDLP, SidecarKind.JSON):
        read(kind, NAMES[kind], json.dumps(fields).encode())
    assert sound(embedded_metadata({"title": text, "comment": text, "genre": text}, ()))


@pytest.mark.parametrize("depth", [20, 200, 999, 1000, 5000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"a":', "}"), ("<a>", "</a>"), ("- ", ""), ("? ", ""), ("> ", ""), ("{a: ", "}"),
     ("a.", ""), ("x = {a = ", "}")],
)  # fmt: skip
def test_however_deep_it_goes(opening: str, closing: str, depth: int) -> None:
    nest = f"{opening * depth}1{closing * depth}"
    for kind, name in FORMS:
        for text in (nest, f"---\na: {nest}\n---\n", f"a = {nest}", f"<movie>{nest}</movie>"):
            read(kind, name, text.encode()[: max_sidecar_bytes(kind)])


HEAVY: dict[str, tuple[SidecarKind, str, Callable[[], str]]] = {
    "a key of half a million parts": (
        SidecarKind.OWN, "a.toml", lambda: ".".join("a" * 500_000) + " = 1"),
    "such a key in a table within a line": (
        SidecarKind.OWN, "a.toml", lambda: "x = {" + "a." * 500_000 + "a = 1}"),
    "a long heading over many keys": (
        SidecarKind.OWN, "a.toml",
        lambda: "[" + "a." * 15 + "a]\n" + "\n".join(f"b{n}.c = 1" for n in range(80_000))),
    "texts in TOML that never end": (
        SidecarKind.OWN, "a.toml", lambda: '"""' + '\\"""' * 250_000),
    "nothing but quotes": (SidecarKind.OWN, "a.toml", lambda: "'" * 1_000_000),
    "many plain lines": (SidecarKind.OWN, "a.md", lambda: "Title: x\n" + "a: b\n" * 200_000),
    "a heading of spaces": (SidecarKind.OWN, "a.md", lambda: "# a" + " " * 999_000 + "b"),
    "fences that close nothing": (SidecarKind.OWN, "a.md", lambda: "---\n" + "---a\n" * 200_000),
    "a wide list in front": (
        SidecarKind.OWN, "a.md", lambda: "---\nx: [" + "a," * 32_000 + "]\n---"),
    "brackets in front": (SidecarKind.OWN, "a.md", lambda: "---\n" + "[" * 65_000 + "\n---\n"),
    "blank lines": (SidecarKind.OWN, "a.md", lambda: " \n" * 500_000 + "x"),
    "accents on accents": (SidecarKind.OWN, "a.md", lambda: "a" + "\u0301\u0316" * 260_000),
    "150,000 elements deep": (
        SidecarKind.NFO, "a.nfo",
        lambda: "<movie>" + "<a>" * 150_000 + "</a>" * 150_000 + "</movie>"),
    "bare ampersands": (SidecarKind.NFO, "a.nfo", lambda: "<movie><plot>" + "&" * 1_000_000),
    "passages that never end": (
        SidecarKind.NFO, "a.nfo", lambda: "<movie>" + "<![CDATA[" * 110_000),
    "attributes": (
        SidecarKind.NFO, "a.nfo",
        lambda: "<movie " + " ".join(f'a{n}=""' for n in range(90_000)) + "/>"),
    "an end that does not end": (
        SidecarKind.NFO, "a.nfo", lambda: "<movie></movie>" + "</movie " * 120_000),
    "100,000 fields": (
        SidecarKind.NFO, "a.nfo", lambda: "<movie>" + "<tag>a</tag>" * 85_000 + "</movie>"),
    "a million lists": (SidecarKind.YTDLP, "a.json", lambda: '{"tags":[' + "[]," * 10**6 + "0]}"),
    "half a million chapters": (
        SidecarKind.YTDLP, "a.json",
        lambda: '{"chapters":[' + '{"start_time":1},' * 500_000 + "0]}"),
    "a title of 30 MB": (SidecarKind.YTDLP, "a.json", lambda: '{"title":"' + "ü " * 10**7 + '"}'),
    "a number of 30 MB": (
        SidecarKind.YTDLP, "a.json", lambda: '{"title":' + "9" * 3 * 10**7 + "}"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
def test_nothing_takes_long(name: str) -> None:
    kind, file, make = HEAVY[name]

    read(kind, file, make().encode()[: max_sidecar_bytes(kind)])


def test_what_needs_more_memory_than_allowed_is_told_of() -> None:
    code = """
import resource
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.adapters.media_worker.sidecars import read_metadata
from generator.core.model import SidecarKind
content = b"[" + b"[]," * 5_000_000 + b"0]"
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (100 << 20),) * 2)
try:
    read_metadata(SidecarKind.YTDLP, "a.info.json", content)
except UnusableFileError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "needs more memory than allowed to be read\n"
