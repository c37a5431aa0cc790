"""A table as a spreadsheet saves it: `path,stars,favorite,views,tags`, in any order."""

import csv
import io
import re
from collections.abc import Mapping

from generator.adapters.import_sources.source_entries import SourceEntries
from generator.adapters.import_sources.source_files import UnreadableSourceError
from generator.adapters.import_sources.tolerant_json import decode_source
from generator.core.library.import_entries import ImportField
from generator.core.library.import_values import shown_value

_PATH = "path"
_FIELDS = frozenset({"stars", "favorite", "views", "tags"})
_DELIMITERS = ",;\t"
_LINE_END = re.compile("[\r\n]")
_SEPARATORS = re.compile("[;,]")
_YES, _NO = frozenset({"1", "true", "yes", "x"}), frozenset({"0", "false", "no"})


def is_table(content: bytes) -> bool:
    """Return whether a file begins with such a header."""
    try:
        text, _ = decode_source(content)
        _delimiter_of(text)
    except UnreadableSourceError:
        return False
    return True


def read_table(content: bytes, into: SourceEntries) -> None:
    """Read all lines.

    Raises:
        UnreadableSourceError: it has no such header.
    """
    text, damage = decode_source(content)
    if damage:
        into.reject("", damage)
    delimiter = _delimiter_of(text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [name.strip().lower() for name in next(filter(None, lines))]
    while True:
        into.prefix = f"line {lines.line_num + 1}: "
        try:
            cells = next(lines)
        except StopIteration:
            break
        except csv.Error as error:
            into.reject("", str(error))
            continue
        if len(cells) != len(header):
            if any(cells):
                into.reject(
                    cells[header.index(_PATH)] if len(cells) > header.index(_PATH) else "",
                    f"has {len(cells)} fields, and the header {len(header)}",
                )
            continue
        _add_line(dict(zip(header, cells, strict=True)), into)
    into.prefix = ""


def _delimiter_of(text: str) -> str:
    """Return the delimiter of the header: the one with which it has our fields, and only that."""
    first = _LINE_END.split(text.lstrip("\r\n"), maxsplit=1)[0]
    fitting = [delimiter for delimiter in _DELIMITERS if _has_fields(first, delimiter)]
    if len(fitting) != 1:
        raise UnreadableSourceError(
            "has no first line with path and some of stars, favorite, views, tags"
        )
    return fitting[0]


def _has_fields(line: str, delimiter: str) -> bool:
    try:
        row = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return False
    names = [name.strip().lower() for name in row]
    chosen = [name for name in names if name == _PATH or name in _FIELDS]
    return _PATH in chosen and len(chosen) > 1 and len(chosen) == len(set(chosen))


def _add_line(cells: Mapping[str, str], into: SourceEntries) -> None:
    key = into.key(cells[_PATH])
    if key is None:
        return
    stars, views, tags = (cells.get(name, "").strip() for name in ("stars", "views", "tags"))
    if stars:
        into.stars(key, stars)
    favorite = cells.get("favorite", "").strip()
    if favorite.lower() in _YES:
        into.favorite(key)
    elif favorite and favorite.lower() not in _NO:
        into.reject(key, f"{shown_value(favorite)} is neither yes nor no")
    if views:
        into.views(key, views, name=ImportField.TOTAL_VIEWS)
    if tags:
        into.tags(key, [tag for tag in _SEPARATORS.split(tags) if tag.strip()])
