"""Ownership: which files of the output folder are owned by this site, by its own records.

The records are the ledger, and the manifest in the output folder, which survives the ledger. A file
is recorded as owned before it is written and removed from the record after it is deleted. A file
in no record is not owned: it is neither replaced nor deleted.
"""

import errno
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from generator.adapters.ledger import Ledger
from generator.adapters.output import COPIES, Output
from generator.core.model import OutPath

MadeFile = tuple[OutPath, bytes]  # path, content

OF_ONE_FILE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EBUSY}
    | {errno.ELOOP, errno.ENAMETOOLONG, errno.ETXTBSY, errno.EEXIST}
)  # errors about one file; others are about the disk or the folder
_MANY = 2000  # files from which on the folder is listed instead of checking each


def why_not_written(path: str, error: OSError) -> str:
    """Return why one file of the output was not written; raise errors about more than that."""
    if error.errno not in OF_ONE_FILE:
        raise error
    if isinstance(error, FileExistsError):
        return f"{path} is a file that reelshelf did not write: move it away, and retry"
    return f"cannot write {path}: {error.strerror}"


class OwnedFiles:
    """The files of one output folder, as one ledger has them. For the ledger's thread only.

    Args:
        ledger: the record.
        output: the folder.
        by_manifest: the pages of the ledger may be those of another folder; only what `reload` read
            from the manifest of this one counts.
    """

    def __init__(self, ledger: Ledger, output: Output, *, by_manifest: bool = False) -> None:
        self._ledger, self._output = ledger, output
        self._counts_pages = not by_manifest

    def of(self, paths: Sequence[OutPath]) -> set[OutPath]:
        """Return those of `paths` that are owned by this site."""
        return self._ledger.owned(paths, pages=self._counts_pages)

    def claim(self, paths: Sequence[OutPath], *, copies: bool = True) -> frozenset[OutPath]:
        """Record files as owned before they are written; return those that must not be written.

        Args:
            paths: files, recorded already or not.
            copies: a foreign compressed copy beside a file keeps the file from being owned:
                servers would send that copy in its place. Only pages have copies; what has none is
                made for a video, and recorded as such until a build ends.
        """
        recorded = self.of(paths)
        fresh = [path for path in dict.fromkeys(paths) if path not in recorded]
        taken = self._taken(fresh, copies=copies)
        ours = [path for path in fresh if path not in taken]
        made = [] if copies else [path for path in paths if path not in taken]
        if ours or made:
            with self._ledger.transaction():
                # a build of many that is killed finds them in the manifest
                self._ledger.own(ours if len(ours) < _MANY else ())
                self._ledger.add_made_files(made)
                self._ledger.watch_folders({path.rpartition("/")[0] for path in ours})
        self._output.note(ours)
        return frozenset(taken)

    def claim_copies(self, paths: Sequence[OutPath]) -> frozenset[OutPath]:
        """Record compressed copies of pages as owned; return pages with foreign copies."""
        copied = self._ledger.copied(paths)
        fresh = [path for path in paths if path not in copied]
        is_taken = self._output.is_taken
        taken = {p for p in fresh if any(is_taken(OutPath(p + ending)) for ending in COPIES)}
        ours = [OutPath(path + COPIES[0]) for path in fresh if path not in taken]
        if ours:
            with self._ledger.transaction():
                self._ledger.own(ours)
        self._output.note(ours)
        return frozenset(taken)

    def _taken(self, paths: Sequence[OutPath], *, copies: bool) -> set[OutPath]:
        endings = ("", *COPIES) if copies else ("",)
        names = ((path, OutPath(path + ending)) for path in paths for ending in endings)
        if len(paths) >= _MANY:
            existing = set(self._output.others(frozenset()))
            return {path for path, name in names if name in existing}
        return {path for path, name in names if self._output.is_taken(name)}

    def make(self, files: Collection[MadeFile]) -> dict[OutPath, str]:
        """Write files that are not pages; return those that were not, with the reason of each.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        taken = self.claim([path for path, _ in files], copies=False)
        refused: dict[OutPath, str] = {}
        for path, content in files:
            try:
                self._output.write(path, content, owned=path not in taken)
            except OSError as error:
                refused[path] = why_not_written(path, error)
        return refused

    def adopt(self, path: OutPath, file: Path) -> None:
        """Move a finished file into the folder.

        Raises:
            FileExistsError: a file that is not ours is there; `file` still exists.
            OSError: the disk is full, or the folder cannot be written; likewise.
        """
        taken = self.claim([path], copies=False)
        self._output.adopt(path, file, owned=path not in taken)

    def delete(self, paths: Iterable[OutPath]) -> int:
        """Delete those of `paths` that are owned, with their copies; return how many there were.

        Raises:
            OSError: one cannot be deleted; it is still recorded.
        """
        every = sorted(paths)
        ours = self.of(every)
        with_copies = self._ledger.copied(every)
        gone: list[OutPath] = []
        try:
            for path in every:
                if path in with_copies:
                    self._output.unpack(path)
                    gone.append(OutPath(path + COPIES[0]))
                if path in ours:
                    self._output.delete(path)
                    gone.append(path)
        finally:
            if gone:
                with self._ledger.transaction():
                    self._ledger.disown(gone)
                self._output.note((), gone)
        return len(ours)

    def reload(self) -> None:
        """Take the record from the manifest: the ledger is new, or the folder is another one."""
        manifest = self._output.manifest()
        with self._ledger.transaction():
            self._ledger.disown()
            self._ledger.own(manifest)

    def rewrite_manifest(self) -> None:
        """Rewrite the manifest from the ledger."""
        self._output.replace_manifest(self._ledger.all_owned())
