"""Feeds and sitemaps name what plays, say what was written, and keep their ids for ever."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import Engine
from generator.core.model import Place, Probe, Rendition, Video, VideoId
from generator.core.site import contexts

SITE = contexts.SiteContext("https://films.example.org", "/films", "Films", f"{7:032x}")
ATOM = "{http://www.w3.org/2005/Atom}"
MP4 = Probe("mp4", 12.0, 640, 360, 25.0, "h264", "aac", codecs="avc1.640028,mp4a.40.2",
            pixel_format="yuv420p")  # fmt: skip
TALK = Video(
    VideoId(3), "a-talk", Place("", "talk.mkv"), "A talk", 1_700_000_000, 1_705_190_400, 275_360,
    replace(MP4, container="matroska"),
    description="What it is about: **bread**, and [more](https://example.org/x).\n\nSecond <b>.",
    is_markdown=True,
)  # fmt: skip
COPY = Rendition("0123456789ab", 4711, "remux", "mp4", "avc1.640028,mp4a.40.2")


def ids(folder: Path) -> dict[str, list[str]]:
    atom, rss = (ET.parse(folder / "out" / name) for name in ("atom.xml", "rss.xml"))
    return {
        "feed": [atom.findtext(f"{ATOM}id") or ""],
        "atom": [one.text or "" for one in atom.iterfind(f"{ATOM}entry/{ATOM}id")],
        "rss": [one.text or "" for one in rss.iterfind("channel/item/guid")],
    }


def test_a_copy_that_plays_stands_in_place_of_what_does_not() -> None:
    entry = contexts.feed_entry(SITE, replace(TALK, rendition=COPY))
    watch = contexts.watch_context(SITE, replace(TALK, rendition=COPY), contexts.Neighbors())

    assert entry["media_url"] == watch["og_video"]
    assert (entry["media_type"], entry["size_bytes"]) == ("video/mp4", "4711")
    place = contexts.sitemap_entry(SITE, replace(TALK, rendition=COPY))
    assert place["content_url"] == watch["og_video"]


def test_what_will_not_play_is_no_enclosure() -> None:
    old = replace(MP4, container="avi", video_codec="mpeg2video", codecs="")
    for probe in (TALK.probe, old, replace(MP4, video_codec="mpeg2video", codecs="")):
        assert contexts.feed_entry(SITE, replace(TALK, probe=probe))["media_url"] is None
    hevc = replace(MP4, video_codec="hevc", codecs="hvc1.1.6.L93.B0,mp4a.40.2")
    assert contexts.feed_entry(SITE, replace(TALK, probe=hevc))["media_url"]
    entry = contexts.feed_entry(SITE, replace(TALK, place=Place("", "talk.mp4"), probe=MP4))
    assert entry["media_url"] == "https://films.example.org/films/video/talk.mp4"
    assert (entry["media_type"], entry["size_bytes"]) == ("video/mp4", "275360")


def test_what_was_written_is_what_the_entry_says() -> None:
    entry = contexts.feed_entry(SITE, TALK)
    assert "<strong>bread</strong>" in str(entry["content"])
    assert 'href="https://example.org/x"' in str(entry["content"])
    assert "<b>" not in str(entry["content"])
    assert str(entry["summary"]).startswith("What it is about: bread, and more. Second")
    bare = contexts.feed_entry(SITE, replace(TALK, description=""))
    assert (bare["content"], bare["summary"]) == (None, "A talk · 0:12")


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.text(max_size=20))
def test_an_id_is_a_videos_own_wherever_the_site_lives(video: int, other: int, title: str) -> None:
    moved = contexts.SiteContext("http://other.example", "", title or "x", SITE.identity)
    another = replace(SITE, identity=f"{8:032x}")
    uid = SITE.uid(f"video/{video}")
    assert uid == moved.uid(f"video/{video}")
    assert UUID(uid).version == 5
    assert uid not in {another.uid(f"video/{video}"), SITE.uid()}
    assert (uid == SITE.uid(f"video/{other}")) == (video == other)


def test_feeds_keep_their_ids_when_the_site_moves_or_its_ledger_is_lost(tmp_path: Path) -> None:
    def build(**options: object) -> dict[str, list[str]]:
        with Engine(trial.settings(tmp_path, **options), TEMPLATES) as engine:
            if not engine.catalogue.last_event():
                trial.fill(engine.catalogue, 5)
            engine.refresh(trial.NOW)
        return ids(tmp_path)

    first = build(site_url="https://films.example.org")
    assert len(first["atom"]) == len(set(first["atom"])) == 5
    assert first["atom"] == first["rss"]
    assert first["feed"][0] not in first["atom"]
    assert build(site_url="https://example.org/films", title="Another") == first
    (tmp_path / "state/ledger.db").unlink()
    assert build(site_url="https://example.net") == first


@pytest.mark.parametrize("name", ["atom.xml", "rss.xml"])
def test_another_catalogue_with_the_same_videos_has_ids_of_its_own(
    tmp_path: Path, name: str
) -> None:
    ids = []
    for _ in range(2):
        with Engine(trial.settings(tmp_path), TEMPLATES, new_catalogue=True) as engine:
            trial.fill(engine.catalogue, 3)
            engine.refresh(trial.NOW)
        ids.append((tmp_path / "out" / name).read_text(encoding="utf-8"))
        for file in (tmp_path / "state").glob("catalogue.db*"):
            file.unlink()
    assert ids[0] != ids[1]
