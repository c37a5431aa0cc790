import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, WatchDescriptor

from generator.adapters.watcher import Watcher, WatchMethod, WatchTiming
from generator.adapters.watcher.inotify import _Callback
from generator.adapters.watcher.protocol import FolderWatch, WatchListener
from generator.adapters.watcher.root_state import RootFolder, survey_root
from generator.adapters.watcher.watcher import inotify
from generator.core.library.file_filter import compile_filter
from generator.core.library.mounts import Mount
from generator.core.library.rescan_hints import Hints
from generator.core.model import Place

INTAKE = compile_filter(["ignored", "/raw/*.mov"])
PACE = WatchTiming(quiet_s=0.03, limit_s=1.0, poll_s=60.0, check_s=0.02)
PATIENCE_S = 60.0


@contextmanager
def watching(root: Path, pace: WatchTiming = PACE) -> Iterator[Watcher]:
    with Watcher({"": root}, INTAKE, pace) as watcher:
        yield watcher


def hinted(watcher: Watcher, enough: Callable[[Hints], bool]) -> Hints:
    """Gather hints until they are enough, and fail when they never are."""
    folders: frozenset[Place] = frozenset()
    trees: frozenset[Place] = frozenset()
    why = ""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        hints = watcher.next_hints(1)
        folders, trees = folders | hints.folders, trees | hints.trees
        why += hints.why
        gathered = Hints(folders, trees, everything=bool(why), why=why)
        if enough(gathered):
            return gathered
    pytest.fail(f"not enough was hinted at: {folders}, {trees}, {why!r}")


def folders(*paths: str) -> Callable[[Hints], bool]:
    return lambda hints: hints.folders >= {Place("", path) for path in paths}


def trees(*paths: str) -> Callable[[Hints], bool]:
    return lambda hints: hints.trees >= {Place("", path) for path in paths}


def everything(why: str) -> Callable[[Hints], bool]:
    return lambda hints: why in hints.why


def means(watcher: Watcher) -> list[str]:
    return [mode.method.value for mode in watcher.modes.values()]


@dataclass
class Deaf:
    """A watch in a smaller world, where nothing happens but what a test says."""

    path: str
    listener: WatchListener
    alive: bool = True
    closed: bool = False
    listened: int = 0

    def listen(self) -> None:
        self.listened += 1

    def close(self) -> None:
        self.closed = True


@dataclass
class Deafs:
    """Makes watches, and keeps them for the test to speak through."""

    made: list[Deaf] = field(default_factory=list)

    def __call__(self, path: str, listener: WatchListener) -> FolderWatch:
        self.made.append(Deaf(path, listener))
        return self.made[-1]


def nobody() -> WatchListener:
    return WatchListener(
        wants=lambda _: True,
        ignores=lambda _: False,
        file=lambda _: None,
        tree=lambda _: None,
        busy=lambda: None,
        unreliable=lambda _: None,
    )


def test_a_copied_file_hints_at_its_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "lib/a/b").mkdir(parents=True)
    (tmp_path / "film.mp4").write_bytes(b"film")

    with watching(tmp_path / "lib") as watcher:
        shutil.copy(tmp_path / "film.mp4", tmp_path / "lib/a/b/film.mp4")
        hints = hinted(watcher, folders("a/b"))

    assert hints == Hints(folders=frozenset({Place("", "a/b")}))


def test_a_file_renamed_in_the_tree_hints_at_both_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/film.mp4").touch()

    with watching(tmp_path) as watcher:
        (tmp_path / "a/film.mp4").rename(tmp_path / "film.mp4")
        hints = hinted(watcher, folders("a", ""))

    assert not hints.everything


@pytest.mark.parametrize("name", ["film.mp4", "two\nlines \udce9.mkv", "#?%🎬.avi", "film.srt"])
def test_files_that_come_and_go_are_hinted_at(tmp_path: Path, name: str) -> None:
    lib = tmp_path / "lib"
    (lib / "in").mkdir(parents=True)
    (lib / "out").mkdir()
    (lib / "out" / name).touch()
    (tmp_path / name).touch()

    with watching(lib) as watcher:
        (tmp_path / name).rename(lib / "in" / name)
        hinted(watcher, folders("in"))
        (lib / "out" / name).rename(tmp_path / name)
        hinted(watcher, folders("out"))
        (lib / "in" / name).unlink()
        hinted(watcher, folders("in"))


def test_what_comes_into_a_new_folder_is_seen(tmp_path: Path) -> None:
    with watching(tmp_path) as watcher:
        (tmp_path / "a/b/c").mkdir(parents=True)
        (tmp_path / "a/b/c/film.mp4").touch()
        hints = hinted(watcher, trees("a"))
        assert hints.folders == frozenset()

        (tmp_path / "a/b/c/later.mp4").touch()
        hinted(watcher, folders("a/b/c"))


def test_a_folder_moved_in_is_seen_with_all_below_and_watched(tmp_path: Path) -> None:
    (tmp_path / "far/x/y").mkdir(parents=True)
    (tmp_path / "far/x/y/film.mp4").touch()
    (tmp_path / "lib").mkdir()

    with watching(tmp_path / "lib") as watcher:
        (tmp_path / "far/x").rename(tmp_path / "lib/x")
        hints = hinted(watcher, trees("x"))
        assert not hints.everything

        (tmp_path / "lib/x/y/film.mp4").unlink()
        hinted(watcher, folders("x/y"))


def test_a_folder_renamed_in_the_tree_is_hinted_at_by_both_names(tmp_path: Path) -> None:
    (tmp_path / "a/deep").mkdir(parents=True)

    with watching(tmp_path) as watcher:
        (tmp_path / "a").rename(tmp_path / "b")
        hints = hinted(watcher, trees("a", "b"))
        assert not hints.everything

        (tmp_path / "b/deep/film.mp4").touch()
        assert Place("", "a/deep") not in hinted(watcher, folders("b/deep")).folders


def test_a_deleted_folder_is_hinted_at_with_all_below(tmp_path: Path) -> None:
    (tmp_path / "a/deep").mkdir(parents=True)
    (tmp_path / "a/deep/film.mp4").touch()

    with watching(tmp_path) as watcher:
        shutil.rmtree(tmp_path / "a")

        assert not hinted(watcher, trees("a")).everything


def test_a_folder_moved_out_is_watched_no_more(tmp_path: Path) -> None:
    lib, out = tmp_path / "lib", tmp_path / "out"
    (lib / "a/b").mkdir(parents=True)
    (lib / "c").mkdir()

    with watching(lib) as watcher:
        (lib / "a").rename(out)
        hinted(watcher, everything("moved out"))
        (out / "b/film.mp4").touch()
        (lib / "c/film.mp4").touch()

        assert hinted(watcher, folders("c")) == Hints(folders=frozenset({Place("", "c")}))


def test_a_folder_moved_out_and_back_is_watched_as_before(tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    (lib / "a/b").mkdir(parents=True)

    with watching(lib, replace(PACE, quiet_s=0.8, limit_s=5)) as watcher:
        for _ in range(3):
            (lib / "a").rename(tmp_path / "out")
            (tmp_path / "out").rename(lib / "a")
        assert "the watch ended" not in hinted(watcher, everything("moved out")).why
        (lib / "a/b/film.mp4").touch()

        hinted(watcher, folders("a/b"))


class Confused:
    """What watchdog is once a folder was moved out, made anew, and both were deleted."""

    def on_event(self, event: InotifyEvent) -> None:
        raise KeyError(event.wd)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        raise KeyError(wd)

    def on_queue_overflow(self) -> None:
        pass


def test_where_watchdog_loses_its_books_its_thread_lives_on_in_doubt() -> None:
    doubts: list[str] = []
    relay = _Callback(Confused(), replace(nobody(), unreliable=doubts.append), set())

    relay.on_watch_deleted(WatchDescriptor(1))
    relay.on_event(InotifyEvent(WatchDescriptor(1), InotifyConstants.IN_MOVED_TO, 0, b"a"))

    assert doubts == ["watchdog lost track of a folder: KeyError(1)"] * 2


def test_folders_that_are_passed_over_cost_no_watch(tmp_path: Path) -> None:
    for folder in ("a/b", "ignored/deep/er", ".hidden/x", "@eaDir/y", "raw"):
        (tmp_path / folder).mkdir(parents=True)

    with watching(tmp_path):
        told = [path.read_text() for path in Path("/proc/self/fdinfo").iterdir() if path.exists()]

    assert sum(text.count("inotify wd:") for text in told) == len(["", "a", "a/b", "raw"])


def test_what_the_intake_passes_over_is_not_hinted_at(tmp_path: Path) -> None:
    for folder in ("ignored", ".hidden/deep", "@eaDir", "a"):
        (tmp_path / folder).mkdir(parents=True)

    with watching(tmp_path) as watcher:
        for name in ("ignored/1.mp4", ".hidden/deep/2.mp4", "@eaDir/3.mp4", "a/4.mp4.part"):
            (tmp_path / name).touch()
        (tmp_path / "ignored/more").mkdir()
        (tmp_path / "a/.5.mp4").touch()
        (tmp_path / "last.mp4").touch()

        assert hinted(watcher, folders("")) == Hints(folders=frozenset({Place("", "")}))


def test_a_passing_file_hides_no_other(tmp_path: Path) -> None:
    with watching(tmp_path) as watcher:
        (tmp_path / "one.mp4.part").touch()
        (tmp_path / "two.mp4").touch()

        hinted(watcher, folders(""))


def test_a_download_that_ends_is_hinted_at(tmp_path: Path) -> None:
    with watching(tmp_path) as watcher:
        (tmp_path / "film.mp4.part").touch()
        (tmp_path / "film.mp4.part").rename(tmp_path / "film.mp4")

        hinted(watcher, folders(""))


def test_a_burst_loses_no_folder(tmp_path: Path) -> None:
    paths = [f"{a}/{b}" for a in range(20) for b in range(10)]
    for path in paths:
        (tmp_path / path).mkdir(parents=True)

    with watching(tmp_path) as watcher:
        for path in paths:
            for name in range(10):
                (tmp_path / path / f"{name}.mp4").touch()
        hints = hinted(watcher, folders(*paths))

        assert not hints.everything
        for path in paths[:3]:
            (tmp_path / path / "later.mp4").touch()
            hinted(watcher, folders(path))


def test_a_folder_is_told_of_once_and_then_known_to_be_busy(tmp_path: Path) -> None:
    heard: list[str] = []
    busy, again = threading.Event(), threading.Event()

    def file(path: str) -> None:
        heard.append(Path(path).name)
        if len(heard) == 2:
            again.set()

    watch = inotify(os.fspath(tmp_path), replace(nobody(), file=file, busy=busy.set))
    (tmp_path / "1.mp4").touch()
    (tmp_path / "2.mp4").touch()
    (tmp_path / "2.mp4").unlink()
    assert busy.wait(PATIENCE_S)
    while busy.wait(0.2):  # until nothing more goes on
        busy.clear()
    watch.listen()
    (tmp_path / "3.mp4").touch()
    assert again.wait(PATIENCE_S)
    watch.close()

    assert heard == ["1.mp4", "3.mp4"]


def test_an_overflow_hints_at_everything_and_watching_goes_on(tmp_path: Path) -> None:
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 50_000:
        pytest.skip("the queue of this system takes too long to fill")
    started, go_on = threading.Event(), threading.Event()

    def ignores(name: str) -> bool:
        started.set()
        return go_on.wait(PATIENCE_S) and INTAKE.passes_over(name)

    def slow(path: str, listener: WatchListener) -> FolderWatch:
        return inotify(path, replace(listener, ignores=ignores))

    with Watcher({"": tmp_path}, INTAKE, PACE, slow) as watcher:
        (tmp_path / "a.mp4").touch()
        started.wait(PATIENCE_S)
        for _ in range(queue // 3 + 100):
            (tmp_path / "b.mp4").touch()
            (tmp_path / "b.mp4").unlink()
        (tmp_path / "lost").mkdir()
        go_on.set()

        hinted(watcher, everything("queue of the system overflowed"))
        (tmp_path / "lost/film.mp4").touch()
        hinted(watcher, folders("lost"))


def test_doubt_begins_a_new_watch_before_everything_is_hinted_at(tmp_path: Path) -> None:
    watches = Deafs()
    with Watcher({"": tmp_path}, INTAKE, PACE, watches) as watcher:
        watches.made[0].listener.unreliable("for a test")

        hints = hinted(watcher, everything("for a test"))

        assert hints.everything
        assert [watch.closed for watch in watches.made] == [True, False]
        watches.made[0].listener.unreliable("too late")
        assert watcher.next_hints(0.1) == Hints()
        assert len(watches.made) == 2


def test_a_watch_that_ended_begins_anew(tmp_path: Path) -> None:
    watches = Deafs()
    with Watcher({"": tmp_path}, INTAKE, PACE, watches) as watcher:
        watches.made[0].alive = False

        hinted(watcher, everything("the watch ended"))

        assert watcher.next_hints(0.1) == Hints()
    assert [watch.closed for watch in watches.made] == [True, True]


def test_a_batch_is_asked_for_again_before_it_is_taken(tmp_path: Path) -> None:
    watches = Deafs()
    with Watcher({"": tmp_path}, INTAKE, PACE, watches) as watcher:
        watches.made[0].listener.file(f"{tmp_path}/a/film.mp4")
        hinted(watcher, folders("a"))

        assert watches.made[0].listened == 1


@pytest.mark.parametrize(
    ("number", "setting"),
    [
        (errno.ENOSPC, "fs.inotify.max_user_watches=524288"),
        (errno.EMFILE, "fs.inotify.max_user_instances=1024"),
        (errno.EACCES, "no way"),
    ],
)
def test_where_the_system_gives_no_watch_all_is_looked_at_by_the_clock(
    tmp_path: Path, number: int, setting: str
) -> None:
    def none_left(path: str, _: WatchListener) -> FolderWatch:
        raise OSError(number, "no way", path)

    pace = replace(PACE, poll_s=0.05)
    with Watcher({"": tmp_path}, INTAKE, pace, none_left) as watcher:
        mode = watcher.modes[""]
        assert mode.method is WatchMethod.POLLING
        assert setting in mode.reason
        assert "every 0.05 s" in mode.reason
        for _ in range(3):
            hinted(watcher, everything(setting))


def grounds(mounts: Mapping[str, str]) -> Callable[[Path], RootFolder | None]:
    """Return a survey of a system where some folders are mounts of some kind."""

    def survey(root: Path) -> RootFolder | None:
        survey = survey_root(root)
        kind = mounts.get(root.name)
        if survey is None or kind is None:
            return survey
        return replace(survey, mounts=(Mount(1, survey.path, kind),))

    return survey


def test_folders_of_other_machines_are_polled_and_others_are_watched(tmp_path: Path) -> None:
    roots = {name: tmp_path / name for name in ("disk", "nas")}
    for path in roots.values():
        path.mkdir()

    pace = replace(PACE, poll_s=0.2)
    with Watcher(roots, INTAKE, pace, survey=grounds({"nas": "nfs4"})) as watcher:
        modes = watcher.modes
        assert modes["disk"].method is WatchMethod.EVENTS
        assert modes["nas"].method is WatchMethod.POLLING
        assert "another machine (nfs4)" in modes["nas"].reason
        (tmp_path / "disk/film.mp4").touch()
        hinted(watcher, lambda hints: Place("disk", "") in hints.folders)
        hinted(watcher, everything("nfs4"))


def test_a_pool_is_watched_and_polled_as_well(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()

    pace = replace(PACE, poll_s=0.2)
    survey = grounds({"pool": "fuse.mergerfs"})
    with Watcher({"pool": pool}, INTAKE, pace, survey=survey) as watcher:
        mode = watcher.modes["pool"]
        assert mode.method is WatchMethod.BOTH
        assert "fuse.mergerfs" in mode.reason
        assert "every 0.2 s" in mode.reason
        (pool / "film.mp4").touch()
        hinted(watcher, lambda hints: Place("pool", "") in hints.folders)
        hinted(watcher, everything("fuse.mergerfs"))


def test_a_root_that_goes_and_comes_back_is_watched_again(tmp_path: Path) -> None:
    lib, away = tmp_path / "lib", tmp_path / "away"
    (lib / "a").mkdir(parents=True)

    with watching(lib) as watcher:
        lib.rename(away)
        hinted(watcher, everything("not there any more"))
        assert means(watcher) == ["absent"]

        away.rename(lib)
        hinted(watcher, everything("there again"))
        assert means(watcher) == ["events"]
        (lib / "a/film.mp4").touch()
        hinted(watcher, folders("a"))


def test_a_root_that_is_deleted_and_made_anew_is_watched_again(tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    lib.mkdir()

    with watching(lib) as watcher:
        lib.rmdir()
        hinted(watcher, everything("deleted"))
        lib.mkdir()
        hinted(watcher, everything("there again"))
        (lib / "film.mp4").touch()
        hinted(watcher, folders(""))


def test_a_root_exchanged_for_another_is_watched_anew(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "lib").symlink_to("one")

    with watching(tmp_path / "lib") as watcher:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "lib")
        hinted(watcher, everything("another folder, disk or limit"))
        (tmp_path / "two/film.mp4").touch()
        hinted(watcher, folders(""))


def test_a_root_that_is_no_folder_is_absent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "self").symlink_to("self")
    roots = {name: tmp_path / name for name in ("file", "self", "nothing")}

    with Watcher(roots, INTAKE, PACE) as watcher:
        assert {mode.method for mode in watcher.modes.values()} == {WatchMethod.ABSENT}
        assert watcher.next_hints(0.1) == Hints()


def test_each_root_has_its_own_hints(tmp_path: Path) -> None:
    roots = {name: tmp_path / name for name in ("one", "two")}
    for path in roots.values():
        path.mkdir()
    (tmp_path / "one/film.mp4").touch()

    with Watcher(roots, INTAKE, PACE) as watcher:
        (tmp_path / "one/film.mp4").rename(tmp_path / "two/film.mp4")
        both = {Place("one", ""), Place("two", "")}
        hinted(watcher, lambda hints: hints.folders == both)


def test_waiting_ends_when_the_time_is_over_or_when_woken(tmp_path: Path) -> None:
    with watching(tmp_path) as watcher:
        assert watcher.next_hints(0) == Hints()

        watcher.wake()
        assert watcher.next_hints(3600) == Hints()

        waker = threading.Timer(0.05, watcher.wake)
        waker.start()
        assert watcher.next_hints(3600) == Hints()
        waker.join()


def test_a_hint_wakes_who_waits(tmp_path: Path) -> None:
    start_s = time.monotonic()

    with watching(
        tmp_path, WatchTiming(quiet_s=0.01, check_s=PATIENCE_S, poll_s=PATIENCE_S)
    ) as watcher:
        worker = threading.Timer(0.05, (tmp_path / "film.mp4").touch)
        worker.start()
        assert watcher.next_hints(PATIENCE_S)
        worker.join()

    assert time.monotonic() - start_s < PATIENCE_S / 2


def test_a_wake_loses_no_hint(tmp_path: Path) -> None:
    with watching(tmp_path) as watcher:
        (tmp_path / "film.mp4").touch()
        watcher.wake()
        assert watcher.next_hints(3600) == Hints()

        hinted(watcher, folders(""))


def test_no_thread_and_no_descriptor_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    threads = threading.enumerate()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    with watching(tmp_path) as watcher:
        assert len(threading.enumerate()) > len(threads)
        (tmp_path / "a").rename(tmp_path / "b")
        hinted(watcher, trees("a", "b"))
    watcher.close()

    assert threading.enumerate() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_root_that_cannot_be_watched_leaves_no_thread(tmp_path: Path) -> None:
    threads = threading.enumerate()

    with pytest.raises(OSError, match="No such file"):
        inotify(os.fspath(tmp_path / "gone"), nobody())

    assert threading.enumerate() == threads


def in_a_world_of_its_own(script: str, *options: str) -> str:
    """Run a shell script as root of a user namespace, where limits and mounts harm nobody."""
    unshare = shutil.which("unshare")
    world = [unshare or "unshare", "--user", "--map-root-user", *options]
    if not unshare or subprocess.run([*world, "true"], check=False).returncode:
        pytest.skip("this system gives no user namespaces")
    ran = subprocess.run(
        [*world, "sh", "-euc", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


PRELUDE = """
import os, subprocess, sys, threading
from pathlib import Path
from generator.adapters.watcher import WatchTiming, Watcher
from generator.core.library.file_filter import compile_filter
def until(enough):
    while not enough(hints := watcher.next_hints(5)):
        assert hints, "nothing was hinted at"
lib = Path(sys.argv[1])
watcher = Watcher({"": lib}, compile_filter(), WatchTiming(0.05, 1.0, 60.0, float(sys.argv[2])))
"""


def test_a_limit_reached_below_the_root_is_not_passed_over(tmp_path: Path) -> None:
    """watchdog itself goes on in silence, with some folders unwatched."""
    code = f"""{PRELUDE}
with watcher:
    assert watcher.modes[""].method == "events", watcher.modes
    for name in range(8):
        (lib / str(name)).mkdir()
    until(lambda hints: "limit" in hints.why)
    assert watcher.modes[""].method == "polling"
    assert "max_user_watches" in watcher.modes[""].reason
    assert threading.active_count() == 1
with watcher:
    assert watcher.modes[""].method == "polling", "eight folders are there from the start"
print("done")
"""
    (tmp_path / "lib").mkdir()
    (tmp_path / "test.py").write_text(code)

    printed = in_a_world_of_its_own(
        "echo 5 > /proc/sys/user/max_inotify_watches; "
        f"'{sys.executable}' -W error '{tmp_path}/test.py' '{tmp_path}/lib' 0.05"
    )

    assert printed == "done\n"


def test_a_disk_that_is_unmounted_and_mounted_again_is_watched_again(tmp_path: Path) -> None:
    code = f"""{PRELUDE}
disk = lib / "disk"
with watcher:
    (disk / "a").mkdir()
    until(lambda hints: any(place.path == "disk/a" for place in hints.trees))
    subprocess.run(["umount", disk], check=True)
    until(lambda hints: hints.everything)
    subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
    until(lambda hints: hints.everything)
    (disk / "film.mp4").touch()
    until(lambda hints: any(place.path == "disk" for place in hints.folders))
print("done")
"""
    (tmp_path / "lib/disk").mkdir(parents=True)
    (tmp_path / "test.py").write_text(code)

    printed = in_a_world_of_its_own(
        f"mount -t tmpfs none '{tmp_path}/lib/disk'; "
        f"'{sys.executable}' -W error '{tmp_path}/test.py' '{tmp_path}/lib' 0.05",
        "--mount",
    )

    assert printed == "done\n"


def test_a_disk_exchanged_between_two_checks_is_watched_again(tmp_path: Path) -> None:
    code = f"""{PRELUDE}
with watcher:
    subprocess.run(["umount", lib], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", lib], check=True)
    until(lambda hints: "a disk was unmounted" in hints.why)
    (lib / "film.mp4").touch()
    until(lambda hints: any(place.path == "" for place in hints.folders))
print("done")
"""
    (tmp_path / "lib").mkdir()
    (tmp_path / "test.py").write_text(code)

    printed = in_a_world_of_its_own(
        f"mount -t tmpfs none '{tmp_path}/lib'; "
        f"'{sys.executable}' -W error '{tmp_path}/test.py' '{tmp_path}/lib' 60",
        "--mount",
    )

    assert printed == "done\n"
