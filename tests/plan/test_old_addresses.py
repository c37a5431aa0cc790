"""Redirect pages of a former server's addresses: exact, of flat cost, and never somebody else's."""

import random
from pathlib import Path

import pytest
from histories import History, full_render, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from old_library import OldLibrary
from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import Engine
from generator.core.model import EventKind, OutPath
from generator.core.site import old_addresses as old


def target(site: OldLibrary, name: str, kind: str = "watch") -> str | None:
    """Return where an old address leads by the pages on the disk, None for nowhere."""
    page = old.page_of(f"{kind}/{name}".encode("utf-8", "surrogateescape"))
    file = site.folder / "out" / page
    if not file.exists():
        return None
    text = file.read_text()
    return text.partition('content="0; url=/')[2].partition('"')[0]


@settings(max_examples=5)
@given(
    videos=st.sampled_from([0, 5, 40]),
    seed=st.integers(0, 10**6),
    switches=st.lists(st.sampled_from([True, True, True, False]), min_size=2, max_size=6),
    host_files=st.booleans(),
)
def test_pages_equal_a_full_render_after_any_history_and_every_name_leads_to_a_video(
    tmp_path_factory: pytest.TempPathFactory,
    videos: int,
    seed: int,
    switches: list[bool],
    *,
    host_files: bool,
) -> None:
    folder = tmp_path_factory.mktemp("site")
    history, chance = History(videos, seed), random.Random(seed)
    for number, is_on in enumerate(switches):
        options = trial.settings(folder, old_addresses=is_on, host_files=host_files)
        with Engine(options, TEMPLATES) as engine:
            if not number:
                trial.fill(engine.catalogue, videos)
            for _ in range(chance.choice([1, 5, 30])):
                engine.catalogue.append(history.draw())
            engine.refresh(trial.NOW + number)

            pages = tree(folder / "out")
            assert pages == full_render(engine, folder / f"full-{number}")
            there = {path for path in pages if path.startswith(old.FOLDER)}
            shown = list(engine.catalogue.shown())
            named = {old.page_of(a) for video in shown for a in old.watch_addresses(video)}
            tags = {old.page_of(a) for v in shown for t in v.tags for a in old.tag_addresses(t)}
            assert there >= named | tags if is_on else not there


def test_a_video_keeps_the_address_of_a_name_that_it_had(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path)
    site.add({1: "old name.mp4"})
    site.build()

    site.move(1, "new name.mp4")
    site.build()

    assert target(site, "old name.mp4") == target(site, "new name.mp4") == site.page(1)


def test_another_video_takes_the_address_of_its_name(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path)
    site.add({1: "film.mp4"})
    site.build()
    site.move(1, "renamed.mp4")
    site.add({2: "film.mp4"})
    site.build()
    assert target(site, "film.mp4") == site.page(2)

    site.lose(2)
    site.build()

    assert target(site, "film.mp4") == site.page(1)
    assert target(site, "renamed.mp4") == site.page(1)


def test_of_two_videos_with_one_name_the_one_at_the_top_is_meant(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path)
    site.add({1: "a/film.mp4", 2: "b/film.mp4"})
    site.build()
    assert target(site, "film.mp4") == site.page(1)

    site.add({3: "film.mp4"})
    site.build()
    assert target(site, "film.mp4") == site.page(3)

    site.lose(3, 1)
    site.build()
    assert target(site, "film.mp4") == site.page(2)

    site.lose(2)
    site.build()
    assert target(site, "film.mp4") is None

    site.bring_back(2, "c/film.mp4")
    site.build()
    assert target(site, "film.mp4") == site.page(2)


def test_unicode_forms_of_a_name_lead_to_one_video(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path)
    site.add({1: "Cafe\u0301.mp4"})
    site.build()

    assert target(site, "Cafe\u0301.mp4") == target(site, "Caf\u00e9.mp4") == site.page(1)


def test_a_tag_is_found_with_a_hash_and_in_the_usual_capitals(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path)
    site.add({1: "a.mp4"}, {1: ["slow motion"]})
    site.build()

    spellings = ("slow motion", "#slow motion", "Slow motion", "#Slow Motion", "SLOW MOTION")
    pages = {target(site, spelling, "tag") for spelling in spellings}

    assert pages == {str(old.tag_page("slow motion"))}


def test_a_change_costs_the_same_in_any_library(tmp_path: Path) -> None:
    costs = []
    for videos in (40, 400):
        site = OldLibrary(tmp_path / str(videos))
        site.add({n: f"folder {n % 7}/film {n}.mp4" for n in range(1, videos + 1)})
        site.build()
        before = {p for p in tree(site.folder / "out") if p.startswith(old.FOLDER)}
        site.add({videos + 1: "folder 1/another.mp4"})
        site.build()
        after = {p for p in tree(site.folder / "out") if p.startswith(old.FOLDER)}
        costs.append(len(after - before))
        assert after > before

    assert costs == [1, 1]


def test_a_rating_touches_no_old_address(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path, host_files=True)
    site.add({n: f"film {n}.mp4" for n in range(1, 9)})
    site.build()

    site.append(EventKind.RATED, 3, stars=5)
    receipt = site.build()

    assert "redirects changed" not in receipt.reasons
    assert "merged into another shelf" not in receipt.reasons


def test_switching_it_off_leaves_the_site_as_if_it_never_had_been_on(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path, old_addresses=False, host_files=True)
    site.add({n: f"film {n}.mp4" for n in range(1, 9)}, {3: ["winter"]})
    site.build()
    before = tree(tmp_path / "out")

    site.reopen(old_addresses=True)
    site.build()
    assert len(tree(tmp_path / "out")) > len(before)
    site.lose(8)
    site.build()
    site.bring_back(8, "film 8.mp4")
    site.reopen(old_addresses=False)
    site.build()

    assert tree(tmp_path / "out") == before


def test_host_files_have_rules_for_addresses_instead_of_their_pages(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path, host_files=True)
    site.add({1: "100% #1?.mp4", 2: "de:l*.mp4", 3: "\udcff.mp4"}, {1: ["winter"]})
    site.build()

    rules = dict(
        line.split(" ")[:2] for line in (tmp_path / "out/_redirects").read_text().splitlines()
    )

    assert rules["/watch/100%25%20%231%3F.mp4"] == f"/{site.page(1)}"
    assert rules["/watch/de%3Al%2A.mp4"] == f"/{site.page(2)}"
    assert rules["/watch/%FF.mp4"] == f"/{site.page(3)}"
    assert rules["/tag/%23winter"] == rules["/tag/winter"] == "/tag/winter.html"
    assert rules["/best-of"] == "/all/rating.html"
    assert rules["/ping"] == "/"
    assert not any(rule.startswith("/old/") for rule in rules)
    out = tmp_path / "out"
    assert all((out / (to[1:] or "index.html")).is_file() for to in rules.values())


def test_the_fixed_addresses_lead_to_pages_of_an_empty_site(tmp_path: Path) -> None:
    site = OldLibrary(tmp_path)
    site.build()

    assert {path for path in old.FIXED.values() if not (tmp_path / "out" / path).is_file()} == set()
    assert OutPath(old.PING) not in old.FIXED
