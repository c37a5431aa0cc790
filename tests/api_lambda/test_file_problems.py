"""Files that are not shown: told page by page, whatever their names, and tried again once."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from asking import Asker
from hypothesis import given
from hypothesis import strategies as st

from api_lambda import events
from api_lambda.schemas import KEY_PATTERN
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, FileProblem, Place, VideoId

NOW = 1_790_000_000
NAMES = [
    b"Norway/fj\xf8rd.mp4", "Norway/Winter 日本.mp4".encode(), b"50%25 of 100%.mp4",
    b"a+b c&d=e#f?.mp4", b"two\nlines.mp4", b'"quoted" \\ and \'so\'.mp4', b"\xff\xfe\x01",
    b"<b>bold</b>.mp4", b"",
]  # fmt: skip

paths = st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=4).map(
    lambda parts: os.fsdecode(b"/".join(parts).replace(b"\0", b"0"))
)
places = st.builds(Place, st.sampled_from(["", "films", "Lager/ß"]), paths)


def refused(path: str, reason: str = "holds no video", root: str = "") -> Event:
    value = {
        "root": root, "path": path, "size_bytes": 1, "mtime_ns": 2, "stage": "probe",
        "reason": reason,
    }  # fmt: skip
    return Event(ascii((root, path)), EventKind.FILE_REFUSED, NOW, "scan", None, value)


@pytest.fixture
def catalogue(state: Path) -> Iterable[Catalogue]:
    with Catalogue(state / "catalogue.db") as opened:
        yield opened


def count_events(catalogue: Catalogue, kind: EventKind) -> int:
    query = "SELECT count(*) FROM event WHERE kind = ?"
    (count,) = catalogue._connection.execute(query, (kind,)).fetchone()  # noqa: SLF001
    return int(count)


def listed(owner: Asker) -> list[dict[str, Any]]:
    """Return everything that is told, asking on as often as there is more."""
    problems: list[dict[str, Any]] = []
    following: str | None = ""
    while following is not None:
        answer = owner("GET", f"/api/problems?after={following}" if following else "/api/problems")
        assert answer.status == 200, answer.body
        problems += answer.json["problems"]
        following = answer.json["next"]
    return problems


# -- what is told


@given(path=st.binary().map(os.fsdecode))
def test_any_name_travels_both_ways_in_letters_that_every_program_can_hold(path: str) -> None:
    sent = events.encode_path(path)

    assert sent.isascii()
    assert sent.isprintable()
    assert events.decode_path(sent) == path


def ordered(refused_places: Iterable[Place]) -> list[FileProblem]:
    """Return problems as the catalogue orders them."""
    with Catalogue(Path(":memory:")) as catalogue:
        catalogue.append(refused(place.path, root=place.root) for place in refused_places)
        return catalogue.problems()


@given(refused_places=st.lists(places, unique=True), most=st.integers(1, 7))
def test_page_after_page_tells_every_problem_once_and_in_order(
    refused_places: list[Place], most: int
) -> None:
    problems = ordered(refused_places)
    pages: list[Sequence[FileProblem]] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = events.problems_after(problems, cursor, most)
        pages.append(page)
        assert len(pages) <= len(refused_places) + 1

    assert [one for page in pages for one in page] == problems
    assert [len(page) for page in pages[:-1]] == [most] * (len(pages) - 1)
    assert all(pages) or not refused_places


@given(found=st.lists(places, unique=True, min_size=2), which=st.data())
def test_a_cursor_is_a_position_whatever_became_of_the_problem_at_it(
    found: list[Place], which: st.DataObject
) -> None:
    problems = ordered(found)
    end = which.draw(st.integers(1, len(problems) - 1))
    _, cursor = events.problems_after(problems, "", end)
    left = [one for one in problems if which.draw(st.booleans())]

    rest, _ = events.problems_after(left, cursor or "", 99)

    assert rest == [one for one in left if one in problems[end:]]


@given(found=st.lists(places, unique=True), cursor=st.text("aZ9-_", max_size=9))
def test_any_word_is_a_cursor(found: list[Place], cursor: str) -> None:
    problems = ordered(found)

    rest, following = events.problems_after(problems, cursor, 99)

    assert rest == problems[len(problems) - len(rest) :]
    assert following is None


def test_a_problem_is_told_with_what_is_known_of_it(owner: Asker, catalogue: Catalogue) -> None:
    catalogue.append([refused("Norway/fj\udcf8rd  1.mp4", "is damaged:\nno \x01 atom", "films")])

    answer = owner("GET", "/api/problems")

    assert answer.json == {
        "total": 1,
        "problems": [
            {
                "root": "films",
                "path": "Norway/fj%F8rd%20%201.mp4",
                "name": "films/Norway/fj\ufffdrd 1.mp4",
                "stage": "probe",
                "reason": "is damaged: no atom",
                "at": "2026-09-21T14:13:20Z",
            }
        ],
        "next": None,
    }


def test_without_a_problem_nothing_is_told(owner: Asker) -> None:
    assert owner("GET", "/api/problems").json == {"total": 0, "problems": [], "next": None}


def test_many_problems_are_told_a_hundred_at_a_time(owner: Asker, catalogue: Catalogue) -> None:
    names = [f"{n}/{'x' * (n % 9)}{chr(0xDC80 + n % 128)}.mp4" for n in range(250)]
    catalogue.append(refused(name) for name in names)

    first = owner("GET", "/api/problems").json
    whole = listed(owner)

    assert (first["total"], len(first["problems"])) == (250, 100)
    assert sorted(events.decode_path(one["path"]) for one in whole) == sorted(names)


# -- trying again


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_file_is_tried_again_by_the_place_that_was_told_and_no_other_is(
    owner: Asker, catalogue: Catalogue, name: bytes
) -> None:
    catalogue.append([refused(os.fsdecode(name)), refused("other.mp4")])
    (place,) = (
        {"root": p["root"], "path": p["path"]} for p in listed(owner) if p["name"] != "other.mp4"
    )

    answer = owner("POST", "/api/problems/retry", {"places": [place]})

    assert answer.status == 202
    assert answer.json.keys() == {"event", "seq", "receipt"}
    assert [one.place.path for one in catalogue.problems()] == ["other.mp4"]


def test_a_wish_to_try_again_has_the_builder_look_after_the_files_were_cleared(
    owner: Asker, catalogue: Catalogue
) -> None:
    catalogue.append(refused(f"{number}.mp4") for number in range(3))
    before = catalogue.last_event()

    seq = owner("POST", "/api/problems/retry", {"all": True}).json["seq"]

    assert catalogue.problems() == []
    assert seq == catalogue.last_event() == before + 4
    assert catalogue.asked_since(before) == (True, False)
    assert catalogue.asked_since(seq) == (False, False)


def test_thousands_of_files_are_tried_again_at_one_word(owner: Asker, catalogue: Catalogue) -> None:
    catalogue.append(refused(f"{number}.mp4") for number in range(1201))

    assert owner("POST", "/api/problems/retry", {"all": True}).status == 202
    assert catalogue.problems() == []


def test_a_poster_that_failed_is_wanted_again(owner: Asker, catalogue: Catalogue) -> None:
    video = VideoId(3)
    (known_file,) = catalogue.files_of([video])
    catalogue.append(
        [Event("no picture", EventKind.POSTER_FAILED, NOW, "scan", video, {"reason": "no"})]
    )
    (problem,) = listed(owner)

    owner(
        "POST",
        "/api/problems/retry",
        {"places": [{"root": problem["root"], "path": problem["path"]}]},
    )

    assert events.decode_path(problem["path"]) == known_file.place.path
    assert problem["stage"] == "poster"
    assert catalogue.problems() == []


@pytest.mark.parametrize("body", [{"all": True}, {"places": [{"root": "", "path": "a.mp4"}]}])
def test_the_same_key_again_tries_nothing_again(
    owner: Asker, catalogue: Catalogue, body: dict[str, object]
) -> None:
    catalogue.append([refused("a.mp4")])
    first = owner("POST", "/api/problems/retry", body, key="a-key-of-mine")
    catalogue.append(
        [Event("once more", EventKind.FILE_REFUSED, NOW, "scan", None, refused("a.mp4").value)]
    )
    before = catalogue.last_event()

    again = owner("POST", "/api/problems/retry", body, key="a-key-of-mine")

    assert (again.status, again.json) == (202, first.json)
    assert catalogue.last_event() == before
    assert len(catalogue.problems()) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("/api/problems/retry", {"places": [{"root": "", "path": "b.mp4"}]}),
        ("/api/problems/retry", {"places": [{"root": "x", "path": "a.mp4"}]}),
        ("/api/problems/retry", {"all": True}),
        ("/api/rebuild", {"full": False}),
        ("/api/videos/3/views", {}),
    ],
)
def test_the_same_key_for_another_thing_is_refused_and_clears_nothing(
    owner: Asker, catalogue: Catalogue, other: tuple[str, object]
) -> None:
    catalogue.append([refused("a.mp4"), refused("b.mp4")])
    body = {"places": [{"root": "", "path": "a.mp4"}]}
    owner("POST", "/api/problems/retry", body, key="a-key-of-mine")

    answer = owner("POST", *other, key="a-key-of-mine")

    assert answer.status == 409
    assert [one.place.path for one in catalogue.problems()] == ["b.mp4"]


def test_a_wish_whose_answer_got_lost_before_it_was_whole_is_made_whole(
    owner: Asker, catalogue: Catalogue
) -> None:
    catalogue.append([refused("a.mp4"), refused("b.mp4")])
    catalogue.append([events.cleared("a-key-of-mine", Place("", "a.mp4"), NOW)])

    answer = owner("POST", "/api/problems/retry", {"all": True}, key="a-key-of-mine")

    assert answer.status == 202
    assert catalogue.problems() == []
    assert count_events(catalogue, EventKind.FILE_CLEARED) == 2


@given(
    refused_places=st.lists(places, unique=True, max_size=9),
    key=st.text("aZ9-_", min_size=8, max_size=64),
)
def test_a_wish_has_an_event_of_its_own_for_each_place_with_an_id_as_others_have(
    refused_places: list[Place], key: str
) -> None:
    ids = {events.cleared(key, place, NOW).id for place in refused_places}

    assert len(ids) == len(refused_places)
    assert all(re.fullmatch(KEY_PATTERN, one) for one in ids)
    assert not ids & {events.cleared(f"{key}x", place, NOW).id for place in refused_places}


def test_a_place_that_is_in_order_is_left_alone(owner: Asker, catalogue: Catalogue) -> None:
    catalogue.append([refused("a.mp4")])
    wrong = [
        {"root": "films", "path": "a.mp4"},
        {"root": "", "path": "a%2Emp5"},
        {"root": "\0", "path": "%00%"},
    ]

    answer = owner("POST", "/api/problems/retry", {"places": wrong})

    assert answer.status == 202
    assert len(catalogue.problems()) == 1
    assert count_events(catalogue, EventKind.FILE_CLEARED) == 0
