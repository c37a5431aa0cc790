"""Shelves: stable pagination; an insertion in the middle of a listing changes few pages.

The shelves of a listing are like the leaves of a B+ tree. Each has a permanent number, and a lower
bound; the lowest shelf's bound is the empty string, so that every key has a shelf. `ListingEditor`
applies the changes of one listing, splits shelves that are too full, merges or evens out those
under a third, and returns which shelves look different afterwards. It reads shelves through a
`ShelfView` as it needs them, so its cost does not grow with the listing.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from generator.core.site.orders import member


@dataclass(frozen=True, slots=True)
class ShelfLimits:
    """How many members a shelf may hold; `fill` is what a shelf gets when many are cut at once."""

    most: int
    fill: int

    @property
    def least(self) -> int:
        """Return the size below which a shelf is merged or evened out with a neighbor."""
        return self.most // 3


VIDEO_LIMITS = ShelfLimits(most=60, fill=52)
NAME_LIMITS = ShelfLimits(most=240, fill=208)


@dataclass(frozen=True, slots=True)
class ShelfRow:
    """A shelf as the ledger has it; `highest`: there is none above."""

    first: bytes
    number: int
    size: int
    highest: bool


class ShelfView(Protocol):
    """One listing as it is before the changes."""

    def around(self, key: bytes) -> tuple[ShelfRow | None, ShelfRow | None, ShelfRow | None]:
        """Return the shelf below the one that holds `key`, that one, and the one above.

        The one in the middle is None only where the listing has no shelf at all.
        """

    def keys(self, row: ShelfRow) -> list[bytes]:
        """Return the keys on a shelf, ascending."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one listing: keys that are removed, inserted, and that only look different."""

    removed: tuple[bytes, ...] = ()
    inserted: tuple[bytes, ...] = ()
    touched: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.removed or self.inserted or self.touched)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A shelf after the changes; `below` and `above` are its neighbors' numbers.

    `below_lowest` and `above_highest`: the neighbor is an end of the listing, whose page has the
    plain URL in the order that begins there.
    """

    number: int
    first: bytes
    keys: tuple[bytes, ...]
    below: int | None
    above: int | None
    below_lowest: bool
    above_highest: bool


@dataclass(frozen=True, slots=True)
class Alteration:
    """The members that left a shelf, and those that came: (id, neighbor, whether above it)."""

    left: tuple[int, ...]
    came: tuple[tuple[int, int, bool], ...]


@dataclass(frozen=True, slots=True)
class MovedPage:
    """A page of a shelf whose URL is gone: `number` was merged into `into` (or became an end)."""

    number: int
    into: int
    was_lowest: bool
    was_highest: bool


@dataclass(slots=True, eq=False)
class _Node:
    """A shelf while changes are applied. Neighbors and keys are read on demand."""

    number: int
    first: bytes
    row: ShelfRow | None  # None: new
    keys: list[bytes] | None = None
    before: tuple[bytes, ...] = ()
    below: "_Node | None" = None
    above: "_Node | None" = None
    knows_below: bool = False
    knows_above: bool = False
    # what its page showed of its neighbors before the changes; set as they become known
    was_below: tuple[int, bool] | None = None
    was_above: tuple[int, bool] | None = None
    touched: bool = False
    alive: bool = True


@dataclass(slots=True)
class ListingEditor:
    """One listing, before and after its changes.

    Use: `apply` once, then the other methods. `next_number` is that of the next new shelf.
    """

    view: ShelfView
    limits: ShelfLimits
    next_number: int = 1
    _nodes: dict[int, _Node] = field(default_factory=dict)
    _firsts: list[bytes] = field(default_factory=list)  # bounds of known nodes, ascending
    _by_first: dict[bytes, _Node] = field(default_factory=dict)
    _merged: dict[int, int] = field(default_factory=dict)
    _gone_rows: list[ShelfRow] = field(default_factory=list)

    def apply(self, changes: Changes) -> None:
        """Apply the changes, and bring every shelf back to between a third and full."""
        touched = {self._at(key).number for key in changes.touched}
        for number in touched:
            self._nodes[number].touched = True
        removed = self._by_shelf(changes.removed)
        inserted = self._by_shelf(changes.inserted)
        work = [self._nodes[number] for number in {**removed, **inserted}]
        for node in work:
            self._rework(node, removed.get(node.number, ()), inserted.get(node.number, ()))
        for node in work:
            if len(self._keys(node)) > self.limits.most:
                self._split(node, frozenset(inserted.get(node.number, ())))
        for node in work:
            if node.alive and len(self._keys(node)) < self.limits.least:
                self._lean(node)

    def dirty(self) -> Iterator[Shelf]:
        """Yield the shelves whose page looks different now, in any order."""
        for node in list(self._nodes.values()):
            if node.alive and self._looks_different(node):
                yield self._shelf(node)

    def alteration(self, number: int, most: int) -> "Alteration | None":
        """Return how a known shelf differs, if only in at most `most` members; else None."""
        node = self._nodes[number]
        if node.row is None or not node.before or not node.keys:
            return None
        if node.knows_above and _name(node.above, highest=True, listing=self) != node.was_above:
            return None
        if node.knows_below and _name(node.below, highest=False, listing=self) != node.was_below:
            return None
        former, keys = set(node.before), node.keys
        came = [at for at, key in enumerate(keys) if key not in former]
        left = former.difference(keys)
        if len(came) + len(left) > most or len(came) == len(keys):
            return None
        return Alteration(
            tuple(map(member, left)),
            tuple((member(keys[at]), member(keys[at - 1 if at else 1]), at > 0) for at in came),
        )

    def shelf_at(self, key: bytes) -> Shelf:
        """Return the shelf that holds `key` now."""
        return self._shelf(self._at(key))

    def every(self) -> Iterator[Shelf]:
        """Yield all shelves after the changes, lowest first."""
        node: _Node | None = self._at(b"")
        while node is not None:
            yield self._shelf(node)
            node = self._above(node)

    def end(self, *, highest: bool) -> Shelf:
        """Return the shelf at one end, after the changes."""
        return self._shelf(self._highest() if highest else self._at(b""))

    def rows(self) -> tuple[list[tuple[bytes, int, list[bytes]]], list[bytes]]:
        """Return the shelves to write, as (first, number, keys), and the bounds to delete."""
        written: list[tuple[bytes, int, list[bytes]]] = []
        deleted = [row.first for row in self._gone_rows]
        for node in self._nodes.values():
            if not node.alive or node.keys is None:
                continue
            if node.row is None or node.row.first != node.first or list(node.before) != node.keys:
                written.append((node.first, node.number, node.keys))
            if node.row is not None and node.row.first != node.first:
                deleted.append(node.row.first)
        bounds = {first for first, _, _ in written}
        return written, [first for first in deleted if first not in bounds]

    def moved(self) -> Iterator[MovedPage]:
        """Yield former shelves that have no page of their own any more, or the plain one now."""
        for row in self._gone_rows:
            into = self.lives_in(row.number)
            yield MovedPage(row.number, into, row.first == b"", was_highest=row.highest)
        for node in self._nodes.values():
            if not node.alive or node.row is None or not node.knows_above:
                continue
            if node.above is None and not node.row.highest:
                yield MovedPage(node.number, node.number, node.row.first == b"", was_highest=False)

    def lives_in(self, number: int) -> int:
        """Return the shelf that a merged one ended up in."""
        while number in self._merged:
            number = self._merged[number]
        return number

    def is_end(self, number: int, *, highest: bool) -> bool:
        """Return whether a known shelf is the highest, or the lowest."""
        node = self._nodes[number]
        return self._above(node) is None if highest else node.first == b""

    def near(self, key: bytes, count: int, *, up: bool) -> list[bytes]:
        """Return up to `count` keys next to `key` (without itself), nearest first."""
        node: _Node | None = self._at(key)
        nearest: list[bytes] = []
        while node is not None and len(nearest) < count:
            keys = self._keys(node)
            missing = count - len(nearest)
            if up:
                start = bisect_right(keys, key)
                nearest += keys[start : start + missing]
            else:
                end = bisect_left(keys, key)
                nearest += reversed(keys[max(end - missing, 0) : end])
            node = self._above(node) if up else self._below(node)
        return nearest

    def window(self, count: int, *, highest: bool) -> list[bytes]:
        """Return up to `count` keys from one end of the listing, outermost first."""
        node: _Node | None = self._highest() if highest else self._at(b"")
        outermost: list[bytes] = []
        while node is not None and len(outermost) < count:
            keys = self._keys(node)
            outermost += reversed(keys) if highest else keys
            node = self._below(node) if highest else self._above(node)
        return outermost[:count]

    # -- shaping

    def _by_shelf(self, keys: Iterable[bytes]) -> dict[int, list[bytes]]:
        ascending = sorted(keys)
        by_shelf: dict[int, list[bytes]] = {}
        start = 0
        while start < len(ascending):
            node = self._at(ascending[start])
            above = self._above(node)
            end = len(ascending) if above is None else bisect_left(ascending, above.first, start)
            by_shelf[node.number] = ascending[start:end]
            start = end
        return by_shelf

    def _rework(self, node: _Node, removed: Sequence[bytes], inserted: Sequence[bytes]) -> None:
        keys = self._keys(node)
        if removed:
            keys = sorted(set(keys).difference(removed))
        node.keys = sorted({*keys, *inserted}) if keys else list(inserted)

    def _split(self, node: _Node, inserted: frozenset[bytes]) -> None:
        keys = self._keys(node)
        cuts = self._cuts(node, keys, inserted)
        node.keys = keys[: cuts[1]]
        for start, end in pairwise(cuts[1:]):
            new = _Node(self.next_number, keys[start], None, keys=keys[start:end])
            self.next_number += 1
            self._link(node, new)
            node = new

    def _cuts(self, node: _Node, keys: list[bytes], inserted: frozenset[bytes]) -> list[int]:
        size, least = len(keys), self.limits.least
        if size <= self.limits.most + least:
            if keys[-1] in inserted and self._above(node) is None:
                return [0, size - least, size]  # grows at this end: leave the older part fuller
            if keys[0] in inserted and node.first == b"":
                return [0, least, size]
            return [0, size // 2, size]
        pieces = -(-size // self.limits.fill)
        return [size * piece // pieces for piece in range(pieces + 1)]

    def _link(self, node: _Node, new: _Node) -> None:
        above = self._above(node)
        new.below, new.above, new.knows_below, new.knows_above = node, above, True, True
        node.above = new
        if above is not None:
            above.below = new
        self._know(new)

    def _lean(self, node: _Node) -> None:
        above, below = self._above(node), self._below(node)
        if above is not None:
            self._even_out(node, above)
        elif below is not None:
            self._even_out(below, node)

    def _even_out(self, low: _Node, high: _Node) -> None:
        keys = self._keys(low) + self._keys(high)
        if len(keys) > self.limits.most:
            cut = len(keys) // 2
            low.keys, high.keys = keys[:cut], keys[cut:]
            self._rebound(high, keys[cut])
            return
        low.keys, low.touched = keys, low.touched or high.touched
        self._drop(high, into=low)
        if len(keys) < self.limits.least:
            self._lean(low)

    def _rebound(self, node: _Node, first: bytes) -> None:
        del self._by_first[node.first]
        self._firsts.remove(node.first)
        node.first = first
        self._place(node)

    def _drop(self, node: _Node, into: _Node) -> None:
        above = self._above(node)
        into.above = above
        if above is not None:
            above.below = into
        node.alive = False
        self._merged[node.number] = into.number
        if node.row is not None:
            self._gone_rows.append(node.row)
        del self._by_first[node.first]
        self._firsts.remove(node.first)

    # -- reading

    def _at(self, key: bytes) -> _Node:
        """Return the node that holds `key`, reading it if it is not known yet.

        A known node counts only if its upper neighbor is known: others may be in between.
        """
        position = bisect_right(self._firsts, key) - 1
        if position >= 0:
            node = self._by_first[self._firsts[position]]
            above = node.above
            if node.knows_above and (above is None or key < above.first):
                return node
        return self._read(key)

    def _read(self, key: bytes) -> _Node:
        below, row, above = self.view.around(key)
        if row is None:
            node = _Node(self.next_number, b"", None, keys=[], knows_below=True, knows_above=True)
            self.next_number += 1
            self._know(node)
            return node
        node = self._node_of(row)
        if not node.knows_below:
            self._join(self._node_of(below) if below else None, node)
        if not node.knows_above:
            self._join(node, self._node_of(above) if above else None)
        return node

    def _node_of(self, row: ShelfRow) -> _Node:
        node = self._nodes.get(row.number)
        if node is None:
            node = _Node(row.number, row.first, row)
            if row.first == b"":
                node.knows_below = True
            if row.highest:
                node.knows_above = True
            self._know(node)
        return node

    def _join(self, low: _Node | None, high: _Node | None) -> None:
        """Link two shelves that are neighbors, now and before the changes."""
        if low is not None:
            low.above, low.knows_above = high, True
            low.was_above = (high.number, bool(high.row and high.row.highest)) if high else None
        if high is not None:
            high.below, high.knows_below = low, True
            high.was_below = (low.number, low.first == b"") if low else None

    def _know(self, node: _Node) -> None:
        self._nodes[node.number] = node
        self._place(node)

    def _place(self, node: _Node) -> None:
        self._by_first[node.first] = node
        self._firsts.insert(bisect_left(self._firsts, node.first), node.first)

    def _below(self, node: _Node) -> _Node | None:
        if not node.knows_below:
            self._read_row(node)
        return node.below

    def _above(self, node: _Node) -> _Node | None:
        if not node.knows_above:
            self._read_row(node)
        return node.above

    def _read_row(self, node: _Node) -> None:
        assert node.row is not None  # a new shelf knows its neighbors
        self._read(node.row.first)

    def _highest(self) -> _Node:
        node = self._at(b"\xff" * 300)  # no key is as high
        while (above := self._above(node)) is not None:
            node = above
        return node

    def _keys(self, node: _Node) -> list[bytes]:
        if node.keys is None:
            assert node.row is not None
            node.keys = self.view.keys(node.row)
            node.before = tuple(node.keys)
        return node.keys

    def _looks_different(self, node: _Node) -> bool:
        if node.row is None or node.touched:
            return True
        if node.keys is not None and not _same_members(node.before, node.keys):
            return True
        if node.knows_above and _name(node.above, highest=True, listing=self) != node.was_above:
            return True
        return node.knows_below and _name(node.below, highest=False, listing=self) != node.was_below

    def _shelf(self, node: _Node) -> Shelf:
        below, above = self._below(node), self._above(node)
        return Shelf(
            node.number,
            node.first,
            tuple(self._keys(node)),
            below.number if below else None,
            above.number if above else None,
            below_lowest=below is not None and below.first == b"",
            above_highest=above is not None and self._above(above) is None,
        )


def _name(node: _Node | None, *, highest: bool, listing: ListingEditor) -> tuple[int, bool] | None:
    if node is None:
        return None
    return node.number, listing.is_end(node.number, highest=highest)


def _same_members(before: tuple[bytes, ...], now: list[bytes]) -> bool:
    if len(before) != len(now):
        return False
    return all(a is b or a == b or member(a) == member(b) for a, b in zip(before, now, strict=True))


def members(keys: Iterable[bytes]) -> list[int]:
    """Return the ids of the members with these keys."""
    return [int.from_bytes(key[-4:], "big") for key in keys]
