"""Files called .ogg: films among them are taken, sounds are passed over, and opened once."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from clips import make_clip
from coded import coded_clip
from real_library import Library
from sounds import HZ

from generator.adapters.media.worker_pool import MediaWorkers
from generator.core.library.file_filter import compile_filter


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=1) as made:
        yield made


def song(file: Path) -> Path:
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=HZ)
        frame = av.AudioFrame("s16", "stereo", 960)
        frame.sample_rate, frame.pts = HZ, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file


def test_films_are_taken_and_sounds_are_passed_over_quietly(
    tmp_path: Path, workers: MediaWorkers
) -> None:
    library = Library(tmp_path, workers, make_clip(tmp_path / "clip.mp4"))
    coded_clip(tmp_path / "film.ogv", "libvpx", "vorbis").rename(library.library / "film.ogg")
    song(library.library / "song.ogg")
    song(library.library / "no.oga")
    (library.library / "broken.ogg").write_bytes(b"OggS" + bytes(300))
    with library.engine() as engine:
        receipt = library.build(engine)

        assert [video.place.path for video in engine.catalogue.shown()] == ["film.ogg"]
        assert [one.place.path for one in engine.catalogue.problems()] == ["broken.ogg"]
        assert (receipt.found, receipt.refused) == (1, 1)
        (library.library / "song.ogg").chmod(0)  # whoever opened it would say so

        again = library.build(engine)

        assert again.refused == 0
        assert len(engine.catalogue.problems()) == 1
        assert [one.stage for one in engine.catalogue.problems(of_sounds=True)] == [
            "probe",
            "sound",
        ]
        (library.library / "song.ogg").unlink()

        library.build(engine)

        assert len(engine.catalogue.problems(of_sounds=True)) == 1


def test_a_sound_beside_a_film_leaves_it_alone_in_its_folder(
    tmp_path: Path, workers: MediaWorkers
) -> None:
    library = Library(tmp_path, workers, make_clip(tmp_path / "clip.mp4"))
    library.put("Film/film.mp4")
    song(library.library / "Film" / "theme.ogg")
    (library.library / "Film" / "movie.nfo").write_text("<movie><title>Named</title></movie>")

    with library.engine() as engine:
        library.build(engine)

        assert [video.title for video in engine.catalogue.shown()] == ["Named"]


def test_what_is_sound_by_its_ending_is_not_looked_into() -> None:
    intake = compile_filter()

    assert [name for name in ("a.ogg", "a.OGX", "a.oga", "a.opus") if intake.takes_file(name)] == [
        "a.ogg",
        "a.OGX",
    ]
