"""Kodi's and Jellyfin's .nfo: XML, XML with an address behind it, an address alone, or text art."""

import re
import sys
from html import escape
from html.entities import html5
from io import BytesIO
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, InputSource

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser
from typing_extensions import override

from generator.adapters.media_worker.sidecars import normalize
from generator.adapters.media_worker.sidecars.decode_text import decode_text
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.formatting import readable
from generator.core.media.dates import at_of, moment_of, offset_of
from generator.core.model import Metadata

_ROOTS = frozenset({"movie", "episodedetails", "musicvideo", "video"})
_XML = re.compile(r"\s*<[a-z?!]", re.IGNORECASE)
_BEGINNING = re.compile(
    r"<(?:\?xml|movie|episodedetails|musicvideo|video)\b", re.IGNORECASE
)  # below what some program printed first
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([A-Za-z0-9._-]{1,40})")
_DECLARED_WITHIN = 300  # bytes
_TITLES = ("title", "originaltitle")
_TEXTS = ("plot", "outline")
_DATES = ("aired", "premiered", "releasedate", "year")
_CREATORS = ("artist", "director", "credits", "studio")
_ADDRESSES = ("website",)
_TAGS = ("tag", "genre")
_SEASONS, _EPISODES = ("season",), ("episode",)
_WANTED = frozenset(
    _TITLES + _TEXTS + _DATES + _CREATORS + _ADDRESSES + _TAGS + _SEASONS + _EPISODES
)
_MOST_VALUES = 1000  # of one field
_MOST_NAME = 40  # characters
_XML_NAMES = ("amp", "lt", "gt", "quot", "apos")
_AMPERSAND = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?:(#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{0,31});)?",
    re.IGNORECASE | re.DOTALL,
)
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class _EnoughError(Exception):
    """The first video of the file is read to its end."""


def read_nfo(content: bytes) -> Metadata:
    """Return what an .nfo says of its video; of several episodes in one file, the first.

    Ampersands and named characters that XML does not know are taken for what they were meant to
    be. In a text that is no XML, and behind XML, a line that is an address is looked for.

    Raises:
        UnfitError: it is damaged, declares entities, or is about something else.
    """
    declared = _DECLARED.search(content[:_DECLARED_WITHIN])
    text = decode_text(content, declared[1].decode() if declared else "")
    if not text.strip():
        raise UnusableFileError("is empty")
    beginning = _XML.match(text) or _BEGINNING.search(text)
    if beginning is None:
        return Metadata(url=_address_in(text))
    xml = text[beginning.start() :].lstrip()
    found = _fields(xml, text.count("\n", 0, len(text) - len(xml)))
    _, _, behind = xml.partition(f"</{found.root}>")
    return _details(found.values, _address_in(behind))


def _details(said: dict[str, list[str]], behind: str | None) -> Metadata:
    def all_of(names: tuple[str, ...]) -> list[str]:
        return [text for name in names for text in said.get(name, ())]

    moment = normalize.first(moment_of, *all_of(_DATES))
    episode = normalize.first(normalize.number, *all_of(_EPISODES))
    return Metadata(
        title=normalize.first(normalize.one_line, *all_of(_TITLES)),
        description=normalize.first(normalize.prose, *all_of(_TEXTS)),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        creator=normalize.first(normalize.names, *(said.get(name) for name in _CREATORS)),
        url=normalize.first(normalize.address, *all_of(_ADDRESSES), behind),
        tags=normalize.clean_tags([tag for text in all_of(_TAGS) for tag in text.split(" / ")]),
        season=None if episode is None else normalize.first(normalize.number, *all_of(_SEASONS)),
        episode=episode,
    )


def _address_in(text: str) -> str | None:
    return next(filter(None, map(normalize.address, text.splitlines())), None)


class _Fields(ContentHandler):
    """Keeps the text of what is wanted, which stands right below the root; the rest goes by.

    `root` is "" as long as no video has begun: as the outermost element, or next to it where
    several episodes are held together. `outermost` is what the file begins with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = self.outermost = ""
        self.values: dict[str, list[str]] = {}
        self._depth = 0  # below the root, or below nothing
        self._field = ""
        self._pieces: list[str] = []

    @override
    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        plain = name.rpartition(":")[2].lower()
        self.outermost = self.outermost or plain
        if not self.root and plain in _ROOTS and self._depth <= 1:
            self.root, self._depth = name, 0
            return
        self._depth += 1
        if self.root and self._depth == 1 and plain in _WANTED:
            self._field = plain

    @override
    def endElement(self, name: str) -> None:
        if self._depth == 0:
            raise _EnoughError
        if self._depth == 1 and self._field:
            values = self.values.setdefault(self._field, [])
            if len(values) < _MOST_VALUES:
                values.append("".join(self._pieces).strip())
            self._field, self._pieces = "", []
        self._depth -= 1

    @override
    def characters(self, content: str) -> None:
        if self._field:
            self._pieces.append(content)


def _fields(text: str, lines_above: int) -> _Fields:
    try:
        try:
            return _parsed(text)
        except SAXParseException:
            return _parsed(_mended(text))
    except SAXParseException as error:
        line = lines_above + (error.getLineNumber() or 1)
        raise UnusableFileError(f"is not sound XML (line {line})") from error
    except DefusedXmlException as error:
        raise UnusableFileError("declares entities, which can be used to do harm") from error


def _parsed(text: str) -> _Fields:
    fields, parser, source = _Fields(), make_parser(), InputSource()
    parser.setContentHandler(fields)
    source.setByteStream(BytesIO(text.encode()))
    source.setEncoding("utf-8")  # whatever is declared
    try:
        parser.parse(source)
    except _EnoughError:
        return fields
    about = readable(fields.outermost)[:_MOST_NAME]
    raise UnusableFileError(f"is not about a video: it begins with <{about}>")


def _mended(text: str) -> str:
    """Return XML in which a bare "&" is meant as such, and HTML's names are their characters."""
    return _AMPERSAND.sub(_meant, _NOT_XML.sub("", text))


def _meant(found: re.Match[str]) -> str:
    name = found[1]
    if found[0].startswith("<"):
        return found[0]
    if name is None:
        return "&amp;"
    if name in _XML_NAMES:
        return found[0]
    if name.startswith("#"):
        code = int("0" + name[1:], 16) if name[1] in "xX" else int(name[1:])
        return "" if code > sys.maxunicode or _NOT_XML.match(chr(code)) else f"&#{code};"
    return escape(html5.get(name + ";", found[0]))
