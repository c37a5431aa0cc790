"""Which folders may be the output or the state: none that contains, or is in, user data.

Paths are absolute "/"-separated strings whose links are resolved.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder by its name in the settings, with its path and ids on the disk.

    `ids` are (device, inode) of it and of all folders above it, as far as they exist: a folder may
    have several paths.
    """

    name: str
    path: str
    ids: tuple[tuple[int, int], ...] = ()
    is_there: bool = False

    def lies_in(self, other: "Folder") -> bool:
        """Return whether this is the other folder, or below it."""
        by_path = f"{self.path}/".startswith(f"{other.path.rstrip('/')}/")
        return by_path or (other.is_there and other.ids[0] in self.ids)


def objections(
    out: Folder,
    state: Folder,
    roots: Collection[Folder],
    homes: Iterable[str],
    mounts: Iterable[str],
) -> Iterator[str]:
    """Yield why these folders cannot be used so, one sentence each.

    Args:
        out: where the site goes.
        state: where catalogue and ledger go.
        roots: the folders of the library.
        homes: home folders.
        mounts: mount points.
    """
    for home in homes:
        for folder in (out, state):
            if f"{home}/".startswith(f"{folder.path.rstrip('/')}/"):
                what = (
                    "is a home folder" if home == folder.path else f"holds the home folder {home}"
                )
                yield f"{folder.name}: {folder.path} {what}"
    if out.path in {"/", *mounts}:
        yield f"out: {out.path} is the root of a file system; make a folder in it"
    if state.path == "/":
        yield "state: / is the root of a file system; make a folder in it"
    pairs = [(out, state), *((folder, root) for folder in (out, state) for root in roots)]
    for folder, other in pairs:
        if folder.lies_in(other):
            where = "is" if other.lies_in(folder) else "lies in"
            yield f"{folder.name}: {folder.path} {where} the {_WORDS[other.name]} {other.path}"
        elif other.lies_in(folder):
            yield f"{folder.name}: {folder.path} holds the {_WORDS[other.name]} {other.path}"


def backup_objections(backups: Folder, others: Iterable[Folder]) -> Iterator[str]:
    """Yield why backups may not be in this folder: they are private, and others are served.

    Args:
        backups: where they go; it may hold one of the others, for only named files are touched.
        others: output and library.
    """
    for other in others:
        if backups.lies_in(other):
            where = "is" if other.lies_in(backups) else "lies in"
            yield f"{backups.name}: {backups.path} {where} the {_WORDS[other.name]} {other.path}"


_WORDS: Mapping[str, str] = {
    "library": "library",
    "state": "state folder",
    "out": "output folder",
}
