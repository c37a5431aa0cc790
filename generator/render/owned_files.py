"""Ownership: which files of the output folder are ours, by our own record.

The ledger has the record, and the manifest in the output folder, which survives the ledger. A file
is noted as ours before it is written and forgotten after it is deleted. What is in no record is
somebody else's: it is neither replaced nor deleted.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from generator.adapters.ledger import Ledger
from generator.adapters.output import COPIES, Output
from generator.core.model import OutPath

MadeFile = tuple[OutPath, bytes]  # where, and what

_MANY = 2000  # from so many on, the folder is listed rather than asked for each


class OwnedFiles:
    """The files of one output folder, as one ledger knows them. For the ledger's thread.

    Args:
        ledger: what was noted.
        output: the folder.
        by_manifest: the pages of the ledger may be those of another folder; only what `reload` took
            from the manifest of this one counts.
    """

    def __init__(self, ledger: Ledger, output: Output, *, by_manifest: bool = False) -> None:
        self._ledger, self._output = ledger, output
        self._counts_pages = not by_manifest

    def of(self, paths: Sequence[OutPath]) -> set[OutPath]:
        """Return those among `paths` that are ours."""
        return self._ledger.owned(paths, pages=self._counts_pages)

    def claim(self, paths: Sequence[OutPath], *, copies: bool = True) -> frozenset[OutPath]:
        """Note files as ours that are about to be written; return those that may not be.

        Args:
            paths: files, recorded already or not.
            copies: a compressed copy of somebody else's beside a file keeps it from being ours:
                servers would send that in its place.
        """
        known = self.of(paths)
        fresh = [path for path in dict.fromkeys(paths) if path not in known]
        taken = self._taken(fresh, copies=copies)
        ours = [path for path in fresh if path not in taken]
        if (
            ours and len(ours) < _MANY
        ):  # a build of many finds them in the manifest, if it is killed
            with self._ledger.transaction():
                self._ledger.own(ours)
        self._output.note(ours)
        return frozenset(taken)

    def claim_copies(self, paths: Sequence[OutPath]) -> frozenset[OutPath]:
        """Note the compressed copies of pages as ours; return the pages beside which others lie."""
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
            there = set(self._output.others(frozenset()))
            return {path for path, name in names if name in there}
        return {path for path, name in names if self._output.is_taken(name)}

    def make(self, files: Collection[MadeFile]) -> None:
        """Write files that are no pages.

        Raises:
            FileExistsError: something that is not ours is in the place of one.
            OSError: the disk is full, or the folder cannot be written.
        """
        taken = self.claim([path for path, _ in files], copies=False)
        for path, content in files:
            self._output.write(path, content, owned=path not in taken)

    def adopt(self, path: OutPath, file: Path) -> None:
        """Move a finished file into the folder.

        Raises:
            OSError: as `make`; `file` is still there.
        """
        taken = self.claim([path], copies=False)
        self._output.adopt(path, file, owned=path not in taken)

    def delete(self, paths: Iterable[OutPath]) -> int:
        """Remove those among `paths` that are ours, with their copies; return how many those were.

        Raises:
            OSError: one cannot be removed; it is still ours.
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
        """Take the manifest's word for what is ours: the ledger is new, or the folder another."""
        manifest = self._output.manifest()
        with self._ledger.transaction():
            self._ledger.disown()
            self._ledger.own(manifest)

    def rewrite_manifest(self) -> None:
        """Write the manifest anew, as the ledger has it."""
        self._output.replace_manifest(self._ledger.all_owned())
