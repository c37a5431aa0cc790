import os
import socket
from hashlib import blake2b
from pathlib import Path

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.adapters.fingerprint import SAMPLE_BYTES, fingerprint

BIG = 10 * SAMPLE_BYTES


def filled(path: Path, size_bytes: int) -> str:
    path.write_bytes(bytes(at * 31 % 251 for at in range(size_bytes)))
    return os.fspath(path)


def changed(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        before = file.read(1)
        file.seek(at)
        file.write(bytes([before[0] ^ 1]))


def test_it_is_what_the_docs_say(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    content = os.urandom(BIG + 1)
    path.write_bytes(content)
    middle = (BIG + 1 - SAMPLE_BYTES) // 2

    expected = blake2b(
        b"%d\n" % len(content)
        + content[:SAMPLE_BYTES]
        + content[middle : middle + SAMPLE_BYTES]
        + content[-SAMPLE_BYTES:],
        digest_size=16,
    ).hexdigest()

    assert fingerprint(os.fspath(path)) == expected


@pytest.mark.parametrize("size_bytes", [0, 1, SAMPLE_BYTES, 3 * SAMPLE_BYTES])
def test_small_files_are_read_whole(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "film.mp4"

    got = fingerprint(filled(path, size_bytes))

    whole = b"%d\n" % size_bytes + path.read_bytes()
    assert got == blake2b(whole, digest_size=16).hexdigest()


@settings(deadline=None, max_examples=examples(12, thorough=30))
@given(at=st.integers(0, 3 * SAMPLE_BYTES - 1))
def test_every_byte_of_a_small_file_counts(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    path = tmp_path_factory.mktemp("small") / "film.mp4"
    before = fingerprint(filled(path, 3 * SAMPLE_BYTES))

    changed(path, at)

    assert fingerprint(os.fspath(path)) != before


@pytest.mark.parametrize(
    "at", [0, SAMPLE_BYTES - 1, BIG // 2, BIG - SAMPLE_BYTES, BIG - 1], ids=str
)
def test_head_middle_and_tail_of_a_big_file_count(tmp_path: Path, at: int) -> None:
    path = tmp_path / "film.mp4"
    before = fingerprint(filled(path, BIG))

    changed(path, at)

    assert fingerprint(os.fspath(path)) != before


def test_what_lies_between_the_samples_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    before = fingerprint(filled(path, BIG))

    changed(path, SAMPLE_BYTES)

    assert fingerprint(os.fspath(path)) == before


def test_the_size_counts_where_the_samples_are_the_same(tmp_path: Path) -> None:
    first, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    first.write_bytes(b"")
    os.truncate(first, BIG)
    other.write_bytes(b"")
    os.truncate(other, BIG + 1)

    assert fingerprint(os.fspath(first)) != fingerprint(os.fspath(other))


def test_a_name_and_a_time_do_not_count(tmp_path: Path) -> None:
    before = fingerprint(filled(tmp_path / "film.mp4", BIG))
    moved = (tmp_path / "film.mp4").rename(tmp_path / "latin \udce9\n.mkv")
    os.utime(moved, (0, 0))

    assert fingerprint(os.fspath(moved)) == before


def test_terabytes_cost_no_more_than_three_samples(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.touch()
    os.truncate(path, 1 << 40)

    assert len(fingerprint(os.fspath(path))) == 32


def test_a_link_is_read_only_when_links_are_followed(tmp_path: Path) -> None:
    real = filled(tmp_path / "film.mp4", 10)
    link = tmp_path / "link.mp4"
    link.symlink_to("film.mp4")

    assert fingerprint(os.fspath(link), follow_links=True) == fingerprint(real)
    with pytest.raises(OSError, match="symbolic links"):
        fingerprint(os.fspath(link))


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()

    for name in ("pipe.mp4", "folder.mp4"):
        with pytest.raises(OSError, match="is not a regular file"):
            fingerprint(os.fspath(tmp_path / name))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(tmp_path / "s.mp4"))
        with pytest.raises(OSError, match="No such device"):
            fingerprint(os.fspath(tmp_path / "s.mp4"))
    with pytest.raises(FileNotFoundError):
        fingerprint(os.fspath(tmp_path / "gone.mp4"))


def test_a_file_that_promises_more_than_it_gives_is_refused() -> None:
    """Files of the kernel say a size of one page and hold less, as one that shrinks would."""
    with pytest.raises(OSError, match="became shorter"):
        fingerprint("/sys/devices/system/cpu/online")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    path = filled(tmp_path / "film.mp4", 10)
    before = len(list(Path("/proc/self/fd").iterdir()))

    fingerprint(path)
    with pytest.raises(OSError, match="regular file"):
        fingerprint(os.fspath(tmp_path))

    assert len(list(Path("/proc/self/fd").iterdir())) == before
