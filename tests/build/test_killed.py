"""Killed between any two writes, the next build ends at the same site.

After a power cut more can be lost: pages that were written but had not reached the disk. The
ledger says so until they have (`sealed`), and then everything is compared with the disk.
"""

import gzip
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from effort import combined, share
from histories import History, full_render, tree
from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.errors import SettingsError
from generator.core.model import Event, EventKind, OutPath, Poster, VideoId
from generator.core.site import urls
from generator.watch.compression import compress_some

VIDEOS = 100


class Dying(Output):
    """An output folder whose process is killed at the n-th change of it, before or after."""

    def __init__(self, root: Path, changes: int, *, after: bool) -> None:
        super().__init__(root)
        self._left = changes
        self._after = after

    def write(self, path: OutPath, content: bytes, **more: Any) -> None:  # noqa: ANN401 (as given)
        self._count(due=not self._after)
        super().write(path, content, **more)
        self._count(due=self._after)

    def delete(self, path: OutPath) -> None:
        self._count(due=not self._after)
        super().delete(path)
        self._count(due=self._after)

    def note(self, created: Iterable[OutPath], deleted: Iterable[OutPath] = ()) -> None:
        created, deleted = list(created), list(deleted)
        if created or deleted:
            self._count(due=not self._after)
        super().note(created, deleted)
        if created or deleted:
            self._count(due=self._after)

    def _count(self, *, due: bool) -> None:
        if due:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def in_a_process_that_dies(deed: Callable[[], None]) -> bool:
    """Do something in a process of its own; tell whether it was killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            deed()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def refresh_and_die(folder: Path, changes: int, *, after: bool) -> bool:
    """Refresh in a process of its own; tell whether it was killed."""

    def refresh() -> None:
        with Engine(trial.settings(folder), TEMPLATES) as engine:
            engine.output = Dying(folder / "out", changes, after=after)
            engine.refresh(trial.NOW + 1)

    return in_a_process_that_dies(refresh)


def prepare(folder: Path, *, built: bool) -> None:
    """Put a library there, built or not: a copy, for to make one takes twelve times as long."""
    original = folder.parent / f"killed-{built}"
    if not original.exists():
        create(original, built=built)
    shutil.copytree(original, folder, dirs_exist_ok=True)


def create(folder: Path, *, built: bool) -> None:
    with Engine(trial.settings(folder), TEMPLATES) as engine:
        trial.fill(engine.catalogue, VIDEOS)
        if built:
            engine.refresh(trial.NOW)
            history = History(VIDEOS, seed=5)
            for _ in range(30):
                engine.catalogue.append(history.draw())


@pytest.mark.parametrize(
    ("changes", "built", "after"), combined(3, [1, 2, 9, 60, 110], [False, True], [False, True])
)
def test_killed_at_any_write_the_next_build_ends_at_the_same_site(
    tmp_path: Path, changes: int, *, built: bool, after: bool
) -> None:
    prepare(tmp_path, built=built)

    assert refresh_and_die(tmp_path, changes, after=after)

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.refresh(trial.NOW + 2)
        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


@pytest.mark.parametrize("changes", [1, 40, 120])
def test_killed_and_then_changed_further_the_next_build_is_exact(
    tmp_path: Path, changes: int
) -> None:
    prepare(tmp_path, built=True)
    assert refresh_and_die(tmp_path, changes, after=True)

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        history = History(VIDEOS, seed=5)
        for _ in range(30):
            history.draw()  # as before, to know what is there
        history.count += 1000
        for _ in range(20):
            engine.catalogue.append(history.draw())
        engine.refresh(trial.NOW + 2)

        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_killed_again_and_again_the_build_still_ends(tmp_path: Path) -> None:
    prepare(tmp_path, built=True)
    for changes in (5, 50, 3, 20):
        refresh_and_die(tmp_path, changes, after=False)

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.refresh(trial.NOW + 2)

        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_what_only_looks_like_an_unfinished_file_of_ours_is_somebodys(tmp_path: Path) -> None:
    prepare(tmp_path, built=False)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/.tmp-123-0").write_bytes(b"mine")

    with pytest.raises(SettingsError, match="did not write"):
        Engine(trial.settings(tmp_path), TEMPLATES)
    assert (tmp_path / "out/.tmp-123-0").read_bytes() == b"mine"


def test_after_a_power_cut_every_page_is_compared_with_the_disk(tmp_path: Path) -> None:
    prepare(tmp_path, built=False)
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.refresh(trial.NOW)
        whole = tree(tmp_path / "out")
        with engine.ledger.transaction():
            engine.ledger.remember("boot", "of another start of the machine")
    (tmp_path / "out" / "index.html").write_bytes(b"")  # as ext4 leaves what had not got there
    (tmp_path / "out" / "all.html").unlink()

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.refresh(trial.NOW + 1)

        assert tree(tmp_path / "out") == whole


def test_a_disk_that_is_full_leaves_whole_pages_and_the_next_build_goes_on(
    tmp_path: Path,
) -> None:
    class Full(Output):
        left = 40

        def write(self, path: OutPath, content: bytes, **more: Any) -> None:  # noqa: ANN401
            self.left -= 1
            if self.left < 0:
                raise OSError(28, "No space left on device")
            super().write(path, content, **more)

    prepare(tmp_path, built=False)
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        room, engine.output = engine.output, Full(tmp_path / "out")
        with pytest.raises(OSError, match="No space left"):
            engine.refresh(trial.NOW)
        engine.output = room
        engine.refresh(trial.NOW + 1)

        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


class Torn(Output):
    """An output folder whose process is killed while it writes its n-th file."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self._left = changes

    def _place(self, scratch: str, final: str, content: bytes, *, owned: bool) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._place(scratch, final, content, owned=owned)


class Stills:
    """A scan that finds new videos, and makes their stills each time."""

    def __init__(self, *videos: int, version: int = 0, lost: bool = False) -> None:
        self.videos, self.version, self.lost = videos, version, lost

    def files(self) -> dict[OutPath, bytes]:
        posters = {video: trial.poster(video + 1000 * self.version) for video in self.videos}
        paths = {
            path: f"{path} {video}".encode()
            for video, event in posters.items()
            for path in urls.still_files(VideoId(video), poster_of(event.value))
        }
        return {} if self.lost else paths

    def __call__(self, builder: Engine, receipt: Receipt, **_: bool) -> None:
        append, now = builder.catalogue.append, receipt.at
        append([trial.found(video, random.Random(video)) for video in self.videos])
        builder.files.make(self.files().items())
        for video in self.videos:
            value = trial.poster(video + 1000 * self.version).value
            name, number = f"{video}-{self.version}", VideoId(video)
            if self.lost:
                for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED):
                    append([Event(f"{kind}-{name}", kind, now, "test", number)])
            else:
                append([Event(f"made-{name}", EventKind.POSTER_MADE, now, "test", number, value)])


def poster_of(value: Mapping[str, object]) -> Poster:
    poster = cast("dict[str, Any]", value["poster"])
    return Poster(**{**poster, "widths_px": tuple(poster["widths_px"])})


NEW = (VIDEOS + 1, VIDEOS + 2)


THEN = {
    "shown": Stills(*NEW),
    "changed": Stills(*NEW, version=1),
    "lost": Stills(*NEW, lost=True),
}


@pytest.mark.parametrize(
    ("changes", "built", "after"), combined(5, [2, 3, 5, 6, 7, 30], [False, True], list(THEN))
)
def test_no_file_made_for_a_video_that_no_page_ever_showed_stays(
    tmp_path: Path, changes: int, after: str, *, built: bool
) -> None:
    then = THEN[after]
    prepare(tmp_path, built=built)

    def build() -> None:
        with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
            engine.output = Torn(tmp_path / "out", changes)
            engine.refresh(trial.NOW + 1, Stills(*NEW), verify=True)

    assert in_a_process_that_dies(build)

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.refresh(trial.NOW + 2, then, verify=True)
        expected = full_render(engine, tmp_path / "full")
        assert not list(engine.ledger.made_files())
    assert tree(tmp_path / "out") == {**expected, **then.files()}


@pytest.mark.parametrize("after", ["the files", "a page", "everything"])
def test_files_that_go_after_a_kill_are_missed_in_whatever_folder_they_were(
    tmp_path: Path, after: str
) -> None:
    prepare(tmp_path, built=False)
    stills = Stills(*NEW)

    def build() -> None:
        with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
            changes = {"the files": 7, "a page": 40, "everything": 1 << 20}[after]
            engine.output = Torn(tmp_path / "out", changes)
            engine.refresh(trial.NOW + 1, stills, verify=True)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_process_that_dies(build)
    if after != "everything":
        assert in_a_process_that_dies(lambda: finish_and_die(tmp_path, stills))
    before = tree(tmp_path / "out")
    for folder in ("thumb", "watch", "assets"):
        shutil.rmtree(tmp_path / "out" / folder)
    (tmp_path / "out/robots.txt").unlink()

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.refresh(trial.NOW + 3, stills, verify=True)

    assert tree(tmp_path / "out") == before


def finish_and_die(folder: Path, stills: Stills) -> None:
    with Engine(trial.settings(folder), TEMPLATES) as engine:
        engine.refresh(trial.NOW + 2, stills, verify=True)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("room", [0, 3, 30])
def test_files_that_are_missing_stay_missed_until_a_build_ended(tmp_path: Path, room: int) -> None:
    prepare(tmp_path, built=True)
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.seal(engine.refresh(trial.NOW + 1))
    before = tree(tmp_path / "out")
    for name in sorted(before)[::2]:
        (tmp_path / "out" / name).unlink()
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        engine.output = Full(tmp_path / "out", room, takes_small=False)
        with pytest.raises(OSError, match="No space left"):
            engine.refresh(trial.NOW + 2, verify=True)

    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        with engine.ledger.transaction():  # what the stopped build was about to write is missing,
            engine.ledger.trust(engine.ledger.suspects())  # even if nothing else is known of it
        engine.refresh(trial.NOW + 3, verify=True)

    assert tree(tmp_path / "out") == before


class Full(Output):
    """An output folder on a disk that takes so many files more, and small ones after that."""

    def __init__(self, root: Path, room: int, *, takes_small: bool) -> None:
        super().__init__(root)
        self._room, self._takes_small = room, takes_small

    def write(self, path: OutPath, content: bytes, **more: Any) -> None:  # noqa: ANN401 (as given)
        self._room -= 1
        if self._room < 0 and not (self._takes_small and len(content) < 9000):
            raise OSError(28, "No space left on device")
        super().write(path, content, **more)


class Trouble:
    """What may happen to a site between two builds that end, drawn from one seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.history = History(VIDEOS, seed)
        self.now = trial.NOW
        self.saved: list[Path] = []

    def change(self) -> None:
        with Engine(trial.settings(self.folder), TEMPLATES) as engine:
            for _ in range(self.chance.choice([1, 1, 2, 20])):
                engine.catalogue.append(self.history.draw())

    def build(self, output: Output | None = None, *, full: bool = False) -> None:
        self.now += self.chance.choice([1, 3600])
        with Engine(trial.settings(self.folder), TEMPLATES) as engine:
            engine.output = output or engine.output
            receipt = engine.refresh(self.now, full=full, verify=True)
            if self.chance.random() < 0.5:
                engine.seal(receipt)
            if self.chance.random() < 0.3:
                compress_some(engine.ledger, engine.output, 100)

    def die(self) -> None:
        changes = self.chance.choice([1, 2, 3, 5, 9, 30, 70, 100, 200])
        after, full = self.chance.random() < 0.5, self.chance.random() < 0.2
        output = Dying(self.folder / "out", changes, after=after)
        in_a_process_that_dies(lambda: self.build(output, full=full))

    def fill_the_disk(self) -> None:
        room, small = self.chance.randrange(60), self.chance.random() < 0.5
        with suppress(OSError):
            self.build(Full(self.folder / "out", room, takes_small=small))

    def cut_the_power(self) -> None:
        """Lose what was written since the disk had all of it: pages are empty, or the former."""
        with Engine(trial.settings(self.folder), TEMPLATES) as engine:
            is_sealed = engine.ledger.fact("sealed") == "1"
            with engine.ledger.transaction():
                engine.ledger.remember("boot", "another")
        pages = sorted(path for path in (self.folder / "out").rglob("*.html*") if path.is_file())
        for path in self.chance.sample(pages, min(5, len(pages))):
            if not is_sealed:
                path.write_bytes(b"")

    def save(self) -> None:
        copy = self.folder / f"state-{len(self.saved)}"
        shutil.copytree(self.folder / "state", copy)
        self.saved.append(copy)

    def restore(self) -> None:
        if self.saved:
            shutil.rmtree(self.folder / "state")
            shutil.copytree(self.chance.choice(self.saved), self.folder / "state")

    def lose_the_ledger(self) -> None:
        for file in (self.folder / "state").glob("ledger.db*"):
            file.unlink()

    def go_elsewhere(self) -> None:
        with Engine(trial.settings(self.folder, out=self.folder / "other"), TEMPLATES) as engine:
            engine.refresh(self.now)

    def empty_the_output(self) -> None:
        for path in (self.folder / "out").glob("*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("seed", share([5, 2, 0, 1, 3, 4], 3))
def test_after_any_course_of_trouble_one_build_ends_at_the_right_site(
    tmp_path: Path, seed: int
) -> None:
    prepare(tmp_path, built=True)
    trouble = Trouble(tmp_path, seed)
    die, change = trouble.die, trouble.change
    for _ in range(2):
        for _ in range(trouble.chance.randint(2, 7)):
            trouble.chance.choice(
                [
                    *(die, die, die, die, die, change, change, change, change),
                    *(trouble.fill_the_disk, trouble.fill_the_disk, trouble.cut_the_power),
                    *(trouble.save, trouble.save, trouble.restore, trouble.lose_the_ledger),
                    *(trouble.go_elsewhere, trouble.empty_the_output, trouble.build),
                ]
            )()

        trouble.build()

        with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
            expected = full_render(engine, tmp_path / "full")
        pages = {path: page for path, page in tree(tmp_path / "out").items() if page_like(path)}
        assert pages == expected
        shutil.rmtree(tmp_path / "full")
        for path, content in tree(tmp_path / "out").items():
            if path.endswith(".gz"):
                assert gzip.decompress(content) == expected[path.removesuffix(".gz")]


def page_like(path: str) -> bool:
    return not path.endswith((".gz", ".br"))
