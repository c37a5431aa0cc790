"""Reading from buckets: listings as walks, fingerprints by range, films that FFmpeg never opens."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

import av
import pytest
from av.video.frame import VideoFrame
from buckets import REGION, Store, store_before
from clips import make_clip
from cloud import aws_server
from effort import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from generator.adapters.fingerprint import SAMPLE_BYTES, fingerprint, fingerprint_of
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.media_worker import http_range
from generator.adapters.media_worker.http_range import HttpRangeFile
from generator.adapters.s3.reader import S3Reader
from generator.adapters.scanner import scan_buckets, walk_buckets
from generator.adapters.settings import Settings, load
from generator.core.errors import SettingsError
from generator.core.library.bucket_listing import (
    ForbiddenError,
    ListingPart,
    ObjectChangedError,
    StoreUnavailableError,
)
from generator.core.library.bucket_roots import BucketRoot, is_path
from generator.core.library.file_filter import compile_filter
from generator.core.media.worker_protocol import ProbeRequest
from generator.core.model import Place, ProbeResult, Rejected

FILMS = "films"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with aws_server() as aws, store_before(aws) as made:
        made.create(FILMS)
        yield made


@pytest.fixture(autouse=True)
def _as_it_was(store: Store) -> Iterator[None]:
    store.take()
    yield
    store.refuse, store.before = lambda *_: None, lambda *_: None


@pytest.fixture
def remote(store: Store) -> S3Reader:
    return S3Reader(FILMS, store.address, REGION)


def film(file: Path, frames: int = 40, **options: str) -> Path:
    """Write a film of noise, 1.6 MB a frame, and its key frames a second apart."""
    chance = Random(1)
    with av.open(file, "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.bit_rate, stream.codec_context.gop_size = 200_000_000, 10
        stream.codec_context.options = {"qmin": "2", "qmax": "3"}
        for _ in range(frames):
            frame = VideoFrame(1280, 720, "yuv420p")
            for plane in frame.planes:
                plane.update(chance.randbytes(plane.line_size * plane.height))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


# -- listings


class Keys:
    """A bucket of made-up keys, listed in parts of two as S3 would."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = sorted(keys)

    def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
        objects, prefixes = [], dict[str, None]()
        for key in (one for one in self.keys if one.startswith(front)):
            below, slash, _ = key.removeprefix(front).partition("/")
            if slash and not deep:
                prefixes[front + below + slash] = None
            else:
                objects.append((key, len(key), 5))
        if most:
            yield ListingPart(tuple(objects[:most]))
            return
        for at in range(0, len(objects), 2):
            yield ListingPart(tuple(objects[at : at + 2]))
        yield ListingPart((), tuple(prefixes))


PARTS = st.sampled_from(
    ["a", "b c", "é", "", ".", "..", ".hid", "a.mp4", "new\nline", "100%", "x\0y"]
)
NAMES = st.sampled_from(
    ["a.mp4", "b+ c.MKV", "a.srt", "a.txt", ".a.mp4", "", "ö.webm", "a.mp4.part"]
)
SOME_KEYS = st.sets(
    st.builds(
        lambda front, parts, name: "/".join([front, *parts, name]),
        st.sampled_from(["lib", "libs", "lib/x"]), st.lists(PARTS, max_size=3), NAMES,
    ),
    max_size=12,
)  # fmt: skip


@given(keys=SOME_KEYS)
@example({"lib//a.mp4", "lib/../a.mp4", "lib/a//a.mp4", "lib/"})
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_walk_finds_each_video_and_nothing_that_is_no_path(keys: set[str]) -> None:
    roots, intake = {"": BucketRoot("b", "lib")}, compile_filter()
    walk = walk_buckets(roots, {"": Keys(keys)}, intake)
    below = {key.removeprefix("lib/") for key in keys if key.startswith("lib/")}
    assert set(walk.files[""]) == {
        one for one in below if is_path(one) and intake.takes_file_at(one)
    }
    for one in walk.unwanted:
        assert not is_path(one.place.path)
    for path in (*walk.files[""], *walk.sidecars[""]):
        assert ".." not in path.split("/")
    assert (walk.roots[""].entries == 0) == (not below - {""})


@given(keys=SOME_KEYS)
def test_looks_into_every_folder_find_what_a_walk_finds(keys: set[str]) -> None:
    roots, listers, intake = {"": BucketRoot("b", "lib")}, {"": Keys(keys)}, compile_filter()
    walk = walk_buckets(roots, listers, intake)
    folders = {path.rpartition("/")[0] for path in (*walk.files[""], *walk.sidecars[""])}
    places = [Place("", folder) for folder in folders | {"", "never was"}]
    look = scan_buckets(roots, listers, intake, folders=places)
    assert look.files == walk.files
    assert look.sidecars == walk.sidecars
    assert Place("", "never was") in look.gone
    assert look.covers(Place("", "never was/a.mp4"))
    for path in walk.files[""]:
        assert look.covers(Place("", path))
    tree = scan_buckets(roots, listers, intake, trees=[Place("", "")])
    assert tree.files == walk.files


def test_patterns_of_the_user_hold_in_a_bucket() -> None:
    keys = Keys({"lib/raw/a.mp4", "lib/a.mp4", "lib/x/sample.mp4", "lib/x/b.mp4"})
    intake = compile_filter(["raw/", "sample*"])
    walk = walk_buckets({"": BucketRoot("b", "lib")}, {"": keys}, intake)
    assert set(walk.files[""]) == {"a.mp4", "x/b.mp4"}


def test_a_look_leaves_the_roots_alone_that_nobody_spoke_of() -> None:
    class Silent(Keys):
        @override
        def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
            raise AssertionError(f"nobody asked for {front}, {deep}, {most}")

    roots = {"a": BucketRoot("b", "a"), "c": BucketRoot("b", "c")}
    look = scan_buckets(
        roots, {"a": Keys({"a/x.mp4"}), "c": Silent(set())}, compile_filter(),
        folders=[Place("a", ""), Place("gone root", "")],
    )  # fmt: skip
    assert set(look.files["a"]) == {"x.mp4"}
    assert set(look.roots) == {"a", "c"}
    assert look.roots["c"].entries
    assert not look.covers(Place("c", "y.mp4"))


def test_of_a_listing_that_breaks_off_nothing_is_believed() -> None:
    class Broken(Keys):
        @override
        def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
            yield next(super().listed(front, deep=deep, most=most))
            raise StoreUnavailableError(5, "the store closed the connection early")

    keys = Broken({"lib/a.mp4", "lib/a.srt", "lib//b.mp4", "lib/c.mp4"})
    roots = {"": BucketRoot("b", "lib")}
    for walk in (
        walk_buckets(roots, {"": keys}, compile_filter()),
        scan_buckets(roots, {"": keys}, compile_filter(), folders=[Place("", "")]),
    ):
        assert walk.roots[""].trouble == "cannot be read: the store closed the connection early"
        assert (walk.files, walk.sidecars, walk.unwanted) == ({"": {}}, {"": {}}, ())
        assert not walk.covers(Place("", "a.mp4"))


# -- fingerprints


@pytest.mark.parametrize(
    "size", [0, 1, SAMPLE_BYTES, 3 * SAMPLE_BYTES, 3 * SAMPLE_BYTES + 1, 10 * SAMPLE_BYTES + 7]
)
def test_an_object_has_the_fingerprint_of_the_same_file(
    size: int, store: Store, remote: S3Reader, tmp_path: Path
) -> None:
    content = Random(size).randbytes(size)
    file = tmp_path / "a"
    file.write_bytes(content)
    store.put(FILMS, "f/a b+c.mp4", content)
    reader = remote.reader("f/a b+c.mp4", size)
    assert fingerprint_of(size, reader.read) == fingerprint(str(file))
    asked = store.take()
    assert len(asked) <= 3
    assert sum(one.size for one in asked) <= 3 * SAMPLE_BYTES


def test_an_object_that_is_replaced_between_two_samples_has_no_fingerprint(
    store: Store, remote: S3Reader
) -> None:
    size = 5 * SAMPLE_BYTES
    store.put(FILMS, "f/b.mp4", b"a" * size)

    def replace(_: str, span: str) -> None:
        if not span.startswith("bytes=0-"):
            store.put(FILMS, "f/b.mp4", b"b" * size)

    store.before = replace
    with pytest.raises(ObjectChangedError, match="was replaced or removed"):
        fingerprint_of(size, remote.reader("f/b.mp4", size).read)


def test_an_object_of_another_size_than_was_listed_has_no_fingerprint(
    store: Store, remote: S3Reader
) -> None:
    store.put(FILMS, "f/c.mp4", b"abc")
    with pytest.raises(ObjectChangedError):
        remote.reader("f/c.mp4", 2).read(0, 2)
    with pytest.raises(ObjectChangedError):
        remote.reader("f/c.mp4", 9).read(0, 9)
    with pytest.raises(ObjectChangedError):
        remote.reader("f/never.mp4", 9).read(0, 9)


# -- files by range


SIZE = 3 * http_range.BLOCK_BYTES + 1000
STEPS = st.lists(
    st.tuples(st.integers(0, SIZE + 10), st.integers(-1, 2 * http_range.BLOCK_BYTES)), max_size=5
)


@given(steps=STEPS)
@settings(
    max_examples=examples(6, thorough=15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_file_by_range_reads_as_one_on_a_disk(
    steps: list[tuple[int, int]], store: Store, remote: S3Reader
) -> None:
    content = Random(3).randbytes(SIZE)
    if not any(one.key == "r/a" for one in store.asked):
        store.put(FILMS, "r/a", content)
    disk, file = BytesIO(content), HttpRangeFile(remote.url("r/a"))
    try:
        for offset, size in steps:
            assert file.seek(offset) == disk.seek(offset)
            assert file.read(size) == disk.read(size)
            assert file.tell() == disk.tell()
            assert file.read_at(offset, 10) == content[offset : offset + 10]
            assert file.seek(-1, os.SEEK_END) == SIZE - 1
            assert file.read() == content[-1:]
    finally:
        file.close()


def test_what_is_read_from_begin_to_end_takes_few_requests_and_is_not_kept(
    store: Store, remote: S3Reader
) -> None:
    size = 40 << 20
    store.put(FILMS, "r/long", bytes(size))
    file = HttpRangeFile(remote.url("r/long"))
    while file.read(1 << 20):
        kept = file.kept_bytes
        assert kept <= http_range.MAX_KEPT * http_range.BLOCK_BYTES
    assert file.requests <= 4 + size // (http_range.BLOCK_BYTES * http_range.MAX_BLOCKS_TOGETHER)
    assert file.fetched_bytes == size
    file.close()


def test_a_file_that_is_replaced_while_it_is_read_is_noticed(
    store: Store, remote: S3Reader
) -> None:
    store.put(FILMS, "r/b", bytes(1 << 20))
    file = HttpRangeFile(remote.url("r/b"))
    store.put(FILMS, "r/b", b"\1" * (1 << 20))
    assert file.read(10) == bytes(10)  # of what is there already
    file.seek(1 << 19)
    assert file.read(10) == b""
    with pytest.raises(ObjectChangedError):
        file.raise_failure()
    file.close()


def test_a_store_that_ignores_what_was_asked_for_is_not_believed(
    store: Store, remote: S3Reader
) -> None:
    store.put(FILMS, "r/c", bytes(1 << 20))
    file = HttpRangeFile(remote.url("r/c"))
    file._etag = ""  # noqa: SLF001 (as if the store knew no If-Match)
    file.seek(1 << 19)
    store.put(FILMS, "r/c", bytes(1 << 18))  # shorter, and no If-Match tells
    assert file.read(10) == b""
    with pytest.raises(ObjectChangedError):
        file.raise_failure()
    file.close()


def test_a_busy_store_is_asked_again(store: Store, remote: S3Reader) -> None:
    store.put(FILMS, "r/d", b"abc")
    refusals = [(503, "SlowDown"), (500, "InternalError")]
    store.refuse = lambda *_: refusals.pop() if refusals else None
    file = HttpRangeFile(remote.url("r/d"))
    assert file.read() == b"abc"
    assert file.requests == 3
    file.close()


@pytest.mark.parametrize(
    ("refusal", "kind", "reason"),
    [
        ((403, "InvalidObjectState"), ForbiddenError, "is archived"),
        ((403, "AccessDenied"), ForbiddenError, "may not be read"),
        ((400, "ExpiredToken"), StoreUnavailableError, "expired too soon"),
        ((404, "NoSuchKey"), ObjectChangedError, "replaced or removed"),
        ((412, "PreconditionFailed"), ObjectChangedError, "replaced or removed"),
        ((503, "SlowDown"), StoreUnavailableError, "the store answers 503"),
        ((301, "PermanentRedirect"), ForbiddenError, "the store answers 301"),
        ((200, "All"), ForbiddenError, "sends all of it"),
    ],
)
def test_each_refusal_has_its_meaning(
    refusal: tuple[int, str], kind: type[OSError], reason: str, store: Store, remote: S3Reader
) -> None:
    store.refuse = lambda *_: refusal
    with pytest.raises(kind, match=reason):
        HttpRangeFile(remote.url("r/e"))


def test_a_store_that_is_away_is_told() -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be fetched"):
        HttpRangeFile("http://127.0.0.1:9/films/a.mp4")


# -- films


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=1) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("moov at the end.mp4", {}),
        ("moov in front.mp4", {"movflags": "+faststart"}),
        ("clusters.mkv", {}),
        ("index at the end.avi", {}),
    ],
)
def test_the_poster_of_a_large_film_takes_a_small_part_of_it(
    name: str, options: dict[str, str], store: Store, remote: S3Reader,
    workers: MediaWorkers, tmp_path: Path,
) -> None:  # fmt: skip
    content = film(tmp_path / name, **options).read_bytes()
    assert len(content) > 60_000_000
    store.put(FILMS, "m/" + name, content)
    requests = [ProbeRequest(Place("", name), remote.url("m/" + name))]
    (by_range,) = workers.answer(requests)
    asked = store.take()
    fetched = sum(one.size for one in asked)
    print(name, len(content), len(asked), fetched)  # noqa: T201 (a figure for the docs)
    assert fetched < len(content) / 10
    assert len(asked) < 20
    (on_disk,) = workers.answer([ProbeRequest(Place("", name), str(tmp_path / name))])
    assert isinstance(by_range, ProbeResult)
    assert by_range == on_disk


def test_a_film_that_is_replaced_while_it_is_looked_into_is_put_off(
    store: Store, remote: S3Reader, workers: MediaWorkers, tmp_path: Path
) -> None:
    content = film(tmp_path / "a.mp4", 8).read_bytes()
    store.put(FILMS, "m/a.mp4", content)

    def replace(_: str, span: str) -> None:
        if not span.startswith("bytes=0-"):
            store.put(FILMS, "m/a.mp4", content[:-1] + b"!")

    store.before = replace
    (outcome,) = workers.answer([ProbeRequest(Place("", "a.mp4"), remote.url("m/a.mp4"))])
    assert isinstance(outcome, Rejected)
    assert outcome.passing
    assert "was replaced" in outcome.reason


def test_a_store_that_fails_in_the_middle_of_a_film_is_not_the_films_fault(
    store: Store, remote: S3Reader, workers: MediaWorkers, tmp_path: Path
) -> None:
    content = film(tmp_path / "a.mkv", 8).read_bytes()
    store.put(FILMS, "m/a.mkv", content)
    for refused_after in range(1, 5):
        store.take()
        store.refuse = lambda *_, after=refused_after: (
            (503, "SlowDown") if len(store.asked) >= after else None
        )
        (outcome,) = workers.answer([ProbeRequest(Place("", "a.mkv"), remote.url("m/a.mkv"))])
        if any(one.status == 503 for one in store.take()):
            assert isinstance(outcome, Rejected)
            assert outcome.passing
        else:
            assert isinstance(outcome, ProbeResult)


def test_ffmpeg_opens_nothing_by_itself_whatever_a_file_says(
    store: Store, remote: S3Reader, workers: MediaWorkers, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "secret.mp4")
    store.put(FILMS, "m/secret.ts", clip.read_bytes())
    inner = remote.url("m/secret.ts")
    lists = {
        "list.mp4": f"#EXTM3U\n#EXTINF:1,\n{inner}\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{clip}'\n",
        "dash.mp4": f"<?xml version='1.0'?><MPD><BaseURL>{inner}</BaseURL></MPD>",
    }
    for name, text in lists.items():
        store.put(FILMS, "m/" + name, text.encode())
        store.take()
        (found,) = workers.answer([ProbeRequest(Place("", name), remote.url("m/" + name))])
        assert isinstance(found, Rejected)
        assert {one.key for one in store.take()} == {"m/" + name}


# -- settings


def test_roots_in_folders_and_buckets_stand_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reelshelf.toml").write_text(
        'library = ["films", "s3://bucket/media/shows/"]\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    read = load(None, {})
    assert read.roots == {"films": tmp_path / "films"}
    assert read.buckets == {"shows": BucketRoot("bucket", "media/shows")}
    monkeypatch.setenv("REELSHELF_LIBRARY", "/srv/films:s3://bucket/shows:/srv/clips")
    assert load(None, {}).library == (
        Path("/srv/films"), BucketRoot("bucket", "shows"), Path("/srv/clips"),
    )  # fmt: skip
    alone = load(None, {"library": ("s3://bucket",)})
    assert (alone.roots, alone.buckets) == ({}, {"": BucketRoot("bucket")})
    (tmp_path / "reelshelf.toml").write_text('library = "s3://one"\n', encoding="utf-8")
    monkeypatch.delenv("REELSHELF_LIBRARY")
    assert load(None, {}).buckets == {"": BucketRoot("one")}


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        (("s3://films/x", "s3://films/x/y"), "lies within"),
        (("s3://films/x", "s3://shows/x"), "the same name"),
        (("s3://films/x", "/srv/x"), "the same name"),
        (("s3://B d",), "is like s3://bucket"),
    ],
)
def test_roots_that_cannot_be_told_apart_are_mistakes(
    library: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(None, {"library": library})


def test_a_library_needs_no_boto3_unless_it_is_in_a_bucket() -> None:
    assert Settings(library=(Path("/srv/films"),)).buckets == {}
    assert S3Reader(FILMS).reader("a", 1) is not None
