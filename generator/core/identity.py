"""Identity: which video a file is, after files came, went, changed and changed places.

Same path, same video, even re-encoded. A path gone and its content elsewhere: moved. Both there:
a copy, a video of its own. Content tells two names that were swapped from two files that were
replaced: a video leaves its path to another only when its own content is found elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from generator.core.model import Place, Sighting, VideoId


@dataclass(frozen=True, slots=True)
class Known:
    """A video's file as the catalogue has it; `missing` when it was not there at the last look."""

    video: VideoId
    place: Place
    size_bytes: int
    mtime_ns: int
    fingerprint: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that is new or changed, with the fingerprint of what it holds now."""

    sighting: Sighting
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
    `missing`: known videos without a file.
    """

    touched: list[tuple[Known, Seen]] = field(default_factory=list)
    replaced: list[tuple[Known, Seen]] = field(default_factory=list)
    moved: list[tuple[Known, Seen]] = field(default_factory=list)
    returned: list[tuple[Known, Seen]] = field(default_factory=list)
    found: list[Seen] = field(default_factory=list)
    missing: list[Known] = field(default_factory=list)


def identify(
    gone: Sequence[Known],
    changed: Sequence[tuple[Known, Seen]],
    new: Sequence[Seen],
    missing: Sequence[Known],
) -> Identities:
    """Return which video each new or changed file is.

    Args:
        gone: videos whose path held a file and holds none now.
        changed: videos whose path holds a file of another size or time.
        new: files at paths where the catalogue has none.
        missing: videos known to be missing whose path or content may be among the files.

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
    told.missing.extend(known for known in free.rest() if not known.missing)
    return told


def _settle(told: Identities, free: "_Free", seen: Seen) -> None:
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

    def __init__(self, known: Iterable[Known]) -> None:
        self._by_video: dict[VideoId, Known] = {}
        self._by_content: dict[str, list[Known]] = defaultdict(list)
        self._by_place: dict[Place, Known] = {}
        for one in sorted(known, key=lambda one: one.video):
            self.add(one)
            self._by_place[one.place] = one

    def add(self, known: Known) -> None:
        self._by_video[known.video] = known
        self._by_content[known.fingerprint].append(known)

    def take(self, seen: Seen) -> Known | None:
        alike = [one for one in self._by_content[seen.fingerprint] if one.video in self._by_video]
        if alike:
            best = max(alike, key=lambda one: (_likeness(one.place, seen.place), -one.video))
            return self._by_video.pop(best.video)
        here = self._by_place.get(seen.place)
        return self._by_video.pop(here.video, None) if here is not None else None

    def rest(self) -> Iterable[Known]:
        return self._by_video.values()


def _likeness(one: Place, other: Place) -> tuple[bool, bool, bool]:
    """Rank a place among several that held the same content: same path, same name, same root."""
    name = one.path.rpartition("/")[2]
    return one == other, name == other.path.rpartition("/")[2], one.root == other.root


def _order(seen: Seen) -> tuple[str, str]:
    return seen.place.root, seen.place.path


def _counts(fingerprints: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for fingerprint in fingerprints:
        counts[fingerprint] += 1
    return counts
