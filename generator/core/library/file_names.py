"""Naming: which spellings of a file's name are one name.

A film's name and that of what lies beside it came by different ways: a Mac decomposes letters
(NFD), a Windows machine knows no case. So a name is looked for as it is; then as what Unicode calls
canonically equivalent (UAX #15); then in other case, letter by letter; and last with letters that
some people write in two ways ("ß" and "ss", the Turkish "İ" and "i").
"""

import unicodedata
from collections.abc import Callable, Iterator

_DOTTED_I, _DOTLESS_I = "i\u0307", "\u0131"


def canonical(name: str) -> str:
    """Return the composed spelling (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def uncased(name: str) -> str:
    """Return the composed spelling without case; no letter becomes two: "Maße" is not "Masse"."""
    if name.isascii():
        return name.lower()
    return "".join(map(_uncased, canonical(name)))


def _uncased(letter: str) -> str:
    return next((one for one in (letter.casefold(), letter.lower()) if len(one) == 1), letter)


def loose(name: str) -> str:
    """Return the spelling in which also "ß" is "ss", and every "i" is one."""
    if name.isascii():
        return name.lower()
    folded = unicodedata.normalize("NFD", name).casefold()
    folded = unicodedata.normalize("NFD", folded)
    return unicodedata.normalize("NFC", folded.replace(_DOTTED_I, "i").replace(_DOTLESS_I, "i"))


_SPELLINGS: tuple[Callable[[str], str], ...] = (str, canonical, uncased, loose)
LEVELS = len(_SPELLINGS)


def level_of(name: str, other: str) -> int | None:
    """Return how closely two names are one: 0 for the same, None for two names."""
    for level, spelling in enumerate(_SPELLINGS):
        if spelling(name) == spelling(other):
            return level
    return None


class NameIndex:
    """Names in one folder, each with what it stands for, to be found however they are spelled."""

    def __init__(self) -> None:
        self._exact: dict[str, list[str]] = {}
        self._spelled: list[dict[str, str] | None] = [None] * LEVELS

    def add(self, name: str, path: str) -> None:
        """Let a name stand for one thing more."""
        self._exact.setdefault(name, []).append(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._exact)

    def at(self, level: int, name: str) -> list[str]:
        """Return what a name stands for by spellings of a level, [] for nothing.

        Where several names are spelled alike, that is the least of them.
        """
        if not level:
            return self._exact.get(name, [])
        if level == 1 and name.isascii():
            return []  # it is its own composed spelling, and was looked for
        spelling, spelled = _SPELLINGS[level], self._spelled[level]
        if spelled is None:
            spelled = self._spelled[level] = {}
            for exact in sorted(self._exact):
                spelled.setdefault(spelling(exact), exact)
        exact_name = spelled.get(spelling(name))
        return [] if exact_name is None else self._exact[exact_name]

    def find(self, name: str) -> tuple[int, list[str]]:
        """Return what a name stands for, and by which level it was found; (0, []) for nothing."""
        for level in range(LEVELS):
            paths = self.at(level, name)
            if paths:
                return level, paths
        return 0, []
