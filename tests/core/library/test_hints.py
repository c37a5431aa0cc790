from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.rescan_hints import HintBatch, Hints
from generator.core.model import Place

places = st.builds(
    Place, st.sampled_from(["", "nas"]), st.lists(st.sampled_from("abc"), max_size=3).map("/".join)
)
instants_s = st.lists(st.floats(0, 1000), min_size=1, max_size=8).map(sorted)


def under(place: Place, tree: Place) -> bool:
    inside = not tree.path or f"{place.path}/".startswith(f"{tree.path}/")
    return place.root == tree.root and inside


def test_an_empty_batch_is_never_due_and_says_nothing() -> None:
    batch = HintBatch(quiet_s=1, limit_s=10)

    assert batch.due_s() is None
    assert batch.take() == Hints()
    assert not batch.take()


@given(instants_s=instants_s, quiet_s=st.floats(0, 50), limit_s=st.floats(0, 500))
def test_a_batch_is_due_when_it_was_quiet_or_waited_enough(
    instants_s: list[float], quiet_s: float, limit_s: float
) -> None:
    batch = HintBatch(quiet_s=quiet_s, limit_s=limit_s)

    for now_s in instants_s:
        batch.folder(Place("", "a"), now_s)

    assert batch.due_s() == min(instants_s[-1] + quiet_s, instants_s[0] + limit_s)


def test_what_goes_on_delays_a_batch_but_does_not_begin_one() -> None:
    batch = HintBatch(quiet_s=1, limit_s=10)

    batch.stir(5)
    assert batch.due_s() is None

    batch.tree(Place("", "a"), 6)
    batch.stir(9)
    assert batch.due_s() == 10
    batch.stir(15.5)
    assert batch.due_s() == 16


@given(folders=st.lists(places), trees=st.lists(places))
def test_no_hint_is_lost_and_none_is_given_twice(folders: list[Place], trees: list[Place]) -> None:
    batch = HintBatch(quiet_s=1, limit_s=10)
    for place in folders:
        batch.folder(place, 0)
    for place in trees:
        batch.tree(place, 0)

    hints = batch.take()

    assert hints.trees <= set(trees)
    assert hints.folders <= set(folders)
    assert all(any(under(place, tree) for tree in hints.trees) for place in trees)
    assert all(
        place in hints.folders or any(under(place, tree) for tree in hints.trees)
        for place in folders
    )
    for tree in hints.trees:
        assert not any(under(place, tree) for place in hints.folders | hints.trees - {tree})
    assert bool(hints) is bool(folders or trees)


def test_everything_names_no_place_and_every_reason_once() -> None:
    batch = HintBatch(quiet_s=1, limit_s=10)
    batch.folder(Place("", "a"), 0)

    for why in ("overflow", "a disk went", "overflow"):
        batch.everything(why, 1)

    assert batch.take() == Hints(everything=True, why="overflow; a disk went")


def test_what_comes_after_a_batch_was_taken_begins_another() -> None:
    batch = HintBatch(quiet_s=1, limit_s=10)
    batch.everything("overflow", 0)
    batch.take()

    batch.folder(Place("", "b"), 100)

    assert batch.due_s() == 101
    assert batch.take() == Hints(folders=frozenset({Place("", "b")}))
    assert batch.due_s() is None
