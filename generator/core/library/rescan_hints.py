"""Debouncing of hints: a burst becomes one batch, ready after a quiet time or a maximum wait.

A hint says "rescan this" and proves nothing, so duplicates are dropped and the order is not kept.
The clock is the caller's: every instant here is in seconds of one monotonic clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from generator.core.model import Place


@dataclass(frozen=True, slots=True)
class Hints:
    """What to rescan: `folders` alone, `trees` with all below them, or `everything`.

    Nothing is there twice: with `everything` there are no places, and no folder or tree is within
    another tree. `why` is the reason of `everything`, "" otherwise.
    """

    folders: frozenset[Place] = frozenset()
    trees: frozenset[Place] = frozenset()
    everything: bool = False
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.folders or self.trees or self.everything)


class HintBatch:
    """The hints that are collected until they are taken.

    A batch is ready when no hint came for `quiet_s`, and at the latest `limit_s` after its first:
    a copy that takes all night does not delay the rest of the library.
    """

    def __init__(self, *, quiet_s: float, limit_s: float) -> None:
        self._quiet_s = quiet_s
        self._limit_s = limit_s
        self._folders: set[Place] = set()
        self._trees: set[Place] = set()
        self._why: list[str] = []
        self._first_s: float | None = None
        self._last_s = 0.0

    def folder(self, place: Place, now_s: float) -> None:
        """Hint at the files of one folder."""
        self._folders.add(place)
        self._stamp(now_s)

    def tree(self, place: Place, now_s: float) -> None:
        """Hint at a folder and all below it."""
        self._trees.add(place)
        self._stamp(now_s)

    def everything(self, why: str, now_s: float) -> None:
        """Hint at the whole library, for a reason."""
        if why not in self._why:
            self._why.append(why)
        self._stamp(now_s)

    def stir(self, now_s: float) -> None:
        """Note that the activity goes on: it is not quiet yet."""
        self._last_s = now_s

    def due_s(self) -> float | None:
        """Return when the batch will be ready, or None while it is empty."""
        if self._first_s is None:
            return None
        return min(self._last_s + self._quiet_s, self._first_s + self._limit_s)

    def take(self) -> Hints:
        """Return the batch, ready or not, and start a new one."""
        hints = self._gathered()
        self._folders, self._trees, self._why, self._first_s = set(), set(), [], None
        return hints

    def _stamp(self, now_s: float) -> None:
        if self._first_s is None:
            self._first_s = now_s
        self.stir(now_s)

    def _gathered(self) -> Hints:
        if self._why:
            return Hints(everything=True, why="; ".join(self._why))
        trees = self._trees
        return Hints(
            folders=frozenset(p for p in self._folders if p not in trees and not _within(p, trees)),
            trees=frozenset(place for place in trees if not _within(place, trees)),
        )


def _within(place: Place, trees: set[Place]) -> bool:
    return any(above in trees for above in _above(place))


def _above(place: Place) -> Iterator[Place]:
    """Yield the folders a place is in, the nearest first, the root ("") last."""
    path = place.path
    while path:
        path = path.rpartition("/")[0]
        yield Place(place.root, path)
