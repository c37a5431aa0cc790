"""Keys, titles, tags and addresses: what people read, and what sorts as they expect."""

from hypothesis import given
from hypothesis import strategies as st

from generator.core import formatting
from generator.core.library.guard import RootChange, objection
from generator.core.model import Place, Probe, Video, VideoId
from generator.core.site import urls
from generator.core.site.orders import SortKey, collation, member, video_key
from generator.core.site.scopes import Scope, ScopeKind, folder_of, parent_of

texts = st.text(st.characters(codec=None), max_size=40)


def video(number: int = 1, title: str = "t", **more: object) -> Video:
    values: dict[str, object] = {
        "id": VideoId(number), "slug": "s", "place": Place("", "p.mp4"), "title": title,
        "added_at": 0, "recorded_at": 0, "size_bytes": 0, "probe": Probe("mp4"), **more,
    }  # fmt: skip
    return Video(**values)  # type: ignore[arg-type]


def test_titles_sort_as_people_read() -> None:
    expected = ["", "2 Tage", "10 Tage", "apfel", "Äpfel 2", "Äpfel 10", "Apfel 010b", "zebra"]

    shuffled = expected[4:] + expected[:4]

    assert sorted(shuffled, key=collation) == expected


@given(st.integers(1, 2**32 - 1), texts, st.sampled_from(list(SortKey)[:8]))
def test_a_key_tells_whose_it_is(number: int, title: str, key: SortKey) -> None:
    assert member(video_key(video(number, title), key)) == number


@given(st.lists(st.tuples(st.integers(-(2**34), 2**38), st.integers(0, 5)), min_size=2))
def test_keys_sort_like_the_values_with_newest_last(rows: list[tuple[int, int]]) -> None:
    videos = [video(n, added_at=at, stars=stars or None) for n, (at, stars) in enumerate(rows, 1)]

    ranked = sorted(videos, key=lambda one: video_key(one, SortKey.RATING))

    assert ranked == sorted(videos, key=lambda one: (one.stars or 0, one.added_at, one.id))


@given(texts)
def test_a_title_is_one_safe_line(name: str) -> None:
    title = formatting.title_of(name + ".mp4")

    assert title
    assert title.isprintable() or all(c.isprintable() or c in "\u200c\u200d" for c in title)
    title.encode()


@given(texts)
def test_a_tag_has_one_spelling(name: str) -> None:
    tag = formatting.normalize_tag(name)

    assert "\n" not in tag
    assert formatting.normalize_tag(tag) == tag


@given(st.integers(0, 10**13))
def test_a_rounded_count_is_never_more_than_the_count(count: int) -> None:
    assert formatting.rounded_down(count) <= count
    assert formatting.rounded(formatting.rounded_down(count)) == formatting.rounded(count)


def test_counts_are_rounded_as_people_read_them() -> None:
    counts = [0, 7, 999, 1000, 1250, 12_345, 999_999, 1_000_000, 2_560_000]

    told = [formatting.rounded(count) for count in counts]

    assert told == [None, "7", "999", "1K", "1.2K", "12K", "999K", "1M", "2.5M"]


@given(texts, texts)
def test_two_tags_never_share_an_address(tag: str, other: str) -> None:
    scopes = [Scope(ScopeKind.TAG, name) for name in (tag, other)]

    assert (urls.scope_base(scopes[0]) == urls.scope_base(scopes[1])) == (tag == other)


@given(st.text(st.characters(codec=None), max_size=60))
def test_an_address_holds_only_what_needs_no_encoding(name: str) -> None:
    path = urls.scope_path(Scope(ScopeKind.FOLDER, name))

    assert all(c.isascii() and (c.isalnum() or c in "-~./") for c in path)


def test_media_is_addressed_by_its_bytes() -> None:
    names = ["a b.mp4", "#1?.mp4", "100%.mp4", "é.mp4", "e\u0301.mp4", "\udcff.mp4", "n\nl.mp4"]

    told = [urls.media_path(Place("", name)) for name in names]

    assert told == [
        "/video/a%20b.mp4", "/video/%231%3F.mp4", "/video/100%25.mp4", "/video/%C3%A9.mp4",
        "/video/e%CC%81.mp4", "/video/%FF.mp4", "/video/n%0Al.mp4",
    ]  # fmt: skip


def test_folders_know_their_parents() -> None:
    assert folder_of(Place("", "a/b/c.mp4")) == "a/b"
    assert folder_of(Place("club", "c.mp4")) == "club"
    assert [parent_of(name) for name in ("a/b", "a", "")] == ["a", "", ""]


def look(known: int, lost: int, **more: object) -> RootChange:
    values: dict[str, object] = {"trouble": "", "is_empty": False, "other_device": False, **more}
    return RootChange("/videos", known, lost, **values)  # type: ignore[arg-type]


def test_the_guard_objects_to_what_an_unmounted_disk_looks_like() -> None:
    assert "is empty" in objection({"": look(5, 5, is_empty=True)}, 0.5)
    assert "cannot be read (gone)" in objection({"": look(5, 0, trouble="gone")}, 0.5)
    assert "another device" in objection({"": look(5, 1, other_device=True)}, 0.5)
    assert "60 of 100 videos" in objection({"": look(100, 60)}, 0.5)


def test_the_guard_lets_people_tidy_up() -> None:
    assert objection({"": look(100, 50)}, 0.5) == ""
    assert objection({"": look(12, 10)}, 0.5) == ""
    assert objection({"": look(0, 0, is_empty=True)}, 0.5) == ""
