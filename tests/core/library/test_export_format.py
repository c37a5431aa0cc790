"""The forms of an export: tags in one field, and an .nfo that knows whether it was edited."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.adapters.media_worker.sidecars import OtherVideoError, read_metadata
from generator.core.library.export_format import (
    ExportedVideo,
    csv_export,
    is_own_nfo,
    join_tags,
    json_entry,
    nfo_content,
    split_tags,
)
from generator.core.model import Place, SidecarKind, VideoId

TAGS = st.lists(st.text(st.sampled_from(r"a;\ ,é"), min_size=1, max_size=6), max_size=5)


def video(path: str = "a.mp4", **more: object) -> ExportedVideo:
    return ExportedVideo(VideoId(1), Place("", path), "A", 0, 0, None, None, **more)  # type: ignore[arg-type]


@given(tags=TAGS)
def test_tags_joined_in_one_field_are_split_into_the_same(tags: list[str]) -> None:
    assert split_tags(join_tags(tags)) == tuple(tags)


@given(text=st.text(st.sampled_from(r"a;\ "), max_size=12))
def test_any_field_can_be_split(text: str) -> None:
    assert all(split_tags(text))


def test_tags_without_a_semicolon_are_joined_as_they_are() -> None:
    assert join_tags(["a", r"b\c", "d e"]) == r"a;b\c;d e"


@given(path=st.text(min_size=1, max_size=20), tags=TAGS)
def test_csv_is_read_again(path: str, tags: list[str]) -> None:
    path = path.replace("\0", "")
    text = b"".join(csv_export([video(path, tags=tuple(tags), stars=3, views=7)])).decode()

    (row,) = csv.DictReader(io.StringIO(text, newline=""))

    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    assert row["path"] == shown
    assert (row["stars"], row["favorite"], row["views"]) == ("3", "false", "7")
    assert split_tags(row["tags"]) == tuple(tags)


def test_a_path_that_is_not_utf_8_has_its_exact_bytes_too() -> None:
    entry = json_entry(video("Ferien/\udcff 1.mp4"))

    assert entry["path"] == "Ferien/\ufffd 1.mp4"
    assert entry["path_bytes"] == "Ferien/%FF%201.mp4"
    assert "path_bytes" not in json_entry(video("Ferien/é.mp4"))
    assert "root" not in entry


@given(tags=TAGS)
def test_an_nfo_is_ours_until_a_byte_of_it_is_changed(tags: list[str]) -> None:
    content = nfo_content(video(tags=tuple(tags), stars=4))

    assert is_own_nfo(content)
    assert not is_own_nfo(content + b"\n")
    assert not is_own_nfo(content.replace(b"<userrating>8", b"<userrating>9"))
    assert not is_own_nfo(content.replace(b"<?xml", b"<?XML"))


def test_the_scan_reads_nothing_from_ours_and_all_from_an_edited_one() -> None:
    content = nfo_content(video(tags=("winter",)))

    with pytest.raises(OtherVideoError):
        read_metadata(SidecarKind.NFO, "a.nfo", content)

    edited = content.replace(b"winter", b"summer")
    assert read_metadata(SidecarKind.NFO, "a.nfo", edited).tags == ("summer",)
