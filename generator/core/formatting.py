"""Formatting of numbers, dates and names for people. English for now; one place to change."""

import re
import unicodedata
from datetime import UTC, datetime
from email.utils import format_datetime

_KIB = 1024
_UNITS = ((10**9, "B"), (10**6, "M"), (10**3, "K"))
_WHOLE_FROM = 10
_SURROGATES = re.compile("[\ud800-\udfff]")  # bytes that are not UTF-8
_BYTES = re.compile("[\udc80-\udcff]")  # of a name that is not UTF-8, as Python keeps them
_CONTROL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # what controls a terminal, or cannot be printed
_JOINERS = "\u200c\u200d"  # scripts and emoji are written with them

_UNSEEN = re.compile(  # printable characters that are invisible by themselves
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c\u200d\u2800\u3164"
    "\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

MEDIA_TYPES = {
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "wmv": "video/x-ms-wmv",
    "asf": "video/x-ms-asf",
    "flv": "video/x-flv",
    "mpg": "video/mpeg",
    "mpeg": "video/mpeg",
    "ts": "video/mp2t",
    "m2ts": "video/mp2t",
    "mts": "video/mp2t",
    "3gp": "video/3gpp",
    "3g2": "video/3gpp2",
    "ogv": "video/ogg",
    "ogm": "video/ogg",
    "ogg": "video/ogg",
    "ogx": "video/ogg",
}
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"  # .m3u8

_TAG_FRONT = re.compile(r"^[#\s]+")


def media_type(path: str) -> str:
    """Return the media type by a file's suffix."""
    return MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")


def title_of(name: str) -> str:
    """Return the title by a file name: no suffix, underscores as spaces.

    What cannot be shown (control characters, direction overrides, bytes that are not UTF-8) is
    left out or shown as a replacement character; never empty.
    """
    stem, dot, _ = name.rpartition(".")
    return readable(stem if dot and stem.strip(". ") else name).replace("_", " ").strip() or "video"


def readable(text: str) -> str:
    """Return `text` as one line that is safe to show anywhere."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split()) if "  " in text or text != text.strip() else text
    shown = _SURROGATES.sub("\ufffd", text)
    shown = "".join(" " if c.isspace() else c for c in shown if _shows(c))
    return unicodedata.normalize("NFC", " ".join(shown.split()))


def _shows(character: str) -> bool:
    if character.isspace() or character in _JOINERS:
        return True
    return unicodedata.category(character) not in _CONTROL


def escape_controls(text: str) -> str:
    """Return `text`, lines and tabs kept, with control sequences for terminals escaped."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        c
        if c in "\n\t" or c in _JOINERS or unicodedata.category(c) not in _STEERING
        else _escape(c)
        for c in text
    )


def _escape(character: str) -> str:
    if _BYTES.match(character):
        return f"\\x{ord(character) & 0xFF:02x}"
    return character.encode("unicode_escape", "replace").decode("ascii")


def normalize_tag(text: str) -> str:
    """Return a tag in its normal form: lower-case, one line, without "#" in front; or "".

    A text without a visible character is no tag. A normalized tag stays as it is.
    """
    tag = _TAG_FRONT.sub("", readable(text)).strip().lower()
    if not any(_is_seen(c) for c in tag):
        return ""
    # lower-case letters may compose with accents that capitals do not ("J" and a caron)
    return tag if tag == text else normalize_tag(tag)


def _is_seen(character: str) -> bool:
    return not character.isspace() and not _UNSEEN.match(character)


def duration(seconds: float | None) -> str | None:
    """Return "1:23:45" or "4:05"; None for None."""
    if seconds is None:
        return None
    minutes, rest = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def counted(count: int, what: str, plural: str = "") -> str:
    """Return "1 page" or "2 pages"; `plural` is for words that do not just add an "s"."""
    return f"{count} {what if count == 1 else plural or what + 's'}"


def rounded(count: int) -> str | None:
    """Return a count in short form ("1.2K"), None for zero."""
    if not count:
        return None
    step, unit = _unit(count)
    if step == 1:
        return str(count)
    tenths = rounded_down(count) * 10 // step
    return f"{tenths // 10}.{tenths % 10}{unit}" if tenths % 10 else f"{tenths // 10}{unit}"


def rounded_down(count: int) -> int:
    """Return the number that `rounded` shows: "1.2K" is 1200."""
    step, _ = _unit(count)
    if step > 1 and count < _WHOLE_FROM * step:
        step //= 10
    return count // step * step


def _unit(count: int) -> tuple[int, str]:
    return next((one for one in _UNITS if count >= one[0]), (1, ""))


def file_size(size_bytes: int) -> str:
    """Return "3.4 GB", in powers of 1024 as file managers show it."""
    value = float(size_bytes)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < _KIB:
            return (
                f"{value:.0f} {unit}"
                if unit == "bytes" or value >= _WHOLE_FROM
                else f"{value:.1f} {unit}"
            )
        value /= _KIB
    return f"{value:.1f} TB"


def date(instant: int, offset_min: int | None = None) -> str:
    """Return "2024-05-01", the day `offset_min` east of UTC; clamped to the years 1 to 9999."""
    return _moment(instant + (offset_min or 0) * 60).date().isoformat()


def iso_time(at: int, offset_min: int | None) -> str:
    """Return "2024-05-01T12:00:00+02:00" (ISO 8601), the local time; no offset for None."""
    text = _moment(at + (offset_min or 0) * 60).replace(tzinfo=None).isoformat()
    if offset_min is None:
        return text
    hours, minutes = divmod(abs(offset_min), 60)
    return f"{text}{'-' if offset_min < 0 else '+'}{hours:02d}:{minutes:02d}"


def rfc3339(instant: int) -> str:
    """Return "2024-05-01T12:00:00Z"."""
    return _moment(instant).isoformat().replace("+00:00", "Z")


def rfc822(instant: int) -> str:
    """Return "Wed, 01 May 2024 12:00:00 GMT"."""
    return format_datetime(_moment(instant), usegmt=True)


def _moment(instant: int) -> datetime:
    lowest, highest = -62135596800, 253402300799  # the years 1 and 9999
    return datetime.fromtimestamp(min(max(instant, lowest), highest), UTC)
