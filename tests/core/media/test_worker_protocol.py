"""Parcels: what goes in comes out, however it arrives; what is no parcel is told from one."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.media.worker_protocol import (
    READY,
    ProbeRequest,
    ProtocolError,
    missing,
    pack_answer,
    pack_probe_request,
    unpack_answer,
    unpack_probe_request,
)
from generator.core.model import Place, Probe, ProbeResult, Rejected, Still, Stills

WEBP, JPEG = b"RIFF\x04\0\0\0WEBP", b"\xff\xd8\xff"
texts = st.text(st.characters(exclude_categories=())) | st.binary().map(
    lambda name: name.decode("utf-8", "surrogateescape")
)
places = st.builds(Place, texts, texts)
requests = st.builds(ProbeRequest, places, texts)
sides = st.integers(1, 960)
numbers = st.floats(allow_nan=False, allow_infinity=False)
probes = st.builds(
    Probe,
    texts,
    st.none() | numbers,
    st.none() | sides,
    st.none() | sides,
    st.none() | numbers,
    st.none() | texts,
    st.none() | texts,
    st.none() | st.integers(0, 1 << 40),
)
stills = st.builds(
    Stills,
    st.lists(
        st.builds(Still, sides, sides, st.binary().map(lambda rest: WEBP + rest)),
        min_size=1,
        max_size=3,
    ).map(tuple),
    st.binary().map(lambda rest: JPEG + rest),
    st.binary(min_size=3, max_size=3).map(bytes.hex),
)
answers = st.builds(ProbeResult, places, probes, st.none() | stills, texts) | st.builds(
    Rejected, places, texts, st.booleans()
)
STILLS = Stills((Still(320, 180, WEBP),), JPEG, "00ff00")
SOUND = pack_answer(ProbeResult(Place("", "a.mp4"), Probe("mov", 1.5), STILLS))


def parcel(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack(">4sII", b"reel", len(text), len(body)) + text + body


def tampered(name: str, value: object) -> bytes:
    size = struct.unpack(">4sII", SOUND[:12])[1]
    header = json.loads(SOUND[12 : 12 + size])
    return parcel({**header, name: value}, SOUND[12 + size :])


@given(request=requests)
def test_a_request_comes_out_as_it_went_in(request: ProbeRequest) -> None:
    assert unpack_probe_request(pack_probe_request(request)) == request


@given(answer=answers)
def test_an_answer_comes_out_as_it_went_in(answer: ProbeResult | Rejected) -> None:
    assert unpack_answer(pack_answer(answer)) == answer


@given(answer=answers, pieces=st.lists(st.integers(1, 50), max_size=30))
def test_a_parcel_is_whole_only_when_all_has_arrived(
    answer: ProbeResult | Rejected, pieces: list[int]
) -> None:
    sent, arrived = pack_answer(answer), bytearray()
    for piece in [*pieces, len(sent)]:
        wanted = missing(arrived)
        assert wanted <= len(sent) - len(arrived)
        assert (wanted == 0) == (len(arrived) == len(sent))
        arrived += sent[len(arrived) : len(arrived) + piece]

    assert missing(arrived) == 0


@given(noise=st.binary(min_size=12).filter(lambda noise: noise[:4] != b"reel"))
def test_noise_is_no_parcel(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        missing(noise)


def test_a_parcel_beyond_all_measure_is_refused() -> None:
    with pytest.raises(ProtocolError):
        missing(struct.pack(">4sII", b"reel", 10, 1 << 31))


def test_the_word_that_a_worker_is_ready_is_a_whole_parcel() -> None:
    assert missing(READY) == 0


@given(cut=st.integers(0, len(SOUND) - 1), byte=st.integers(0, 255))
def test_a_damaged_answer_is_an_answer_or_garbled_and_nothing_else(cut: int, byte: int) -> None:
    damaged = SOUND[:cut] + bytes([byte]) + SOUND[cut + 1 :]

    try:
        answer = unpack_answer(damaged)
    except ProtocolError:
        return
    assert isinstance(answer, ProbeResult | Rejected)


@pytest.mark.parametrize(
    "garbled",
    [
        READY,
        SOUND[:-1],
        SOUND + b"x",
        parcel([]),
        parcel("text"),
        parcel({"place": {"root": "", "path": 3}, "refused": ""}),
        tampered("place", None),
        tampered("refused", 3),
        tampered("probe", {}),
        tampered("probe", {"container": "mov", "duration_s": "long"}),
        tampered("probe", {"container": "mov", "duration_s": float("nan")}),
        tampered("probe", {"container": "mov", "fps": 1.25e99}).replace(b"e+99", b"e999"),
        tampered("problem", None),
        tampered("webp", []),
        tampered("webp", [[320, 180]]),
        tampered("webp", [[320, 0, 12]]),
        tampered("webp", [[320, 180, 11]]),
        tampered("webp", [[320, 180, 13]]),
        tampered("color", "red"),
        tampered("color", "url(//x)"),
        parcel("[" * 100_000),
    ],
)
def test_what_a_sound_worker_would_not_say_is_garbled(garbled: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack_answer(garbled)


def test_an_answer_is_no_request() -> None:
    with pytest.raises(ProtocolError):
        unpack_probe_request(SOUND)
