"""Identity: which video a file is, after files were added, removed, changed and moved.

Same path, same video, even re-encoded. A path gone and its content elsewhere: moved. Both there: a
copy, a video of its own, until the file of the older one is gone: then the copy is merged into it.
Content tells swapped names from replaced files: a video leaves its path to another only when its
own content is found elsewhere. Where neither content nor path decides, the name does: a removed and
a new file in one folder whose names differ only in suffix, case and Unicode normalization are one
video that was converted, even if it was missing for a while in between.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from unicodedata import normalize

from generator.core.model import FileStat, Place, VideoId


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A video's file as the catalogue has it; `missing` when the last scan did not find it.

    `sidecar_digest` is that of its sidecars then; None: they are to be read again.
    """

    video: VideoId
    place: Place
    size_bytes: int
    mtime_ns: int
    fingerprint: str
    missing: bool = False
    sidecar_digest: str | None = ""


@dataclass(frozen=True, slots=True)
class FingerprintedFile:
    """A new or changed file, with the fingerprint of its content."""

    stat: FileStat
    fingerprint: str

    @property
    def place(self) -> Place:
        """Return where it is."""
        return self.stat.place


@dataclass(slots=True)
class Identities:
    """The result for every file, each listed once.

    `touched`: same content, other mtime. `replaced`: other content under the old path. `moved` and
    `returned`: known content at a place where it was not. `new`: new videos. `missing`: known
    videos without a file. `merged`: videos that turn out to be copies of others, with those; each
    of these is also in `moved` or `replaced`, for it has the copy's file now.
    """

    touched: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    replaced: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    moved: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    returned: list[tuple[KnownFile, FingerprintedFile]] = field(default_factory=list)
    new: list[FingerprintedFile] = field(default_factory=list)
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
        gone: videos whose path has no file any more.
        changed: videos whose file has another size or mtime.
        new: files at paths where the catalogue has none.
        missing: videos known to be missing whose path, name or content may be among the files.
        present: unchanged videos with the content of one of `gone`, or a name like it.

    Source: docs/adr/0003-identity.md.
    """
    identities = Identities()
    unsettled = []
    for known_file, file in changed:
        if known_file.fingerprint == file.fingerprint:
            identities.touched.append((known_file, file))
        else:
            unsettled.append((known_file, file))
    elsewhere = _counts([file.fingerprint for _, file in unsettled] + [s.fingerprint for s in new])
    free = _Free([*gone, *missing])
    displaced = []
    for known_file, file in unsettled:
        if elsewhere[known_file.fingerprint] > 0:
            elsewhere[known_file.fingerprint] -= 1
            free.add(known_file)
            displaced.append(file)
        else:
            identities.replaced.append((known_file, file))
    for file in sorted([*displaced, *new], key=_order):
        _assign(identities, free, file)
    rest = list(free.rest())
    identities.missing.extend(known_file for known_file in rest if not known_file.missing)
    _assign_converted(identities, [known_file for known_file in rest if known_file.missing])
    _assign_copies(identities, present)
    return identities


def likeness(place: Place) -> tuple[str, str, str]:
    """Return a key shared by names of one video: root, folder, and normalized stem."""
    folder, _, name = place.path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return place.root, folder, normalize("NFC", normalize("NFC", stem).casefold())


def _assign_converted(identities: Identities, missing: Iterable[KnownFile]) -> None:
    """Assign new files to videos without a file by their names alone.

    To one that is gone since the last scan rather than one that was `missing` then.
    """
    gone, before = _by_likeness(identities.missing), _by_likeness(missing)
    for alike, file in _by_likeness(identities.new).items():
        known_file = gone.get(alike) or before.get(alike, [])
        if len(known_file) == len(file) == 1:
            if not known_file[0].missing:
                identities.missing.remove(known_file[0])
            identities.new.remove(file[0])
            identities.replaced.append((known_file[0], file[0]))


def _assign_copies(identities: Identities, present: Sequence[KnownFile]) -> None:
    """Give videos whose files are gone the files of later videos that are the same."""
    touched = {known_file.video: (known_file, file) for known_file, file in identities.touched}
    again = [_as_seen(known_file, file) for known_file, file in touched.values()]
    left = sorted([*present, *again], key=lambda candidate: candidate.video)
    for known_file in sorted(identities.missing, key=lambda candidate: candidate.video):
        later = [candidate for candidate in left if candidate.video > known_file.video]
        same = [candidate for candidate in later if candidate.fingerprint == known_file.fingerprint]
        named = [
            candidate
            for candidate in later
            if likeness(candidate.place) == likeness(known_file.place)
        ]
        if not same and len(named) != 1:
            continue
        copy = max(same, key=lambda candidate: _rank(known_file, candidate)) if same else named[0]
        left.remove(copy)
        identities.missing.remove(known_file)
        identities.merged.append((copy, known_file))
        if copy.video in touched:
            identities.touched.remove(touched[copy.video])
        file = FingerprintedFile(
            FileStat(copy.place, copy.size_bytes, copy.mtime_ns), copy.fingerprint
        )
        (identities.moved if same else identities.replaced).append((known_file, file))


def _as_seen(known_file: KnownFile, file: FingerprintedFile) -> KnownFile:
    return replace(known_file, size_bytes=file.stat.size_bytes, mtime_ns=file.stat.mtime_ns)


def _rank(known_file: KnownFile, copy: KnownFile) -> tuple[bool, bool, bool, int]:
    return (*_likeness(known_file.place, copy.place), -copy.video)


_File = TypeVar("_File", KnownFile, FingerprintedFile)


def _by_likeness(files: Iterable[_File]) -> dict[tuple[str, str, str], list[_File]]:
    by_likeness: dict[tuple[str, str, str], list[_File]] = defaultdict(list)
    for file in files:
        by_likeness[likeness(file.place)].append(file)
    return by_likeness


def _assign(identities: Identities, free: "_Free", file: FingerprintedFile) -> None:
    known_file = free.take(file)
    if known_file is None:
        identities.new.append(file)
    elif known_file.fingerprint != file.fingerprint:
        identities.replaced.append((known_file, file))
    elif known_file.missing:
        identities.returned.append((known_file, file))
    else:
        identities.moved.append((known_file, file))


class _Free:
    """Videos without a file, to be claimed by content first, then by path."""

    def __init__(self, known_files: Iterable[KnownFile]) -> None:
        self._by_video: dict[VideoId, KnownFile] = {}
        self._by_content: dict[str, list[KnownFile]] = defaultdict(list)
        self._by_place: dict[Place, KnownFile] = {}
        for known_file in sorted(known_files, key=lambda known_file: known_file.video):
            self.add(known_file)
            self._by_place[known_file.place] = known_file

    def add(self, known_file: KnownFile) -> None:
        self._by_video[known_file.video] = known_file
        self._by_content[known_file.fingerprint].append(known_file)

    def take(self, file: FingerprintedFile) -> KnownFile | None:
        alike = [
            candidate
            for candidate in self._by_content[file.fingerprint]
            if candidate.video in self._by_video
        ]
        if alike:
            best = max(
                alike,
                key=lambda candidate: (_likeness(candidate.place, file.place), -candidate.video),
            )
            return self._by_video.pop(best.video)
        here = self._by_place.get(file.place)
        return self._by_video.pop(here.video, None) if here is not None else None

    def rest(self) -> Iterable[KnownFile]:
        return self._by_video.values()


def _likeness(place: Place, other: Place) -> tuple[bool, bool, bool]:
    """Rank a place among several that held the same content: same path, same name, same root."""
    name = place.path.rpartition("/")[2]
    return place == other, name == other.path.rpartition("/")[2], place.root == other.root


def _order(file: FingerprintedFile) -> tuple[str, str]:
    return file.place.root, file.place.path


def _counts(fingerprints: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for fingerprint in fingerprints:
        counts[fingerprint] += 1
    return counts
