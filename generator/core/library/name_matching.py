"""Which spellings of a file name count as one name.

A video and its sidecars may come from different systems: a Mac decomposes letters (NFD), Windows
ignores case. So a name is looked up exactly; then canonically equivalent (UAX #15); then without
case, letter by letter; and last with letters that people write in two ways ("ß" and "ss", the
Turkish "İ" and "i").
"""

import unicodedata
from collections.abc import Callable, Iterator

_DOTTED_I, _DOTLESS_I = "i\u0307", "\u0131"


def canonical(name: str) -> str:
    """Return the composed spelling (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def uncased(name: str) -> str:
    """Return the composed spelling without case, letter by letter: "Maße" is not "Masse"."""
    if name.isascii():
        return name.lower()
    return "".join(map(_uncased, canonical(name)))


def _uncased(letter: str) -> str:
    return next((one for one in (letter.casefold(), letter.lower()) if len(one) == 1), letter)


def loose(name: str) -> str:
    """Return the spelling in which "ß" is "ss", too, and every "i" is the same."""
    if name.isascii():
        return name.lower()
    folded = unicodedata.normalize("NFD", name).casefold()
    folded = unicodedata.normalize("NFD", folded)
    return unicodedata.normalize("NFC", folded.replace(_DOTTED_I, "i").replace(_DOTLESS_I, "i"))


_SPELLINGS: tuple[Callable[[str], str], ...] = (str, canonical, uncased, loose)
LEVELS = len(_SPELLINGS)


def level_of(name: str, other: str) -> int | None:
    """Return the first level at which two names are equal: 0 for the same, None for none."""
    for level, spelling in enumerate(_SPELLINGS):
        if spelling(name) == spelling(other):
            return level
    return None


class NameIndex:
    """The paths in one folder by name, to be found in any spelling."""

    def __init__(self) -> None:
        self._exact: dict[str, list[str]] = {}
        self._spelled: list[dict[str, str] | None] = [None] * LEVELS

    def add(self, name: str, path: str) -> None:
        """Add a path under a name."""
        self._exact.setdefault(name, []).append(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._exact)

    def at(self, level: int, name: str) -> list[str]:
        """Return the paths under a name by the spelling of a level, [] for none.

        Where several names have one spelling, it is the first of them in order.
        """
        if not level:
            return self._exact.get(name, [])
        if level == 1 and name.isascii():
            return []  # it is composed already, and was looked up exactly
        spelling, spelled = _SPELLINGS[level], self._spelled[level]
        if spelled is None:
            spelled = self._spelled[level] = {}
            for exact in sorted(self._exact):
                spelled.setdefault(spelling(exact), exact)
        exact_name = spelled.get(spelling(name))
        return [] if exact_name is None else self._exact[exact_name]

    def find(self, name: str) -> tuple[int, list[str]]:
        """Return at which level a name was found, and its paths; (0, []) for none."""
        for level in range(LEVELS):
            paths = self.at(level, name)
            if paths:
                return level, paths
        return 0, []
