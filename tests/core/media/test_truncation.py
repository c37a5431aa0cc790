"""Wholeness: a file that is whole is never called cut, and one that is cut tells by how much."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.formatting import file_size
from generator.core.media.truncation import Outline, outline


@dataclass
class Bytes:
    """A file in memory that counts how often it is read; `more` bytes of nothing follow it."""

    content: bytes
    more: int = 0
    reads: list[int] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return len(self.content) + self.more

    def read_at(self, offset: int, size: int) -> bytes:
        self.reads.append(offset)
        assert 0 <= offset < self.size_bytes
        some = self.content[offset : offset + size]
        return some + bytes(min(size, self.size_bytes - offset) - len(some))


def box(
    kind: bytes, body: bytes = b"", *, claimed: int | None = None, large: bool = False
) -> bytes:
    size = 8 + len(body) if claimed is None else claimed
    if large:
        return b"\x00\x00\x00\x01" + kind + (size + 8).to_bytes(8, "big") + body
    return size.to_bytes(4, "big") + kind + body


def element(name: int, body: bytes, *, claimed: int | None = None) -> bytes:
    size = len(body) if claimed is None else claimed
    length = (name.bit_length() + 7) // 8
    return name.to_bytes(length, "big") + (size | 1 << 56).to_bytes(8, "big") + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\x00" * (len(body) % 2)


def thing(name: str, body: bytes) -> bytes:
    return bytes.fromhex(name) + (24 + len(body)).to_bytes(8, "little") + body


FTYP = box(b"ftyp", b"isom\x00\x00\x02\x00mp41")
FAST, SLOW = Outline("mp4", "", fast_start=True), Outline("mp4", "", fast_start=False)
UNKNOWN_SIZE = (1 << 56) - 1


def track(entry: bytes) -> bytes:
    boxes = box(b"stsd", b"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x56" + entry + bytes(78))
    for kind in (b"stbl", b"minf", b"mdia", b"trak"):
        boxes = box(kind, box(b"free") + boxes)
    return boxes


def mp4(media: int, *, fast: bool = False, entry: bytes = b"avc1") -> bytes:
    parts = [box(b"moov", box(b"mvhd", bytes(100)) + track(entry)), box(b"mdat", bytes(media))]
    return FTYP + box(b"free") + b"".join(parts if fast else reversed(parts))


def matroska(media: int, doc_type: bytes = b"matroska") -> bytes:
    head = element(0x1A45DFA3, element(0x4286, b"\x01") + element(0x4282, doc_type))
    return head + element(0xEC, bytes(9)) + element(0x18538067, bytes(media))


def avi(*media: int) -> bytes:
    head = chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56))) + chunk(b"JUNK", bytes(31))
    riffs = []
    for number, size in enumerate(media):
        lists = chunk(b"LIST", b"movi" + bytes(size)) + chunk(b"idx1", bytes(16))
        form = b"AVIX" if number else b"AVI " + head
        riffs.append(chunk(b"RIFF", form + lists))
    return b"".join(riffs)


def asf(media: int, *, live: bool = False) -> bytes:
    flags = bytes([live, 0, 0, 0])
    properties = thing("a1dcab8c47a9cf118ee400c00c205365", bytes(64) + flags + bytes(12))
    other = thing("b503bf5f2ea9cf118ee300c00c205365", bytes(22))
    head = thing(
        "3026b2758e66cf11a6d900aa0062ce6c", b"\x02\x00\x00\x00\x01\x02" + other + properties
    )
    return head + thing("3626b2758e66cf11a6d900aa0062ce6c", bytes(26 + media))


media = st.integers(0, 400)
whole_files = st.one_of(
    st.builds(mp4, media.filter(bool), fast=st.booleans()),
    st.builds(matroska, media),
    st.builds(avi, media, media, media),
    st.builds(asf, media),
)


def cut_short(content: bytes) -> str:
    return outline(Bytes(content)).cut_short


@given(whole=whole_files, more=st.binary(max_size=60))
def test_a_whole_file_is_whole_whatever_follows_it(whole: bytes, more: bytes) -> None:
    assert cut_short(whole) == ""
    assert cut_short(whole + more) == ""


@given(whole=whole_files, share=st.floats(0, 1))
def test_a_file_that_lost_its_end_says_so_or_nothing_but_never_breaks(
    whole: bytes, share: float
) -> None:
    there = whole[: int(len(whole) * share)]

    verdict = cut_short(there)

    assert verdict in {"", "it has no frames"} or re.fullmatch(
        r"[\d,.]+ (bytes|KB) of [\d,.]+ (bytes|KB) are there", verdict
    )


@pytest.mark.parametrize(
    ("whole", "last", "media"),
    [
        (mp4(900, fast=True), 0, 900),
        (matroska(900), 0, 900),
        (avi(900), 24, 900),
        (avi(500, 900), 24, 900),
        (asf(900), 0, 900),
    ],
    ids=["mp4", "matroska", "avi", "large avi", "asf"],
)
def test_a_cut_anywhere_in_the_pictures_is_told(whole: bytes, last: int, media: int) -> None:
    for missing in range(last + 17, last + media):
        there = len(whole) - missing

        assert cut_short(whole[:there]) in {
            f"{file_size(there)} of {file_size(len(whole))} are there",
            f"{there:,} bytes of {len(whole):,} bytes are there",
        }
    assert cut_short(whole[:-16]) == ""  # some writers count a head twice


def test_large_sizes_are_told_as_people_read_them() -> None:
    head = FTYP + box(b"moov", track(b"avc1"))
    film = head + box(b"mdat", claimed=42_000_000, large=True)
    end = len(head) + 42_000_008

    assert outline(Bytes(film, 12_000_000)).cut_short == "11 MB of 40 MB are there"
    assert outline(Bytes(film, 41_999_900)).cut_short == (
        f"{len(film) + 41_999_900:,} bytes of {end:,} bytes are there"
    )
    assert outline(Bytes(film, 42_000_000)).cut_short == ""


@given(content=st.binary(max_size=300), more=st.integers(0, 1 << 62))
def test_whatever_the_bytes_nothing_breaks_and_little_is_read(content: bytes, more: int) -> None:
    file = Bytes(content, more)

    outline(file)

    assert len(file.reads) <= 1000


@given(
    start=whole_files,
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8),
    more=st.sampled_from([0, 5, 1 << 40]),
)
def test_a_damaged_file_breaks_nothing(
    start: bytes, changes: list[tuple[int, int]], more: int
) -> None:
    damaged = bytearray(start)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    file = Bytes(bytes(damaged), more)

    outline(file)

    assert len(file.reads) <= 1000


@given(sizes=st.lists(st.integers(0, 64), min_size=600, max_size=700))
def test_a_long_row_of_fragments_is_not_followed_for_ever(sizes: list[int]) -> None:
    fragments = b"".join(box(b"moof") + box(b"mdat", bytes(size)) for size in sizes)
    file = Bytes(FTYP + box(b"moov", track(b"avc1")) + fragments)

    told = outline(file)

    assert told == FAST
    assert len(file.reads) <= 1000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Outline()),
        (b"#EXTM3U\n", Outline()),
        (b"G" + bytes(187), Outline()),
        (mp4(50), SLOW),
        (mp4(50, fast=True), FAST),
        (mp4(50, entry=b"encv"), Outline("mp4", "", fast_start=False, is_locked=True)),
        (mp4(50, fast=True, entry=b"drmi"), Outline("mp4", "", fast_start=True, is_locked=True)),
        (FTYP + box(b"mdat", bytes(50), claimed=0), Outline("mp4")),
        (FTYP + box(b"moov") + box(b"mdat", bytes(50), claimed=0), FAST),
        (FTYP + box(b"moov"), Outline("mp4", "it has no frames", fast_start=True)),
        (FTYP + box(b"mdat", bytes(9), claimed=1 << 55, large=True), Outline("mp4")),
        (FTYP + box(b"moov") + box(b"mdat") + box(b"free", claimed=900), FAST),
        (FTYP + box(b"moov") + bytes(99) + box(b"mdat"), FAST),  # padded by nothing
        (FTYP + box(b"moov") + b"and so on and so on" + box(b"mdat"), FAST),
        (box(b"wide") + box(b"mdat", bytes(9)) + box(b"moov"), SLOW),
        (matroska(9), Outline("matroska")),
        (matroska(9, b"webm"), Outline("webm")),
        (matroska(9, b"webm\x00\x00"), Outline("webm")),
        (matroska(0)[:-12] + element(0x18538067, b"live", claimed=UNKNOWN_SIZE),
         Outline("matroska")),
        (matroska(0)[:-12] + bytes.fromhex("18538067ff") + b"live", Outline("matroska")),
        (asf(50, live=True)[:-40], Outline("asf")),
        (avi(50)[:40], Outline("avi", "40 bytes of 214 bytes are there")),
    ],
)  # fmt: skip
def test_what_the_boxes_tell(content: bytes, expected: Outline) -> None:
    assert outline(Bytes(content)) == expected


def test_an_avi_whose_recorder_died_is_as_whole_as_it_will_be() -> None:
    unfinished = bytearray(avi(600))
    unfinished[4:8] = bytes(4)
    at = unfinished.index(b"movi") - 4
    unfinished[at : at + 4] = bytes(4)

    assert cut_short(bytes(unfinished[:-100])) == ""


def test_no_real_file_is_called_cut_but_those_that_are(shared: Path) -> None:
    videos = shared / "media" / "videos"
    files = [file for file in videos.glob("*/*") if file.is_file()]

    told = {file.relative_to(videos).as_posix(): cut_short(file.read_bytes()) for file in files}

    assert {name: sentence for name, sentence in told.items() if sentence} == {
        "abema/sample_qt.mp4": "it has no frames",
        "exiftool/Matroska.mkv": "507 bytes of 17 MB are there",
        "sindresorhus/fixture-isom.mp4": "262 bytes of 35 MB are there",
        "sindresorhus/fixture-moov.mov": "1.0 KB of 96 KB are there",
        "sindresorhus/fixture2.mkv": "100 KB of 108 MB are there",
    }
