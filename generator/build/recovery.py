"""Recovery: what an interruption, a power cut or another builder may have left on the disk.

A file of which that cannot be ruled out is a suspect. Suspects are noted in the ledger before the
first of them is written, and leave it only when they were written, or compared and found right.
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
from generator.core.delivery.folder_marks import OutputMark
from generator.core.model import OutPath
from generator.core.site import urls
from generator.render.owned_files import OwnedFiles

log = logging.getLogger(__name__)

EVERYTHING = OutPath("*")  # among suspects: any file
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MANY = 5000  # from so many files on, what is under way is noted as everything
_OTHERS = 1000  # files that are not ours, to be counted
_MANIFEST_BYTES = 64  # of a line, at most on the average
_LEAST_MANIFEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Suspects:
    """Which files of the output may not be what the ledger says."""

    paths: frozenset[OutPath] = frozenset()
    all: bool = False


class Recovery:
    """What is known of the files of one output folder, and what is not.

    `stamp` is that of the refresh that writes now, as the output folder has it; "" before it does.
    `by_manifest`: the pages of the ledger may be those of another folder.
    """

    def __init__(self, ledger: Ledger, catalogue: Catalogue, output: Output) -> None:
        self.ledger, self.catalogue, self.output = ledger, catalogue, output
        self.stamp = ""
        self.by_manifest = False

    @property
    def files(self) -> OwnedFiles:
        """Return which files of the output folder are ours."""
        return OwnedFiles(self.ledger, self.output, by_manifest=self.by_manifest)

    def left_output(self) -> bool:
        """Tell whether the output folder is as this state folder left it."""
        mark = self.output.mark() or OutputMark()
        stamps = {self.ledger.fact(name) for name in ("stamp", "next_stamp")} - {""}
        return mark.stamp in (stamps or {self.ledger.fact("output")} - {""})  # as 0.4.0 had it

    def suspects(self) -> Suspects:
        """Return what an interruption, a power cut or another builder may have left.

        What is suspect stays noted until it was mended: nothing but that shrinks the set.
        """
        ledger, output = self.ledger, self.output
        mark = output.mark() or OutputMark()
        if not ledger.fact("begun"):
            if mark.stamp and mark.stamp == ledger.fact("output") and not output.has_manifest():
                self._begin_manifest()  # 0.4.0 left it so
            self.files.reload()
            return Suspects()  # what the ledger does not know is compared with the disk anyway
        if mark.stamp and mark.stamp == ledger.fact("next_stamp"):  # an interrupted refresh's
            with ledger.transaction():
                ledger.remember("stamp", mark.stamp)
        if not self.left_output():
            log.warning("%s is not as this state folder left it: comparing every page", output.root)
            with ledger.transaction():
                ledger.forget_folder()
                ledger.suspect([EVERYTHING])
            self.files.reload()
        elif not output.has_manifest():
            self._begin_manifest()
        if ledger.fact("boot") != _boot() and ledger.fact("sealed") != "1":
            log.warning("the machine stopped before all pages were on the disk: comparing all")
            with ledger.transaction():
                ledger.drop_packed(ledger.all_packed())
                ledger.suspect([EVERYTHING])
        paths = ledger.suspects()
        self.by_manifest = EVERYTHING in paths
        if self.by_manifest:
            self.files.reload()  # of many files it was noted there only that they are ours
            return Suspects(all=True)
        if paths:
            if ledger.fact("next_stamp"):
                log.warning("the last build was interrupted: mending what it left")
            output.clear_scratch(folders_of(map(OutPath, paths)))
        return Suspects(paths=frozenset(map(OutPath, paths)))

    def _begin_manifest(self) -> None:
        """Note in the output folder what is ours there: version 0.4.0 did not, or it was lost."""
        with self.ledger.transaction():
            self.ledger.own(filter(self.output.has, self._made()))
        self.files.rewrite_manifest()

    def tidy_manifest(self) -> None:
        """Write the manifest anew where it has many more lines than there are files."""
        most = max(_LEAST_MANIFEST, self.ledger.page_count()[0] * 4 * _MANIFEST_BYTES)
        if self.output.manifest_bytes() > most:
            self.files.rewrite_manifest()

    def examine(self, rest: frozenset[OutPath]) -> tuple[frozenset[OutPath], frozenset[OutPath]]:
        """Look at suspects that no plan mends; return those to be rendered, and all others.

        What is known of no page is removed, if it is ours.
        """
        known = self.ledger.digests(sorted(rest))
        made = self._made() if any(map(urls.is_made, rest)) else set[OutPath]()
        torn = {
            path
            for path in rest & known.keys()
            if digest_of(self.output.read(path) or b"") != known[path]
        }
        self.files.delete(rest - known.keys() - made)
        return frozenset(torn), rest - torn

    def _made(self) -> set[OutPath]:
        """Return every file of the output folder that was made for a video and is no page."""
        return {path for video in self.catalogue.shown() for path in urls.made_files(video)}

    def begin_writing(self, paths: Sequence[OutPath]) -> None:
        """Note that these files are about to be written or deleted ("*": any)."""
        many = len(paths) >= _MANY
        self.output.forget_folders()  # a link may be in the place of one by now
        self.stamp = uuid4().hex
        with self.ledger.transaction():
            self.ledger.suspect([EVERYTHING] if many else paths)
            for name, value in (("next_stamp", self.stamp), ("boot", _boot()), ("sealed", "0")):
                self.ledger.remember(name, value)
        mark = self.output.mark() or OutputMark()
        folder = mark.folder or uuid4().hex
        self.output.set_mark(OutputMark(folder, self.stamp, self.catalogue.identity()))

    def trust(self, suspects: Suspects, sound: Iterable[OutPath]) -> None:
        """Note that what was suspect is mended, but for pages that could not be written."""
        ledger = self.ledger
        is_under_way = bool(ledger.fact("next_stamp"))
        noted = ledger.suspects() if suspects.all or suspects.paths or self.stamp else set()
        failed = sorted(ledger.failed()) if suspects.all else []
        everything = suspects.all or EVERYTHING in noted
        mended = noted if everything else noted & set(sound)
        if not mended and not is_under_way:
            return
        still = self.files.of(failed)  # they may be anything but what they should be
        with ledger.transaction():
            ledger.trust(mended)
            ledger.suspect(still)
            if is_under_way:
                ledger.remember("next_stamp", "")
        self.by_manifest = self.by_manifest and not everything

    def missing_files(self) -> frozenset[OutPath]:
        """Return files of ours that are not on the disk.

        Only folders are listed in which something came or went since we noted when.
        """
        missing: set[OutPath] = set()
        for folder, changed_ns in self.ledger.folders().items():
            if self.output.changed_at(folder) == changed_ns:
                continue
            self.output.forget_folders()
            names = self.output.names_in(folder)
            files = self.ledger.files_in(folder)
            missing |= {path for path in files if path.rpartition("/")[2] not in names}
            self.output.touched.add(folder)
        lost = {path for path in missing if not path.endswith(COPIES)}
        if lost:
            log.warning("%d files of %s are gone: they are made anew", len(lost), self.output.root)
        return frozenset(lost)

    def note_folders(self) -> None:
        """Note when the folders that we wrote to changed last: a later change is another's."""
        touched, self.output.touched = self.output.touched, set()
        if touched:
            with self.ledger.transaction():
                self.ledger.put_folders({path: self.output.changed_at(path) for path in touched})

    def sweep(self, assets: Collection[OutPath]) -> int:
        """Remove files of ours that belong to no page and were made for no video; return how many.

        Args:
            assets: the files beside the pages as the theme has them now; former ones go.
        """
        pages = set(self.ledger.digests())
        former = {path for path in pages if path.startswith("assets/") and path not in assets}
        wanted = pages - former
        wanted |= self._made()
        owned = self.ledger.all_owned()
        stray = owned - wanted - {OutPath(path + COPIES[0]) for path in wanted}
        stray = {OutPath(path.removesuffix(COPIES[0])) for path in stray}
        removed = self.files.delete(stray)
        with self.ledger.transaction():
            self.ledger.drop_pages(former)
        self.output.clear_scratch(folders_of(owned))
        self.output.remove_empty_folders(folders_of(stray))
        self.files.rewrite_manifest()
        self.output.touched |= folders_of(owned)
        self._tell_others(owned)
        return removed

    def _tell_others(self, owned: set[OutPath]) -> None:
        """Log once which files of the output folder are not ours."""
        others = sorted(islice(self.output.others(owned), _OTHERS))
        names = "\n".join(others)
        if names == self.ledger.fact("others"):
            return
        with self.ledger.transaction():
            self.ledger.remember("others", names)
        if others:
            log.warning(
                "%s%d files in %s were not written by reelshelf and are left as they are: %s",
                "at least " * (len(others) == _OTHERS),
                len(others),
                self.output.root,
                listed(others),
            )


def folders_of(paths: Iterable[OutPath]) -> set[str]:
    """Return the folders that files are in, but for the outermost."""
    return {path.rpartition("/")[0] for path in paths if "/" in path}


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
