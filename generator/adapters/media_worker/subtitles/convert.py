"""Reading: a file of subtitles, of whatever kind, becomes WebVTT.

SubRip and WebVTT are taken apart here: pysubs2 leaves out lines that are but a number, takes words
between braces for tags and comments for text, so it reads only what is neither.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice, takewhile

from generator.adapters.media_worker.subtitles.ass import AssScript, markup_of, merge_cues
from generator.adapters.media_worker.subtitles.charset import decode_subtitles
from generator.adapters.media_worker.subtitles.timestamps import TIMINGS, span_s
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.media.subtitle_names import language_in
from generator.core.media.webvtt import Cue, write_cues

MOST_BYTES = 5 << 20
MOST_CUES = 50_000  # ten hours of speech have 15,000

_WITHOUT_CUES = write_cues(())
_SIGNATURE = "WEBVTT"
_SCRIPT = re.compile(
    r"^[ \t]*(?:\[(?:script info|v4\+? styles|events)\]|dialogue:)", re.IGNORECASE | re.MULTILINE
)
_MICRODVD = re.compile(r"\s*\{\d+\}[ \t]*\{\d*\}")
_TTML = re.compile(r"<(?:\w{1,20}:)?tt[\s>]")
_SCRIPTS = ("ass", "ssa")
_PACK = b"\0\0\1\xba"  # MPEG-PS: VobSub
_LOOKED_AT = 10_000  # characters
# A line that was meant to tell times and does not: what stands below it belongs to no time.
_BROKEN = re.compile(r"\s*-?\d[\d:.,]*\s*-->")
_YOUTUBE = re.compile(
    r"^(\d{1,3}:\d\d:\d\d\.\d{1,3}),(\d{1,3}:\d\d:\d\d\.\d{1,3})[ \t]*$", re.MULTILINE | re.ASCII
)
_OVERRIDES = re.compile(r"\{(\\[^{}]*)\}")
_WRITTEN = re.compile(r"\{[^{}]*\}|[^\s{}<>]+")  # overrides, which stay, or words
_PATH = re.compile(r"[\"'(]*(?:[A-Za-z]:\\|\\\\)|\{")  # of a file, in Windows: C:\new
_SPECIAL = re.compile(r"\\[Nnh]")
_SWITCH = re.compile(r"\\([biu])([01])(?!\d)")
_UPPER = re.compile(r"\\an[789]")


def to_webvtt(name: str, content: bytes) -> bytes:
    """Return a file of subtitles as WebVTT.

    What it is is told by what it looks like, and only then by its name: SubRip, WebVTT, SubStation
    Alpha, and with times of their own MicroDVD, YouTube's .sbv and TTML.

    Args:
        name: of the file, without its folder.
        content: any bytes.

    Raises:
        UnfitError: it is too large, no text, or holds no subtitles; nothing else is raised.
    """
    if len(content) > MOST_BYTES:
        raise UnusableFileError(f"is larger than {MOST_BYTES >> 20} MB, and is not read")
    if content.startswith(_PACK):
        raise UnusableFileError("holds subtitles as pictures (VobSub), which browsers cannot show")
    text = decode_subtitles(content, language_in(name))
    return encode_webvtt(_reader(name.rpartition(".")[2].lower(), text)(text))


def encode_webvtt(cues: Iterator[Cue]) -> bytes:
    """Return cues as WebVTT.

    Raises:
        UnfitError: there are none to be seen, or too many.
    """
    taken = list(islice(cues, MOST_CUES + 1))
    if len(taken) > MOST_CUES:
        raise UnusableFileError(f"holds more than {MOST_CUES:,} subtitles, more than browsers bear")
    content = write_cues(taken)
    if content == _WITHOUT_CUES:
        raise UnusableFileError("holds no subtitles that can be read")
    if len(content) > MOST_BYTES * 2:
        raise UnusableFileError(f"would be larger than {MOST_BYTES >> 19} MB as WebVTT")
    return content


def _reader(suffix: str, text: str) -> Callable[[str], Iterator[Cue]]:
    """Return what reads a text of this kind."""
    start = text[:_LOOKED_AT]
    if start.lstrip().startswith(_SIGNATURE):
        return _webvtt
    if _SCRIPT.search(start) and (suffix in _SCRIPTS or "-->" not in start):
        return _substation
    if start.lstrip().startswith("<") and _TTML.search(start):
        return _ttml
    if _MICRODVD.match(start):
        return _microdvd
    return _webvtt if suffix == "vtt" else subrip


def subrip(text: str) -> Iterator[Cue]:
    """Yield the cues of SubRip; empty lines within a text do not end it, as in most players."""
    text = _YOUTUBE.sub(r"\1 --> \2", text)
    for timings, lines in _timed(text):
        shown = "\n".join(lines)
        yield _cue(timings, *from_subrip(shown))


def from_subrip(text: str) -> tuple[str, str]:
    """Return the text of one SubRip cue as markup, and its settings.

    Line breaks and hard spaces as SubStation writes them come from converters; players know them.
    """
    if "\\" in text:
        text = _WRITTEN.sub(_unescaped, text)
    if "{\\" not in text:
        return text, ""
    settings = "line:0" if _UPPER.search(text) else ""
    return _OVERRIDES.sub(_as_tags, text), settings


def _unescaped(word: re.Match[str]) -> str:
    if _PATH.match(word[0]):
        return word[0]
    return _SPECIAL.sub(lambda special: "\xa0" if special[0][1] == "h" else "\n", word[0])


def _as_tags(overrides: re.Match[str]) -> str:
    return "".join(
        f"<{letter}>" if number == "1" else f"</{letter}>"
        for letter, number in _SWITCH.findall(overrides[1])
    )


def _webvtt(text: str) -> Iterator[Cue]:
    """Yield the cues of WebVTT; a text ends at an empty line, and what stands there is no cue."""
    for timings, lines in _timed(text):
        shown = "\n".join(takewhile(bool, lines))
        yield _cue(timings, shown, timings.groups()[-1])


def _cue(timings: re.Match[str], text: str, settings: str) -> Cue:
    start_s, end_s = span_s(timings)
    return Cue(start_s, end_s, text, settings)


def _timed(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Yield each line of times with the lines below it, down to the next."""
    timings: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        begins = TIMINGS.match(line) if "->" in line else None
        if begins is None and not ("->" in line and _BROKEN.match(line)):
            lines.append(line)
            continue
        if timings is not None:
            yield timings, _without_number(lines, is_last=False)
        timings, lines = begins, []
    if timings is not None:
        yield timings, _without_number(lines, is_last=True)


def _without_number(lines: list[str], *, is_last: bool) -> list[str]:
    """Return lines without the number of the next cue, which stands right before its times."""
    if is_last:
        while lines and not lines[-1].strip():
            lines.pop()
    is_number = bool(lines) and lines[-1].strip().isdecimal()
    if is_number and not (is_last and (len(lines) == 1 or lines[-2].strip())):
        lines.pop()
    return lines


def _substation(text: str) -> Iterator[Cue]:
    yield from merge_cues(AssScript().cues(text))


def _microdvd(text: str) -> Iterator[Cue]:
    yield from _by_pysubs2(text, "microdvd", "counts in frames, and does not say how fast they are")


def _ttml(text: str) -> Iterator[Cue]:
    from defusedxml import ElementTree  # noqa: PLC0415 (few files need it)

    reason = "is TTML of a kind that is not read"
    try:
        ElementTree.fromstring(text)
    except MemoryError:
        raise
    except Exception as error:
        raise UnusableFileError("is no sound XML, or might be a trap") from error
    yield from _by_pysubs2(text, "ttml", reason)


def _by_pysubs2(text: str, kind: str, reason: str) -> Iterator[Cue]:
    import pysubs2  # noqa: PLC0415 (few files need it)

    try:
        read = pysubs2.SSAFile.from_string(text, kind)
    except MemoryError:
        raise
    except Exception as error:  # it promises nothing
        raise UnusableFileError(reason) from error
    for event in read:
        yield Cue(event.start / 1000, event.end / 1000, markup_of(event.text))
