"""Renditions: programs that are killed, hang or lie, full disks, and what is left of the work."""

import os
import re
import select
import signal
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import pytest
from effort import share
from numbered_films import LIMIT_S, PLACE, Maker, asked, film, made, reason, shown

from generator.adapters.media.rendition_runner import (
    DiskFull,
    FinishedCopy,
    RenditionError,
    RenditionProgress,
)
from generator.adapters.output import Output
from generator.core.media.renditions import MP4, REMUX, TRANSCODE, RenditionRequest
from generator.core.model import Rejected


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "scratch")


# -- killed, and begun again

# Counts the files that are finished, and beats of the pulse, and kills itself at one of them.
DYING = """
import os, signal, sys
from pathlib import Path
from generator.adapters.rendition_worker import __main__ as program, job_folder
from generator.adapters.rendition_worker.heartbeat import Heartbeat

kind, left, is_after = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "after"

def count(wrapped):
    def deed(*given):
        global left
        left -= 1
        if left == 0 and not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = wrapped(*given)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return deed

if kind == "file":
    job_folder.keep = count(job_folder.keep)
else:
    Heartbeat.beat = count(Heartbeat.beat)
program.main()
"""


def dying(kind: str, left: int, moment: str = "before") -> tuple[str, ...]:
    return (sys.executable, "-c", DYING, kind, str(left), moment)


def long_film(folder: Path) -> Path:
    times = [Fraction(number * 1001, 30_000) for number in range(100)]
    return film(folder / "film.mkv", times_s=times, sound="mp2", key_every=40)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_film(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def unbroken(source: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    maker = Maker(tmp_path_factory.mktemp("unbroken"))
    return made(maker(source)).file.read_bytes()


@pytest.mark.parametrize(
    ("left", "moment"),
    [
        *share([(left, "before") for left in range(1, 14)], 3),
        *share([(5, "after"), (2, "after")], 2),
    ],
)
def test_killed_at_any_file_it_goes_on_and_ends_at_the_same_copy(
    make: Maker, source: Path, unbroken: bytes, left: int, moment: str
) -> None:
    found = make(source, command=dying("file", left, moment))
    assert isinstance(found, FinishedCopy) or "killed" in found.reason

    assert made(make(source)).file.read_bytes() == unbroken


@pytest.mark.parametrize("left", share([1, 2, 30, 90, 220, 250, 300, 340, 420, 480], 3))
def test_killed_amid_its_work_it_goes_on_and_ends_at_the_same_copy(
    make: Maker, source: Path, unbroken: bytes, left: int
) -> None:
    found = make(source, command=dying("beat", left))
    assert isinstance(found, FinishedCopy) or "killed" in found.reason

    assert made(make(source)).file.read_bytes() == unbroken


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_film_that_calls_every_frame_a_key_frame_is_gone_on_with_all_the_same(
    make: Maker, tmp_path: Path, codec: str
) -> None:
    source = film(tmp_path / "film.mp4", codec=codec, key_every=1000, pixels="yuv444p")
    source.write_bytes(source.read_bytes().replace(b"stss", b"free"))
    unbroken = made(make(source)).file.read_bytes()
    make.renditions().discard("7")

    make(source, command=dying("file", 4))
    assert (make.scratch / "7" / "000000.json").exists()

    assert made(make(source)).file.read_bytes() == unbroken


def test_killed_again_and_again_it_gets_further_every_time(
    make: Maker, source: Path, unbroken: bytes
) -> None:
    counts = []
    outcome: FinishedCopy | Rejected = Rejected(PLACE, "")
    while isinstance(outcome, Rejected):
        outcome = make(source, command=dying("file", 3))
        counts.append(len(list((make.scratch / "7").iterdir())))
        assert len(counts) < 10

    assert outcome.file.read_bytes() == unbroken
    assert len(counts) > 1


@pytest.mark.usefixtures("real_programs")
def test_a_program_that_somebody_killed_is_started_again(
    make: Maker, source: Path, unbroken: bytes
) -> None:
    with make.renditions() as renditions:
        renditions.start(asked(source))
        assert isinstance(renditions.poll(LIMIT_S), RenditionProgress)
        (worker,) = children()
        os.kill(worker, signal.SIGTERM)

        copy = made(make.wait(renditions))

    assert copy.file.read_bytes() == unbroken


def test_what_was_cancelled_goes_on_where_it_was(
    make: Maker, source: Path, unbroken: bytes
) -> None:
    request = asked(source)
    with make.renditions(command=dying("file", 100)) as renditions:
        renditions.start(request)
        while not (make.scratch / "7" / "000001.json").exists():
            assert not isinstance(renditions.poll(0.01), Rejected)
        renditions.cancel()
        assert not renditions.is_busy
        assert renditions.jobs() == ["7"]
        kept = (make.scratch / "7" / "000000.mp4").stat().st_mtime_ns

        renditions.start(request)
        while renditions.is_busy and not isinstance(renditions.poll(0.01), FinishedCopy):
            if (make.scratch / "7" / "000000.mp4").exists():
                assert (make.scratch / "7" / "000000.mp4").stat().st_mtime_ns == kept

    assert (make.scratch / "7" / "result.mp4").read_bytes() == unbroken


def test_a_chunk_that_was_damaged_is_made_again(make: Maker, source: Path, unbroken: bytes) -> None:
    make(source, command=dying("file", 3))
    chunk = make.scratch / "7" / "000000.mp4"
    chunk.write_bytes(chunk.read_bytes()[:-100])

    assert made(make(source)).file.read_bytes() == unbroken


def test_whatever_lies_in_the_folder_of_a_job_it_ends(
    make: Maker, source: Path, unbroken: bytes
) -> None:
    folder = make.scratch / "7"
    for name in ("plan.json", "survey.json", "000000.json"):
        make(source, command=dying("file", 4))
        assert (folder / name).exists()
        (folder / name).write_bytes(b"{nonsense")

        assert made(make(source)).file.read_bytes() == unbroken
        make.renditions().discard("7")


# -- the parent's side


def test_what_is_made_is_told_with_the_digest_that_names_files(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264")

    copy = made(make(source, REMUX))

    content = copy.file.read_bytes()
    assert copy.digest == Output.digest_name([content])
    assert copy.digest == sha256(sha256(content).digest()).hexdigest()[:12]
    assert copy.place == PLACE


def test_progress_is_told_in_seconds_of_the_film(make: Maker, tmp_path: Path) -> None:
    times = [Fraction(number, 25) for number in range(400)]
    source = film(tmp_path / "film.mp4", times_s=times, sound="mp2")

    made(make(source))

    assert make.progress
    assert all(0 <= told.done_s <= 16.1 for told in make.progress)
    assert all(told.total_s is None or abs(told.total_s - 16) < 0.2 for told in make.progress)


def test_a_copy_that_was_made_and_not_taken_is_told_again_at_once(
    make: Maker, tmp_path: Path
) -> None:
    source = film(tmp_path / "film.mp4")
    first = made(make(source))
    before = first.file.stat()

    again = made(make(source))

    assert again == first
    assert first.file.stat().st_mtime_ns == before.st_mtime_ns


def test_a_copy_that_was_taken_leaves_nothing_behind(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4")
    with make.renditions() as renditions:
        renditions.start(asked(source))
        copy = made(make.wait(renditions))
        copy.file.rename(tmp_path / "taken.mp4")

    assert renditions.jobs() == []


def test_a_file_that_changed_is_is_rebuilt(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4")
    made(make(source))
    film(source, times_s=[Fraction(number, 25) for number in range(30)])

    assert len(shown(made(make(source)).file).frames) == 30


def test_a_full_disk_is_told_before_anything_is_written(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4")

    outcome = make(source, expected_bytes=1 << 60)

    assert isinstance(outcome, DiskFull)
    assert re.fullmatch(
        r"a copy temporarily needs some [\d.,]+ TB, and .* of the disk may be used: make room",
        outcome.reason,
    )


def test_what_must_stay_free_stays_free(make: Maker, tmp_path: Path) -> None:
    found = make(film(tmp_path / "film.mp4"), reserve_bytes=1 << 60)

    assert isinstance(found, DiskFull)


def test_a_copy_that_grows_beyond_its_bound_is_stopped(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mov", codec="mjpeg")

    for made_by, bound in ((TRANSCODE, 1000), (TRANSCODE, 4500)):
        found = make(source, made_by, bound_bytes=bound)

        assert reason(found) == "its copy would be larger than 0 MB"
        assert not (make.scratch / "7").exists()


def test_only_one_copy_is_made_at_a_time(make: Maker, tmp_path: Path) -> None:
    request = RenditionRequest(
        PLACE, str(film(tmp_path / "a.mp4")), TRANSCODE, MP4, is_hls=False, job="7"
    )
    with make.renditions() as renditions:
        renditions.start(request)

        with pytest.raises(RuntimeError, match="one copy"):
            renditions.start(request)


def test_nothing_to_poll_for_is_nothing_new(make: Maker) -> None:
    with make.renditions() as renditions:
        assert renditions.poll(0) is None
        assert not renditions.is_busy
        assert renditions.jobs() == []


@pytest.mark.usefixtures("real_programs")
def test_the_program_is_held_in_memory_cores_files_and_rank(make: Maker, tmp_path: Path) -> None:
    times = [Fraction(number, 25) for number in range(2000)]
    source = film(tmp_path / "film.mp4", times_s=times)
    with make.renditions(nice=7, memory_mb=512) as renditions:
        renditions.start(asked(source), 1 << 20)
        assert isinstance(renditions.poll(LIMIT_S), RenditionProgress)  # it runs
        assert isinstance(renditions.poll(LIMIT_S), RenditionProgress)  # it works
        (worker,) = children()
        limits = Path(f"/proc/{worker}/limits").read_text()
        environment = Path(f"/proc/{worker}/environ").read_bytes()
        rank = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[16])

    soft = {line[:25].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert soft["Max core file size"] == "0"
    assert (64 << 20) < int(soft["Max file size"]) < (80 << 20)
    assert int(soft["Max address space"]) < 3 << 30
    assert rank == 7
    assert b"HOME=" not in environment


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    found = {int(pid) for task in tasks for pid in task.read_text().split()}
    return {pid for pid in found if b"rendition" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def is_gone(pid: int) -> bool:
    """Wait until a process has ended, and tell whether it did."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    ended = bool(poll.poll(10_000))
    os.close(watched)
    return ended


# -- programs that do as they please


def rogue(deed: str) -> tuple[str, ...]:
    """Return a program that reads its request, says that it runs, and does a deed."""
    program = (
        "import os, signal, sys, time\n"
        "from generator.core.media.renditions import *\n"
        "request = unpack_rendition_request(sys.stdin.buffer.readline())\n"
        "def say(told): os.write(1, pack_line(told))\n"
        "say(HeartbeatMessage(0, RenditionProgress(0.0, None, 0)))\n" + deed
    )
    return (sys.executable, "-c", program)


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the encoder crashed (signal 11)"),
        ("os._exit(3)", "the encoder stopped (exit code 3)"),
        ("os.write(1, b'Traceback\\n')", "the encoder sent an invalid answer: not JSON"),
        ("os.write(1, b'x' * 20000)", "the encoder sent an invalid answer: a line is too long"),
        ("say(FinalMessage('made'))", "the encoder sent an invalid answer: its result is missing"),
        ("say(FinalMessage('refused', 'too dark'))", "too dark"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "the encoder was killed repeatedly (signal 9)",
        ),
    ],
)
def test_a_program_that_ends_badly_costs_its_file_alone(
    make: Maker, tmp_path: Path, deed: str, why: str
) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264")

    assert reason(make(source, command=rogue(deed))) == why
    assert made(make(source, REMUX)).made_by == REMUX


def test_a_lie_about_what_was_made_is_seen_through(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264")
    lie = (
        "import json\nos.chdir(json.loads(sys.argv[-1])['folder'])\n"
        "made = FinishedRendition('0' * 12, 7, '', 'remux')\n"
        "open('made.json', 'wb').write(pack_finished(made))\n"
        "os.symlink('/etc/passwd', 'result.mp4')\nsay(FinalMessage('made'))"
    )

    told = reason(make(source, command=rogue(lie)))

    assert told == "the encoder sent an invalid answer: its result is not the file that is there"


def test_a_full_disk_that_the_program_meets_is_no_fault_of_the_file(
    make: Maker, tmp_path: Path
) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264")

    outcome = make(source, command=rogue("say(FinalMessage('full', 'the disk is full'))"))

    assert isinstance(outcome, DiskFull)
    assert outcome.reason == "the disk is full"
    assert not (make.scratch / "7").exists()


@pytest.mark.usefixtures("real_programs")
def test_a_program_that_hangs_is_ended_with_all_it_started(make: Maker, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    deed = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        f"open({str(notes)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "signal.pause()"
    )

    found = make(film(tmp_path / "film.mp4"), command=rogue(deed), stall_limit_s=0.4)

    assert reason(found) == "did nothing for 0.4 s"
    assert all(is_gone(int(pid)) for pid in notes.read_text().split())


def test_a_program_that_says_the_same_for_ever_hangs(make: Maker, tmp_path: Path) -> None:
    deed = "while True: say(HeartbeatMessage(5, RenditionProgress(1.0, 9.0, 3)))"

    found = make(film(tmp_path / "film.mp4"), command=rogue(deed), stall_limit_s=1.0)

    assert reason(found) == "did nothing for 1 s"


def test_a_poll_waits_no_longer_than_it_is_told_to(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4")
    with make.renditions(command=rogue("signal.pause()")) as renditions:
        renditions.start(asked(source))
        assert isinstance(renditions.poll(LIMIT_S), RenditionProgress)

        assert renditions.poll(0) is None
        assert renditions.poll(0.05) is None


@pytest.mark.usefixtures("real_programs")
def test_a_program_that_cannot_be_started_is_nobodys_fault_but_said(
    make: Maker, tmp_path: Path
) -> None:
    source = film(tmp_path / "film.mp4")
    for command in (("/no/such/program",), (sys.executable, "-c", "raise SystemExit(3)")):
        with pytest.raises(RenditionError, match="cannot start the program"):
            make(source, command=command)


@pytest.mark.usefixtures("real_programs")
def test_nothing_is_left_after_close(make: Maker, tmp_path: Path) -> None:
    times = [Fraction(number, 25) for number in range(2000)]
    source = film(tmp_path / "film.mp4", times_s=times)
    with make.renditions() as renditions:
        renditions.start(asked(source))
        assert isinstance(renditions.poll(LIMIT_S), RenditionProgress)
        (worker,) = children()

    assert is_gone(worker)
    assert not renditions.is_busy


def test_the_program_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    times = [Fraction(number, 25) for number in range(2000)]
    source = film(tmp_path / "film.mp4", times_s=times)
    program = (
        "import os, pathlib, sys\n"
        "from generator.adapters.media.rendition_runner import RenditionRunner\n"
        "from generator.core.media.renditions import RenditionRequest\n"
        "from generator.core.model import Place\n"
        "renditions = RenditionRunner(pathlib.Path(sys.argv[2]), reserve_bytes=0)\n"
        "renditions.start(RenditionRequest(Place('', ''), sys.argv[1], 'transcode', 'mp4', False,"
        " '7'))\n"
        "while not renditions.poll(60): pass\n"
        "children = pathlib.Path(f'/proc/self/task/{os.getpid()}/children')\n"
        "print(children.read_text(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(source), str(tmp_path / "scratch")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        (orphan,) = [int(pid) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)

    assert is_gone(orphan)
