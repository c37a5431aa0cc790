"""Identity: which video a file is, after files came, went, changed and changed places.

Same path, same video, even re-encoded. A path gone and its content elsewhere: moved. Both there:
a copy, a video of its own, until the file of the older goes: then the copy becomes part of it.
Content tells two names that were swapped from two files that were replaced: a video leaves its path
to another only when its own content is found elsewhere. Where neither content nor path tells, the
name does: a file that is gone and one that came in the same folder, named alike but for the suffix,
for upper and lower case and for how accents are written, are one video that was converted. So it is
where the one was gone for a while before the other came.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from unicodedata import normalize

from generator.core.model import FileStat, Place, VideoId


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A video's file as the catalogue has it; `missing` when it was not there at the last look.

    `companions` is the signature of what lay beside it then.
    """

    video: VideoId
    place: Place
    size_bytes: int
    mtime_ns: int
    fingerprint: str
    missing: bool = False
    companions: str = ""


@dataclass(frozen=True, slots=True)
class FingerprintedFile:
    """A file that is new or changed, with the fingerprint of what it holds now."""

    sighting: FileStat
    fingerprint: str

    @property
    def place(self) -> Place:
        """Return where it is."""
        return self.sighting.place


@dataclass(slots=True)
class Identities:
    """What became of every file, each named once.

    `touched`: same content, other time stamp. `replaced`: other content under the old path.
    `moved` and `returned`: known content at a place where it was not. `found`: a new video.
    `missing`: known videos without a file. `merged`: videos that turn out to be copies of others,
    with those; each of these is also among `moved` or `replaced`, for it has the copy's file now.
    """

    touched: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    replaced: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    moved: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    returned: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    found: list[FingerprintedFile] = field(default_factory=list)
    missing: list[KnownFile] = field(default_factory=list)
    merged: list[tuple[KnownFile, KnownFile]] = field(default_factory=list)


def identify(
    gone: Sequence[KnownFile],
    changed: Sequence[tuple[KnownFile, FingerprintedFile]],
    new: Sequence[FingerprintedFile],
    missing: Sequence[KnownFile],
    present: Sequence[KnownFile] = (),
) -> Identities:
    """Return which video each new or changed file is.

    Args:
        gone: videos whose path held a file and holds none now.
        changed: videos whose path holds a file of another size or time.
        new: files at paths where the catalogue has none.
        missing: videos known to be missing whose path, name or content may be among the files.
        present: videos whose file is as it was, that hold the content of one of `gone` or are named
            like it.

    Source: docs/adr/0003-identity.md.
    """
    told = Identities()
    unsettled = []
    for known, seen in changed:
        if known.fingerprint == seen.fingerprint:
            told.touched.append((known, seen))
        else:
            unsettled.append((known, seen))
    elsewhere = _counts([seen.fingerprint for _, seen in unsettled] + [s.fingerprint for s in new])
    free = _Free([*gone, *missing])
    displaced = []
    for known, seen in unsettled:
        if elsewhere[known.fingerprint] > 0:
            elsewhere[known.fingerprint] -= 1
            free.add(known)
            displaced.append(seen)
        else:
            told.replaced.append((known, seen))
    for seen in sorted([*displaced, *new], key=_order):
        _settle(told, free, seen)
    rest = list(free.rest())
    told.missing.extend(known for known in rest if not known.missing)
    _settle_converted(told, [known for known in rest if known.missing])
    _settle_copies(told, present)
    return told


def likeness(place: Place) -> tuple[str, str, str]:
    """Return what two names of one video have in common: root, folder, and name told roughly."""
    folder, _, name = place.path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return place.root, folder, normalize("NFC", normalize("NFC", stem).casefold())


def _settle_converted(told: Identities, missing: Iterable[KnownFile]) -> None:
    """Let a file that came be a video that is gone, where only their names tell so.

    One that is gone since the last look rather than one that was `missing` then.
    """
    gone, before = _by_likeness(told.missing), _by_likeness(missing)
    for alike, seen in _by_likeness(told.found).items():
        known = gone.get(alike) or before.get(alike, [])
        if len(known) == len(seen) == 1:
            if not known[0].missing:
                told.missing.remove(known[0])
            told.found.remove(seen[0])
            told.replaced.append((known[0], seen[0]))


def _settle_copies(told: Identities, present: Sequence[KnownFile]) -> None:
    """Let videos whose files are gone take over the files of later ones that are the same."""
    touched = {known.video: (known, seen) for known, seen in told.touched}
    again = [_as_seen(known, seen) for known, seen in touched.values()]
    left = sorted([*present, *again], key=lambda one: one.video)
    for known in sorted(told.missing, key=lambda one: one.video):
        later = [one for one in left if one.video > known.video]
        same = [one for one in later if one.fingerprint == known.fingerprint]
        named = [one for one in later if likeness(one.place) == likeness(known.place)]
        if not same and len(named) != 1:
            continue
        copy = max(same, key=lambda one: _rank(known, one)) if same else named[0]
        left.remove(copy)
        told.missing.remove(known)
        told.merged.append((copy, known))
        if copy.video in touched:
            told.touched.remove(touched[copy.video])
        seen = FingerprintedFile(
            FileStat(copy.place, copy.size_bytes, copy.mtime_ns), copy.fingerprint
        )
        (told.moved if same else told.replaced).append((known, seen))


def _as_seen(known: KnownFile, seen: FingerprintedFile) -> KnownFile:
    return replace(known, size_bytes=seen.sighting.size_bytes, mtime_ns=seen.sighting.mtime_ns)


def _rank(known: KnownFile, copy: KnownFile) -> tuple[bool, bool, bool, int]:
    return (*_likeness(known.place, copy.place), -copy.video)


_File = TypeVar("_File", KnownFile, FingerprintedFile)


def _by_likeness(files: Iterable[_File]) -> dict[tuple[str, str, str], list[_File]]:
    found: dict[tuple[str, str, str], list[_File]] = defaultdict(list)
    for one in files:
        found[likeness(one.place)].append(one)
    return found


def _settle(told: Identities, free: "_Free", seen: FingerprintedFile) -> None:
    known = free.take(seen)
    if known is None:
        told.found.append(seen)
    elif known.fingerprint != seen.fingerprint:
        told.replaced.append((known, seen))
    elif known.missing:
        told.returned.append((known, seen))
    else:
        told.moved.append((known, seen))


class _Free:
    """Videos without a file, to be claimed by content first, then by path."""

    def __init__(self, known: Iterable[KnownFile]) -> None:
        self._by_video: dict[VideoId, KnownFile] = {}
        self._by_content: dict[str, list[KnownFile]] = defaultdict(list)
        self._by_place: dict[Place, KnownFile] = {}
        for one in sorted(known, key=lambda one: one.video):
            self.add(one)
            self._by_place[one.place] = one

    def add(self, known: KnownFile) -> None:
        self._by_video[known.video] = known
        self._by_content[known.fingerprint].append(known)

    def take(self, seen: FingerprintedFile) -> KnownFile | None:
        alike = [one for one in self._by_content[seen.fingerprint] if one.video in self._by_video]
        if alike:
            best = max(alike, key=lambda one: (_likeness(one.place, seen.place), -one.video))
            return self._by_video.pop(best.video)
        here = self._by_place.get(seen.place)
        return self._by_video.pop(here.video, None) if here is not None else None

    def rest(self) -> Iterable[KnownFile]:
        return self._by_video.values()


def _likeness(one: Place, other: Place) -> tuple[bool, bool, bool]:
    """Rank a place among several that held the same content: same path, same name, same root."""
    name = one.path.rpartition("/")[2]
    return one == other, name == other.path.rpartition("/")[2], one.root == other.root


def _order(seen: FingerprintedFile) -> tuple[str, str]:
    return seen.place.root, seen.place.path


def _counts(fingerprints: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for fingerprint in fingerprints:
        counts[fingerprint] += 1
    return counts
