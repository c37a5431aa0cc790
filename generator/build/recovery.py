"""Recovery: what an interruption, a power cut or another builder may have damaged on the disk.

A file where that cannot be ruled out is a suspect. Suspects are recorded in the ledger before the
first of them is written, and removed only when they were written, or compared and found correct.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import uuid4

from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger
from generator.adapters.output import COPIES, Output, digest_of, listed
from generator.core import formatting
from generator.core.delivery.folder_marks import OutputMark
from generator.core.model import OutPath
from generator.core.site import urls
from generator.render.owned_files import OwnedFiles

log = logging.getLogger(__name__)

EVERYTHING = OutPath("*")  # among suspects: any file
_ASSETS = "assets/"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MANY = 5000  # files from which on everything is recorded as suspect
_OTHERS = 1000  # foreign files are counted up to here
_MANIFEST_BYTES = 64  # of a line, average at most
_MIN_MANIFEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Suspects:
    """Which files of the output folder may differ from the ledger."""

    paths: frozenset[OutPath] = frozenset()
    all: bool = False


class Recovery:
    """Which files of one output folder can be trusted.

    `stamp` is the mark that the current build left in the output folder; "" before it writes.
    `by_manifest`: the pages in the ledger may be those of another folder.
    """

    def __init__(self, ledger: Ledger, catalogue: Catalogue, output: Output) -> None:
        self.ledger, self.catalogue, self.output = ledger, catalogue, output
        self.stamp = ""
        self.by_manifest = False
        self._unrepaired: set[str] = set()  # folders with missing files
        self._logged: set[str] = set()  # what is being repaired, until it is

    @property
    def files(self) -> OwnedFiles:
        """Return which files of the output folder are owned by this site."""
        return OwnedFiles(self.ledger, self.output, by_manifest=self.by_manifest)

    def left_output(self) -> bool:
        """Return whether the output folder is as this state folder left it."""
        mark = self.output.mark() or OutputMark()
        stamps = {self.ledger.fact(name) for name in ("stamp", "next_stamp")} - {""}
        return mark.stamp in (stamps or {self.ledger.fact("output")} - {""})  # as in 0.4.0

    def suspects(self) -> Suspects:
        """Return the files that an interruption, a power cut or another builder may have damaged.

        A suspect stays recorded until it was repaired: nothing else shrinks the set.
        """
        ledger, output = self.ledger, self.output
        mark = output.mark() or OutputMark()
        output.clear_scratch({path.rpartition("/")[0] for path in ledger.made_files()})
        if not ledger.fact("begun"):
            if mark.stamp and mark.stamp == ledger.fact("output") and not output.has_manifest():
                self._begin_manifest()  # left by 0.4.0
            self.files.reload()
            return Suspects()  # what is not in the ledger is compared with the disk anyway
        if mark.stamp and mark.stamp == ledger.fact("next_stamp"):  # of an interrupted build
            with ledger.transaction():
                ledger.remember("stamp", mark.stamp)
        if not self.left_output():
            self._warn_once(
                f"{output.root} was not last written with this state folder: comparing every page"
            )
            with ledger.transaction():
                ledger.forget_folder()
                ledger.suspect([EVERYTHING])
            self.files.reload()
        elif not output.has_manifest():
            self._begin_manifest()
        if ledger.fact("boot") != _boot() and ledger.fact("sealed") != "1":
            self._warn_once("unclean shutdown: verifying every page")
            with ledger.transaction():
                ledger.drop_compressed(ledger.all_compressed())
                ledger.suspect([EVERYTHING])
        paths = ledger.suspects()
        self.by_manifest = EVERYTHING in paths
        if self.by_manifest:
            self.files.reload()  # many files are recorded as owned only there
            return Suspects(all=True)
        if paths:
            if ledger.fact("next_stamp"):
                self._warn_once("the last build was interrupted: repairing unfinished pages")
            output.clear_scratch(folders_of(map(OutPath, paths)))
        return Suspects(paths=frozenset(map(OutPath, paths)))

    def _warn_once(self, message: str) -> None:
        """Log what is being repaired, once until a refresh repaired it: the disk may be full."""
        if message not in self._logged:
            self._logged.add(message)
            log.warning("%s", message)

    def _begin_manifest(self) -> None:
        """Write the manifest of owned files: version 0.4.0 wrote none, or it was lost."""
        with self.ledger.transaction():
            self.ledger.own(filter(self.output.has, self._made()))
        self.files.rewrite_manifest()

    def tidy_manifest(self) -> None:
        """Rewrite the manifest if it has many more lines than there are files."""
        most = max(_MIN_MANIFEST, self.ledger.page_count()[0] * 4 * _MANIFEST_BYTES)
        if self.output.manifest_bytes() > most:
            self.files.rewrite_manifest()

    def examine(self, rest: frozenset[OutPath]) -> tuple[frozenset[OutPath], frozenset[OutPath]]:
        """Check suspects that the plan does not repair; return those to render, and all others.

        An owned file that belongs to no page is removed.
        """
        digests = self.ledger.digests(sorted(rest))
        made = self._made() if any(map(urls.is_made, rest)) else set[OutPath]()
        torn = {
            path
            for path in rest & digests.keys()
            if digest_of(self.output.read(path) or b"") != digests[path]
        }
        self.files.delete(rest - digests.keys() - made)
        return frozenset(torn), rest - torn

    def _made(self) -> set[OutPath]:
        """Return every file of the output folder that was made for a video and is not a page."""
        return {path for video in self.catalogue.shown() for path in urls.made_files(video)}

    def begin_writing(self, paths: Sequence[OutPath]) -> None:
        """Record that these files are about to be written or deleted ("*": any)."""
        many = len(paths) >= _MANY
        self.output.forget_folders()  # a symlink may have replaced one by now
        self.stamp = uuid4().hex
        with self.ledger.transaction():
            self.ledger.suspect([EVERYTHING] if many else paths)
            for name, value in (("next_stamp", self.stamp), ("boot", _boot()), ("sealed", "0")):
                self.ledger.remember(name, value)
        mark = self.output.mark() or OutputMark()
        folder = mark.folder or uuid4().hex
        self.output.set_mark(OutputMark(folder, self.stamp, self.catalogue.identity()))

    def trust(self, suspects: Suspects, sound: Iterable[OutPath]) -> None:
        """Record that the suspects are repaired, except pages that could not be written."""
        ledger = self.ledger
        is_under_way = bool(ledger.fact("next_stamp"))
        recorded = ledger.suspects() if suspects.all or suspects.paths or self.stamp else set()
        failed = sorted(ledger.failed()) if suspects.all else []
        everything = suspects.all or EVERYTHING in recorded
        repaired = recorded if everything else recorded & set(sound)
        self._logged.clear()
        if not repaired and not is_under_way:
            return
        still = self.files.of(failed)  # their content may be anything
        with ledger.transaction():
            ledger.trust(repaired)
            ledger.suspect(still)
            if is_under_way:
                ledger.remember("next_stamp", "")
        self.by_manifest = self.by_manifest and not everything

    def missing_files(self) -> frozenset[OutPath]:
        """Return owned files that are missing on the disk.

        Lists only folders that changed since we recorded their mtime.
        """
        missing: set[OutPath] = set()
        for folder, changed_ns in self.ledger.folders().items():
            if self.output.changed_at(folder) == changed_ns:
                continue
            self.output.forget_folders()
            names = self.output.names_in(folder)
            files = self.ledger.files_in(folder)
            gone = {path for path in files if path.rpartition("/")[2] not in names}
            (self._unrepaired if gone else self.output.touched).add(folder)
            missing |= gone
        lost = {path for path in missing if not path.endswith(COPIES)}
        if lost:
            self._warn_once(
                f"{formatting.counted(len(lost), 'file')} missing from {self.output.root}:"
                " making them again"
            )
        return frozenset(lost)

    def end_repairs(self) -> None:
        """Take all that `missing_files` returned for made again: the build has ended."""
        self.output.touched |= self._unrepaired
        self._unrepaired = set()
        self._logged.clear()

    def note_folders(self) -> None:
        """Record the mtimes of written folders: a later change was made by others.

        Those where files are still missing, as a build was stopped, count as changed.
        """
        touched, self.output.touched = self.output.touched - self._unrepaired, set()
        if touched:
            with self.ledger.transaction():
                self.ledger.put_folders({path: self.output.changed_at(path) for path in touched})

    def delete_former_assets(self, assets: Collection[OutPath]) -> int:
        """Delete assets that the theme no longer has; return how many files that were.

        While a page keeps its former content, they stay: it may refer to them.
        """
        former = {path for path in self.ledger.paths_like(_ASSETS) if path not in assets}
        if not former or self.ledger.failed():
            return 0
        removed = self.files.delete(former)
        with self.ledger.transaction():
            self.ledger.drop_pages(former)
        return removed

    def sweep(self, assets: Collection[OutPath]) -> int:
        """Delete owned files that belong to no page or video; return how many.

        Args:
            assets: the current assets of the theme; former ones are deleted.
        """
        pages = set(self.ledger.digests())
        former = {path for path in pages if path.startswith(_ASSETS) and path not in assets}
        needed = pages - former
        needed |= self._made()
        owned = self.ledger.all_owned()
        stray = owned - needed - {OutPath(path + COPIES[0]) for path in needed}
        stray = {OutPath(path.removesuffix(COPIES[0])) for path in stray}
        removed = self.files.delete(stray)
        with self.ledger.transaction():
            self.ledger.drop_pages(former)
            self.ledger.watch_folders({"", *folders_of(owned)})  # until `note_folders`
        self.output.clear_scratch(folders_of(owned))
        self.output.remove_empty_folders(folders_of(stray))
        self.files.rewrite_manifest()
        self.output.touched |= {"", *folders_of(owned)}
        self._log_foreign_files(owned)
        return removed

    def _log_foreign_files(self, owned: set[OutPath]) -> None:
        """Log once which files of the output folder are not owned by this site."""
        others = sorted(islice(self.output.others(owned), _OTHERS))
        names = "\n".join(others)
        if names == self.ledger.fact("others"):
            return
        with self.ledger.transaction():
            self.ledger.remember("others", names)
        if others:
            log.warning(
                "%s%s in %s not written by reelshelf; left alone: %s",
                "at least " * (len(others) == _OTHERS),
                formatting.counted(len(others), "file"),
                self.output.root,
                listed(others),
            )


def folders_of(paths: Iterable[OutPath]) -> set[str]:
    """Return the folders of files, without the root folder."""
    return {path.rpartition("/")[0] for path in paths if "/" in path}


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
