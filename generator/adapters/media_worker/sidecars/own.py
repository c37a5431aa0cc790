"""Our own sidecars: a .toml, or a .md with the description, with or without front matter."""

import re
import tomllib
from collections.abc import Mapping

import yaml

from generator.adapters.media_worker.sidecars import normalize
from generator.adapters.media_worker.sidecars.decode_text import decode_text
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.media.dates import at_of, moment_of, offset_of
from generator.core.model import Metadata

_MAX_FRONT = 64 * 1024  # characters; YAML is parsed at some 200 KB a second
_FENCES = {
    "---": re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE),
    "+++": re.compile(r"^\+\+\+[ \t]*$", re.MULTILINE),
}
_YAML_NULLS = ("~", "null", "Null", "NULL")
_PLAIN_KEYS = frozenset({"title", "date", "creator", "author", "tags", "keywords", "url"})
_PLAIN_LINE = re.compile(r"([A-Za-z]{1,20})[ \t]*:[ \t]+(.*)")
_TOML_POSITION = re.compile(r"line \d+, column \d+")
_TOML_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|' + r"'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?|' + r"'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)
_TOML_SEPARATORS = re.compile(r"[=,{}\[\]\n]")
_MAX_DOTS = 16  # in one key of TOML: the cost in tomllib is quadratic
_LONG_NUMBER = re.compile(r"\d[\d_]{999,}", re.ASCII)


def read_own(name: str, content: bytes) -> Metadata:
    """Return the metadata in a .toml or .md.

    Raises:
        UnusableFileError: it is not text, or its TOML or YAML is invalid.
    """
    text = decode_text(content)
    if name.lower().endswith(".toml"):
        return _metadata(_toml(text, "is not valid TOML"))
    fields, body = _split_front_matter(text)
    title = normalize.one_line(fields.get("title"))
    heading, below = _heading(body)
    if heading and title in (None, heading):
        title, body = heading, below
    description = normalize.prose(body) or normalize.prose(fields.get("description"))
    return _metadata({**fields, "title": title, "description": description}, is_markdown=True)


def _metadata(fields: Mapping[str, object], *, is_markdown: bool = False) -> Metadata:
    description = normalize.prose(fields.get("description"))
    moment, episode = moment_of(fields.get("date")), normalize.number(fields.get("episode"))
    return Metadata(
        title=normalize.one_line(fields.get("title")),
        description=description,
        is_markdown=is_markdown and description is not None,
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        creator=normalize.first(normalize.names, fields.get("creator"), fields.get("author")),
        url=normalize.address(fields.get("url")),
        tags=normalize.clean_tags(fields.get("tags"), fields.get("keywords")),
        chapters=normalize.chapters(fields.get("chapters")),
        season=None if episode is None else normalize.number(fields.get("season")),
        episode=episode,
    )


def _split_front_matter(text: str) -> tuple[dict[str, object], str]:
    """Return the front matter of a Markdown file, and its body."""
    opening, _, rest = text.partition("\n")
    opening = opening.rstrip()
    if opening not in _FENCES:
        return _plain_lines(text)
    closing = _FENCES[opening].search(rest)
    if closing is None:
        return {}, text  # a thematic break, then
    front, body = "\n" + rest[: closing.start()], rest[closing.end() :]  # keeps line numbers
    if len(front) > _MAX_FRONT:
        raise UnusableFileError(
            f"has more than {_MAX_FRONT >> 10} KB between its first {opening} and the next"
        )
    if opening == "+++":
        return _toml(front, "has invalid TOML front matter"), body
    fields = _yaml(front)
    return ({}, text) if fields is None else (fields, body)


def _plain_lines(text: str) -> tuple[dict[str, object], str]:
    """Return fields of lines like "Title: Harbor" at the start of the text, and the rest."""
    fields: dict[str, object] = {}
    at = 0
    while match := _PLAIN_LINE.match(text, at):
        key = match[1].lower()
        if not fields and key not in _PLAIN_KEYS:
            break
        fields.setdefault(key, match[2])
        at = match.end() + 1
    return fields, text[at:]


def _heading(body: str) -> tuple[str | None, str]:
    """Return the heading at the start of a text, and the rest."""
    text = body.lstrip("\n")
    first, _, below = text.partition("\n")
    second, _, further = below.partition("\n")
    if first.startswith("# "):
        bare = first.rstrip().rstrip("#")
        closed = bare.endswith((" ", "\t"))
        return normalize.one_line((bare if closed else first)[2:]), below
    if first.strip() and second.rstrip() and set(second.rstrip()) == {"="}:
        return normalize.one_line(first), further
    return None, body


def _toml(text: str, complaint: str) -> dict[str, object]:
    keys_and_values = _TOML_SEPARATORS.split(_TOML_TEXT.sub("", text))
    if any(token.count(".") > _MAX_DOTS for token in keys_and_values):
        raise UnusableFileError(f"{complaint}: it has too many nested tables")
    try:
        return _lower(_toml_value(text))
    except ValueError as error:
        place = _TOML_POSITION.search(str(error))
        raise UnusableFileError(f"{complaint} ({place[0] if place else 'at its end'})") from error


def _toml_value(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # an integer of thousands of digits, which no field of ours has
        return tomllib.loads(_LONG_NUMBER.sub("0", text))


def _yaml(text: str) -> dict[str, object] | None:
    """Return the fields of YAML, all values as text; None if it is not a mapping.

    The base loader supports neither types nor merging, so that nothing is constructed or expanded,
    and a title of "1:30" or "no" stays text.
    """
    try:
        value: object = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - safer than the safe
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UnusableFileError(f"has invalid YAML front matter (line {line})") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UnusableFileError("has invalid YAML front matter") from error
    if not isinstance(value, dict):
        return None if value else {}
    fields = {
        str(key): text_value for key, text_value in value.items() if text_value not in _YAML_NULLS
    }
    return _lower(fields)


def _lower(fields: Mapping[str, object]) -> dict[str, object]:
    return {key.lower(): value for key, value in fields.items()}
