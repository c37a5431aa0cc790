"""Kodi's and Jellyfin's .nfo: XML, XML followed by a URL, a URL alone, or text art."""

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
from generator.adapters.media_worker.sidecars.json_sidecar import OtherVideoError
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.formatting import readable
from generator.core.library.export_format import is_own_nfo
from generator.core.media.dates import at_of, moment_of, offset_of
from generator.core.model import Metadata

_ROOTS = frozenset({"movie", "episodedetails", "musicvideo", "video"})
_XML = re.compile(r"\s*<[a-z?!]", re.IGNORECASE)
_FIRST_TAG = re.compile(
    r"<(?:\?xml|movie|episodedetails|musicvideo|video)\b", re.IGNORECASE
)  # after anything that a program printed first
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([A-Za-z0-9._-]{1,40})")
_DECLARED_WITHIN = 300  # bytes
_TITLES = ("title", "originaltitle")
_TEXTS = ("plot", "outline")
_DATES = ("aired", "premiered", "releasedate", "year")
_CREATORS = ("artist", "director", "credits", "studio")
_URLS = ("website",)
_TAGS = ("tag", "genre")
_SEASONS, _EPISODES = ("season",), ("episode",)
_KNOWN_FIELDS = frozenset(
    _TITLES + _TEXTS + _DATES + _CREATORS + _URLS + _TAGS + _SEASONS + _EPISODES
)
_MAX_VALUES = 1000  # of one field
_MAX_NAME = 40  # characters
_XML_NAMES = ("amp", "lt", "gt", "quot", "apos")
_AMPERSAND = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?:(#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{0,31});)?",
    re.IGNORECASE | re.DOTALL,
)
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class _FirstVideoReadError(Exception):
    """The first video of the file was read completely."""


def read_nfo(content: bytes) -> Metadata:
    """Return the metadata in an .nfo; of several episodes in one file, the first.

    Bare ampersands and HTML entities are repaired. If the text is not XML, and after XML, a line
    with a URL is looked for.

    Raises:
        UnusableFileError: it is damaged, declares entities, or is about something else.
        OtherVideoError: it is an export of ours: what people did, which the catalogue knows better.
    """
    if is_own_nfo(content):
        raise OtherVideoError
    text, xml = _texts_in(content)
    if xml is None:
        return Metadata(url=_address_in(text))
    fields = _fields(xml, text.count("\n", 0, len(text) - len(xml)), _KNOWN_FIELDS)
    _, _, rest = xml.partition(f"</{fields.root}>")
    return _metadata(fields.values, _address_in(rest))


def read_nfo_fields(content: bytes, names: frozenset[str]) -> dict[str, list[str]]:
    """Return the texts of some fields in an .nfo, such as `read_nfo` does not return.

    Args:
        content: of the file.
        names: of the fields, in lower case.

    Raises:
        UnusableFileError: as for `read_nfo`.
    """
    if is_own_nfo(content):
        return {}
    text, xml = _texts_in(content)
    if xml is None:
        return {}
    return _fields(xml, text.count("\n", 0, len(text) - len(xml)), names).values


def _texts_in(content: bytes) -> tuple[str, str | None]:
    """Return the text of an .nfo, and from its first tag on; None if it has none."""
    declared = _DECLARED.search(content[:_DECLARED_WITHIN])
    text = decode_text(content, declared[1].decode() if declared else "")
    if not text.strip():
        raise UnusableFileError("is empty")
    first_tag = _XML.match(text) or _FIRST_TAG.search(text)
    return text, None if first_tag is None else text[first_tag.start() :].lstrip()


def _metadata(values: dict[str, list[str]], after_xml: str | None) -> Metadata:
    def all_of(names: tuple[str, ...]) -> list[str]:
        return [text for name in names for text in values.get(name, ())]

    moment = normalize.first(moment_of, *all_of(_DATES))
    episode = normalize.first(normalize.number, *all_of(_EPISODES))
    return Metadata(
        title=normalize.first(normalize.one_line, *all_of(_TITLES)),
        description=normalize.first(normalize.prose, *all_of(_TEXTS)),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        creator=normalize.first(normalize.names, *(values.get(name) for name in _CREATORS)),
        url=normalize.first(normalize.address, *all_of(_URLS), after_xml),
        tags=normalize.clean_tags([tag for text in all_of(_TAGS) for tag in text.split(" / ")]),
        season=None if episode is None else normalize.first(normalize.number, *all_of(_SEASONS)),
        episode=episode,
    )


def _address_in(text: str) -> str | None:
    return next(filter(None, map(normalize.address, text.splitlines())), None)


class _Fields(ContentHandler):
    """Collects the text of some fields, which are children of the root; the rest is ignored.

    `root` is "" until a video begins: as the outermost element, or as its child where several
    episodes are in one file. `outermost` is the first element of the file.
    """

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self._names = names
        self.root = self.outermost = ""
        self.values: dict[str, list[str]] = {}
        self._depth = 0  # below the root, or below the outermost element
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
        if self.root and self._depth == 1 and plain in self._names:
            self._field = plain

    @override
    def endElement(self, name: str) -> None:
        if self._depth == 0:
            raise _FirstVideoReadError
        if self._depth == 1 and self._field:
            values = self.values.setdefault(self._field, [])
            if len(values) < _MAX_VALUES:
                values.append("".join(self._pieces).strip())
            self._field, self._pieces = "", []
        self._depth -= 1

    @override
    def characters(self, content: str) -> None:
        if self._field:
            self._pieces.append(content)


def _fields(text: str, lines_above: int, names: frozenset[str]) -> _Fields:
    try:
        try:
            return _parse(text, names)
        except SAXParseException:
            return _parse(_repair_xml(text), names)
    except SAXParseException as error:
        line = lines_above + (error.getLineNumber() or 1)
        raise UnusableFileError(f"is not valid XML (line {line})") from error
    except DefusedXmlException as error:
        raise UnusableFileError("declares entities, which is not allowed") from error


def _parse(text: str, names: frozenset[str]) -> _Fields:
    fields, parser, source = _Fields(names), make_parser(), InputSource()
    parser.setContentHandler(fields)
    source.setByteStream(BytesIO(text.encode()))
    source.setEncoding("utf-8")  # whatever is declared
    try:
        parser.parse(source)
    except _FirstVideoReadError:
        return fields
    about = readable(fields.outermost)[:_MAX_NAME]
    raise UnusableFileError(f"is not about a video: it begins with <{about}>")


def _repair_xml(text: str) -> str:
    """Return XML with a bare "&" escaped, and HTML entities replaced by their characters."""
    return _AMPERSAND.sub(_escape_ampersand, _NOT_XML.sub("", text))


def _escape_ampersand(match: re.Match[str]) -> str:
    name = match[1]
    if match[0].startswith("<"):
        return match[0]
    if name is None:
        return "&amp;"
    if name in _XML_NAMES:
        return match[0]
    if name.startswith("#"):
        code = int("0" + name[1:], 16) if name[1] in "xX" else int(name[1:])
        return "" if code > sys.maxunicode or _NOT_XML.match(chr(code)) else f"&#{code};"
    return escape(html5.get(name + ";", match[0]))
