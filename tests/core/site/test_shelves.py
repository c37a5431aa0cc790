"""Shelves: exact listings, sizes within bounds, and no page forgotten, through random changes."""

from bisect import bisect_right
from dataclasses import dataclass, field

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.core.site.orders import member
from generator.core.site.shelves import (
    Changes,
    ListingEditor,
    Shelf,
    ShelfLimits,
    ShelfRow,
    members,
)

LIMITS = ShelfLimits(most=6, fill=4)


@dataclass
class Listing:
    """A listing kept in memory: the ledger's part in a smaller world."""

    rows: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    listed: list[bytes] = field(default_factory=list)
    next_number: int = 1
    pages: dict[int, tuple[object, ...]] = field(default_factory=dict)

    def around(self, key: bytes) -> tuple[ShelfRow | None, ShelfRow | None, ShelfRow | None]:
        firsts = sorted(self.rows)
        at = bisect_right(firsts, key) - 1
        row = [self._row(firsts, at + step) for step in (-1, 0, 1)]
        return row[0], row[1], row[2]

    def _row(self, firsts: list[bytes], index: int) -> ShelfRow | None:
        if not 0 <= index < len(firsts):
            return None
        number, size = self.rows[firsts[index]]
        return ShelfRow(firsts[index], number, size, highest=index == len(firsts) - 1)

    def keys(self, row: ShelfRow) -> list[bytes]:
        above = [first for first in self.rows if first > row.first]
        top = min(above) if above else b"\xff" * 400
        return [key for key in sorted(self.listed) if row.first <= key < top]

    def change(self, changes: Changes) -> ListingEditor:
        chain = ListingEditor(self, LIMITS, self.next_number)
        chain.apply(changes)
        chain.end(highest=True)
        shelves = list(chain.dirty())
        written, deleted = chain.rows()
        list(chain.moved())
        for first in deleted:
            del self.rows[first]
        for first, number, keys in written:
            self.rows[first] = (number, len(keys))
        self.listed = sorted(set(self.listed) - set(changes.removed) | set(changes.inserted))
        self.next_number = chain.next_number
        for shelf in shelves:
            self.pages[shelf.number] = page(shelf)
        alive = {number for number, _ in self.rows.values()}
        self.pages = {number: kept for number, kept in self.pages.items() if number in alive}
        return chain


def page(shelf: Shelf) -> tuple[object, ...]:
    return (
        tuple(members(shelf.keys)),
        shelf.below,
        shelf.above,
        shelf.below_lowest,
        shelf.above_highest,
    )


def expected_pages(listing: Listing) -> dict[int, tuple[object, ...]]:
    chain = ListingEditor(
        Listing(dict(listing.rows), list(listing.listed)), LIMITS, listing.next_number
    )
    return {number: page(chain.shelf_at(first)) for first, (number, _) in listing.rows.items()}


def key(value: int, who: int) -> bytes:
    return bytes((value,)) + who.to_bytes(4, "big")


histories = st.lists(
    st.dictionaries(st.integers(1, 60), st.none() | st.integers(0, 255), min_size=1, max_size=25),
    min_size=1,
    max_size=8,
)


def play(listing: Listing, state: dict[int, int], step: dict[int, int | None]) -> ListingEditor:
    removed = tuple(key(state[who], who) for who in step if who in state)
    inserted = tuple(key(value, who) for who, value in step.items() if value is not None)
    common = set(removed) & set(inserted)
    for who, value in step.items():
        state.pop(who, None)
        if value is not None:
            state[who] = value
    return listing.change(
        Changes(
            tuple(k for k in removed if k not in common),
            tuple(k for k in inserted if k not in common),
            tuple(common),
        )
    )


@settings(max_examples=examples(60, thorough=200))
@given(histories)
def test_shelves_hold_exactly_the_listing_in_order(history: list[dict[int, int | None]]) -> None:
    listing, state = Listing(), dict[int, int]()

    for step in history:
        play(listing, state, step)

    firsts = sorted(listing.rows)
    shelved = [k for f in firsts for k in listing.keys(ShelfRow(f, 0, 0, highest=False))]
    assert shelved == sorted(key(value, who) for who, value in state.items())
    assert firsts[0] == b""
    sizes = [listing.rows[f][1] for f in firsts]
    assert sizes == [len(listing.keys(ShelfRow(f, 0, 0, highest=False))) for f in firsts]


@settings(max_examples=examples(60, thorough=200))
@given(histories)
def test_shelves_stay_between_a_third_and_full(history: list[dict[int, int | None]]) -> None:
    listing, state = Listing(), dict[int, int]()

    for step in history:
        play(listing, state, step)

        sizes = [size for _, size in listing.rows.values()]
        assert max(sizes) <= LIMITS.most
        assert len(sizes) == 1 or min(sizes) >= LIMITS.least


@settings(max_examples=examples(60, thorough=200))
@given(histories)
def test_every_page_that_looks_different_is_told(history: list[dict[int, int | None]]) -> None:
    listing, state = Listing(), dict[int, int]()

    for step in history:
        play(listing, state, step)

        assert listing.pages == expected_pages(listing)


@settings(max_examples=examples(50, thorough=150))
@given(histories)
def test_a_shelf_number_is_never_given_twice(history: list[dict[int, int | None]]) -> None:
    listing, state = Listing(), dict[int, int]()
    ever: set[int] = set()

    for step in history:
        before = {number for number, _ in listing.rows.values()}
        play(listing, state, step)
        new = {number for number, _ in listing.rows.values()} - before

        assert not new & ever
        ever |= new | before


@settings(max_examples=examples(50, thorough=150))
@given(histories, st.integers(0, 255), st.integers(1, 20))
def test_windows_and_neighbours_are_those_of_the_listing(
    history: list[dict[int, int | None]], value: int, count: int
) -> None:
    listing, state = Listing(), dict[int, int]()
    for step in history[:-1]:
        play(listing, state, step)

    chain = play(listing, state, history[-1])

    full, at = sorted(listing.listed), key(value, 30)
    assert chain.window(count, highest=True) == full[::-1][:count]
    assert chain.window(count, highest=False) == full[:count]
    assert chain.near(at, count, up=True) == [k for k in full if k > at][:count]
    assert chain.near(at, count, up=False) == [k for k in full[::-1] if k < at][:count]


def test_adding_at_the_end_leaves_older_shelves_fuller_than_half() -> None:
    listing, state = Listing(), dict[int, int]()

    for who in range(1, 60):
        play(listing, state, {who: who})

    sizes = [listing.rows[first][1] for first in sorted(listing.rows)]
    assert set(sizes[:-1]) == {LIMITS.most + 1 - LIMITS.least}
    assert member(listing.listed[-1]) == 59
