"""Renders templates: plain Jinja2, partially evaluated.

A template that only prints, loops and tests for none, true and false has the same text around its
values for every context of the same shape. So it is rendered once per shape, with a slot in place
of every text; afterwards the slots are filled, without Jinja. A slot can only be printed: any other
use raises, and that template is then rendered by Jinja every time. Both ways give the same bytes.

Source: docs/adr/0004-templates.md.
"""

import json
import os
import re
import signal
import threading
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from markupsafe import escape
from typing_extensions import override

from generator import __version__
from generator.core.errors import TemplateError
from generator.core.model import OutPath
from generator.core.site.contexts import Context, Html, SharedContext

_MARK = re.compile("\x02sLoT([0-9]+)\x03")
_MARK_ENDS = re.compile("[\x02\x03]")
_HARMLESS_FILTERS = {"e", "escape", "length", "count", "first", "last"}
_TEMPLATE_SUFFIXES = (".html", ".xml", ".txt")
_MAX_SHAPES = 5000
_MAX_S = 30.0  # of one page
_MAX_CHARACTERS = 64 << 20  # of one page
_MAX_RANGE = 1_000_000  # of a `range`
_TEMPLATE_SIMILARITY, _ASSET_SIMILARITY = 0.6, 0.8  # similarity of names that may be typos
_HARMLESS_TESTS = {"none", "defined", "undefined", "true", "false", "boolean"}
_SLOT_UNSAFE_NODES = (
    nodes.FilterBlock,
    nodes.AssignBlock,
    nodes.CallBlock,
    nodes.Macro,
    nodes.EvalContextModifier,
)

# Pieces of text with a gap between each two; the number of the value for each gap.
Skeleton = tuple[list[bytes], list[int]]


class Renderer:
    """The templates of one site: the built-in ones, and the owner's, which override them.

    Raises:
        TemplateError: a template cannot be read or parsed.
    """

    def __init__(
        self,
        shipped: Path,
        own: Path | None,
        frame: Mapping[str, object],
        recall: Callable[[str], str] = lambda _: "",
    ) -> None:
        folders = [folder for folder in (own, shipped) if folder is not None]
        self._folders = folders
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=_BytecodeCache(),
        )
        self._own, self._shipped = own, shipped
        self._assets = _assets(folders)
        base = str(frame["base"])
        links = {Path(name).stem: f"{base}/{path}" for name, (path, _) in self._assets.items()}
        self._environment.globals.update(
            range=_short_range, site=frame, assets=links, nav=frame["nav"]
        )
        self._frame_digest = repr((sorted(frame.items()), sorted(links.items()))).encode()
        self._signature = _signature(folders)
        self._inputs: dict[str, str] = {}
        self._recall = recall
        self.learned: dict[str, str] = {}  # skeletons made here, for `recall` another time
        self._templates: dict[str, jinja2.Template] = {}
        self._sources: dict[str, _Source] = {}
        self._slot_safe: dict[str, bool] = {}
        self.plain: set[str] = set()  # templates that were rendered by Jinja, not filled
        self._skeletons: dict[tuple[Hashable, ...], Skeleton | None] = {}

    def render(self, name: str, context: Context) -> bytes:
        """Render a template with a context.

        Raises:
            TemplateError: the template is missing, invalid, or uses an undefined name.
        """
        texts: list[str] = []
        raw: dict[int, bytes] = {}
        shape: list[Hashable] = [name]
        _flatten(context.values(), texts, raw, shape)
        key = tuple(shape)
        try:
            skeleton = self._skeletons[key]
        except KeyError:
            if len(self._skeletons) >= _MAX_SHAPES:
                self._skeletons.clear()
            skeleton = self._skeletons[key] = self._recall_or_make(name, key, context)
        if skeleton is None:
            self.plain.add(name)
            return self._render(name, context).encode()
        pieces, slots = skeleton
        values = _escaped(texts)
        for slot, content in raw.items():
            values[slot] = content
        filled = pieces.copy()
        filled[1::2] = [values[slot] for slot in slots]
        return b"".join(filled)

    def inputs(self, name: str) -> str:
        """Return a digest of all inputs of a template's pages except their contexts.

        Raises:
            TemplateError: the template is missing or invalid.
        """
        cached = self._inputs.get(name)
        if cached is not None:
            return cached
        hash_ = sha256(self._frame_digest)
        for part in sorted(self._closure(name)):
            hash_.update(part.encode() + b"\0" + self._source_of(part).source.encode() + b"\0")
        cached = self._inputs[name] = hash_.hexdigest()[:32]
        return cached

    @property
    def signature(self) -> str:
        """Return a digest that changes with the files of the templates and with our version."""
        parts = (sorted(self._signature), self._frame_digest, jinja2.__version__, __version__)
        return sha256(repr(parts).encode()).hexdigest()[:32]

    def adopt(self, inputs: Mapping[str, str]) -> None:
        """Take the digests of `inputs` from a renderer with the same signature."""
        self._inputs.update(inputs)

    def is_outdated(self) -> bool:
        """Return whether a file of the templates changed since this was created."""
        return self.present() != self._signature

    def present(self) -> Hashable:
        """Return a value that changes with the files of the templates."""
        return _signature(self._folders)

    def assets(self) -> dict[OutPath, bytes]:
        """Return the static files, with a digest in each name."""
        return dict(self._assets.values())

    def unused(self) -> list[str]:
        """Return messages about the owner's template files that nothing uses, perhaps misnamed.

        A file counts as used if one of ours has its name, or one of theirs mentions it.
        """
        if self._own is None:
            return []
        owner_folder, complaints = self._own, []
        texts = [
            _text_of(file) for file in _files(owner_folder) if file.suffix in _TEMPLATE_SUFFIXES
        ]
        for folder, cutoff in (("", _TEMPLATE_SIMILARITY), ("assets", _ASSET_SIMILARITY)):
            ours = {file.name for file in _files(self._shipped / folder)}
            for file in _files(owner_folder / folder):
                is_template = folder == "assets" or file.suffix in _TEMPLATE_SUFFIXES
                names = (f"assets.{file.stem}", file.name) if folder else (file.name,)
                if not is_template or file.name in ours:
                    continue
                if any(name in text for text in texts for name in names):
                    continue
                matches = get_close_matches(file.name, ours, 1, cutoff)
                if matches or (not folder and file.suffix != ".txt"):
                    meant = f"; did you mean {matches[0]}?" if matches else ""
                    complaints.append(f"nothing uses {file}{meant}")
        return complaints

    # -- rendered by Jinja

    def _render(self, name: str, context: Mapping[str, Any]) -> str:
        try:
            return _generate(self._template(name), _plain(context))
        except Exception as error:  # a template may raise anything
            raise _template_error(name, error) from error

    def _template(self, name: str) -> jinja2.Template:
        template = self._templates.get(name)
        if template is None:
            template = self._templates[name] = self._environment.get_template(name)
        return template

    def _source(self, name: str) -> str:
        loader = self._environment.loader
        assert loader is not None
        try:
            return loader.get_source(self._environment, name)[0]
        except jinja2.TemplateNotFound as error:
            folders = " and ".join(map(str, self._folders))
            raise TemplateError(
                f"there is no template {name} in {folders}",
                hint="is its name right where it is extended, included or imported?",
            ) from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise TemplateError(
                f"cannot read the template {name}, line {line}: it is not UTF-8",
                hint="have your editor save the file as UTF-8; the old pages are kept",
            ) from error
        except jinja2.TemplateError as error:
            raise _template_error(name, error) from error

    def _source_of(self, name: str) -> "_Source":
        facts = self._sources.get(name)
        if facts is None:
            source = self._source(name)
            facts = self._sources[name] = _SOURCES.get(source) or self._parse(name, source)
        return facts

    def _parse(self, name: str, source: str) -> "_Source":
        try:
            tree = self._environment.parse(source, name)
        except jinja2.TemplateError as error:
            raise _template_error(name, error) from error
        if len(_SOURCES) >= _MAX_TEMPLATES:
            _SOURCES.clear()
        references = tuple(meta.find_referenced_templates(tree))
        parsed = _SOURCES[source] = _Source(source, references, _only_prints(tree))
        return parsed

    def _closure(self, name: str) -> set[str]:
        """Return a template and all that it extends, includes or imports."""
        templates: set[str] = set()
        waiting = [name]
        while waiting:
            part = waiting.pop()
            if part in templates:
                continue
            templates.add(part)
            for reference in self._source_of(part).references:
                if reference is None:
                    raise TemplateError(
                        f"cannot use the template {part}: it includes one by a computed name",
                        hint="write the name as a literal: a computed one cannot be tracked",
                    )
                waiting.append(reference)
        return templates

    # -- filled slots

    def _skeleton(self, name: str, context: Context) -> Skeleton | None:
        if not self._is_slot_safe(name):
            return None
        try:
            text = _generate(self._template(name), _slotted(context, _SlotCounter()))
        except Exception:  # noqa: BLE001 (rendering by Jinja reports it, or works)
            return None
        pieces = _MARK.split(text)
        if any(_MARK_ENDS.search(literal) for literal in pieces[::2]):
            return None  # a filter split a mark
        return _interleave(pieces[::2], [int(slot) for slot in pieces[1::2]])

    def _recall_or_make(
        self, name: str, key: tuple[Hashable, ...], context: Context
    ) -> Skeleton | None:
        """Return a skeleton, a stored one if there is one: parsing and compiling takes longer."""
        text = f"{self.inputs(name)} {key!r}"
        digest = sha256(text.encode()).hexdigest()[:32]
        stored = self._recall(digest)
        if stored:
            pieces, slots = json.loads(stored)
            return _interleave(pieces, slots) if slots is not None else None
        skeleton = self._skeleton(name, context)
        self.learned[digest] = json.dumps(
            ([], None)
            if skeleton is None
            else ([piece.decode() for piece in skeleton[0][::2]], skeleton[1])
        )
        return skeleton

    def _is_slot_safe(self, name: str) -> bool:
        is_safe = self._slot_safe.get(name)
        if is_safe is None:
            is_safe = all(self._source_of(part).only_prints for part in self._closure(name))
            self._slot_safe[name] = is_safe
        return is_safe


class _EndlessError(Exception):
    """A template takes too long, or its page is too large."""


def _generate(template: jinja2.Template, context: Mapping[str, Any]) -> str:
    """Render a template within limits: it may loop forever."""
    parts, size = [], 0
    with _time_limit(_MAX_S):
        for part in template.generate(context):
            parts.append(part)
            size += len(part)
            if size > _MAX_CHARACTERS:
                raise _EndlessError(f"its page is larger than {_MAX_CHARACTERS >> 20} MB")
    return "".join(parts)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds`, in the main thread; elsewhere there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> NoReturn:
        raise _EndlessError(f"it takes more than {seconds:.0f} s for one page")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _short_range(*bounds: int) -> range:
    """Return a range of limited length."""
    numbers = range(*bounds)
    if len(numbers) > _MAX_RANGE:
        raise _EndlessError(f"a range of more than {_MAX_RANGE} numbers")
    return numbers


def _interleave(literals: Sequence[str], slots: list[int]) -> Skeleton:
    spread: list[bytes] = [b""] * (2 * len(literals) - 1)
    spread[::2] = [literal.encode() for literal in literals]
    return spread, slots


def _only_prints(tree: nodes.Template) -> bool:
    if next(tree.find_all(_SLOT_UNSAFE_NODES), None) is not None:
        return False
    return all(node.name in _HARMLESS_FILTERS for node in tree.find_all(nodes.Filter)) and all(
        node.name in _HARMLESS_TESTS for node in tree.find_all(nodes.Test)
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """The source of a template, and what only depends on it."""

    source: str
    references: tuple[str | None, ...]
    only_prints: bool


# For all sites of a process: after an edit, unedited templates are still cached.
_SOURCES: dict[str, _Source] = {}
_BYTECODE: dict[str, bytes] = {}
_MAX_TEMPLATES = 500


class _BytecodeCache(jinja2.BytecodeCache):
    """Compiled templates by key; Jinja checks that the source is the same."""

    @override
    def load_bytecode(self, bucket: "jinja2.bccache.Bucket") -> None:
        """Load cached bytecode."""
        code = _BYTECODE.get(bucket.key)
        if code is not None:
            bucket.bytecode_from_string(code)

    @override
    def dump_bytecode(self, bucket: "jinja2.bccache.Bucket") -> None:
        """Cache bytecode."""
        if len(_BYTECODE) >= _MAX_TEMPLATES:
            _BYTECODE.clear()
        _BYTECODE[bucket.key] = bucket.bytecode_to_string()


class _MisuseError(Exception):
    """A template did more with a slot than print it."""


class _Slot:
    """Replaces a text while a template is rendered for its shape; can only be printed."""

    __slots__ = ("_mark",)

    def __init__(self, number: int) -> None:
        self._mark = f"\x02sLoT{number}\x03"

    def __html__(self) -> str:
        return self._mark

    def _refuse(self, *_: object) -> NoReturn:
        raise _MisuseError

    __str__ = __repr__ = __format__ = __bool__ = __len__ = __iter__ = __getitem__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __hash__ = _refuse
    __add__ = __radd__ = __mod__ = __mul__ = __int__ = __float__ = __index__ = _refuse
    __getattr__ = __call__ = _refuse


class _SlotCounter:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = -1

    def next(self) -> int:
        self.count += 1
        return self.count


def _flatten(
    members: Iterable[object],
    texts: list[str],
    raw: dict[int, bytes],
    shape: list[Hashable],
) -> None:
    """Put what a template prints into `texts`, in order, and everything else into `shape`.

    The shape is what a template can distinguish without reading a text: which values are none, true
    or false, the lengths of sequences, and the nesting. HTML goes into `raw`, by its index among
    the texts.
    """
    for value in members:
        kind = type(value)
        if kind is str:
            texts.append(value)  # type: ignore[arg-type]  # it is str
            shape.append("s")
        elif value is None or kind is bool:
            shape.append(_NAMES[value])  # type: ignore[index]  # one of the three
        elif kind is Html:
            raw[len(texts)] = value.content  # type: ignore[attr-defined]  # it is Html
            texts.append("")
            shape.append("s")
        elif kind is tuple:
            shape.append(len(value))  # type: ignore[arg-type]  # it is a tuple
            _flatten(value, texts, raw, shape)  # type: ignore[arg-type]
        elif kind is dict:
            shape.append("{")
            _flatten(value.values(), texts, raw, shape)  # type: ignore[attr-defined]  # it is a dict
        elif kind is SharedContext:
            if value.walked is None:  # type: ignore[attr-defined]  # it is Shared
                value.walked = _flatten_shared(value.value)  # type: ignore[attr-defined]
            known_texts, known_shape = value.walked  # type: ignore[attr-defined]
            texts += known_texts
            shape.append(known_shape)
        else:
            raise TypeError(f"a context holds no {kind.__name__}")


def _flatten_shared(value: object) -> tuple[list[str], Hashable]:
    texts: list[str] = []
    shape: list[Hashable] = []
    _flatten((value,), texts, {}, shape)
    return texts, tuple(shape)


def _escaped(texts: list[str]) -> list[bytes]:
    """Return the texts HTML-escaped: all at once, which is many times faster."""
    values = escape("\0".join(texts)).encode().split(b"\0")
    if len(values) == len(texts):
        return values
    return [escape(text).encode() for text in texts]  # one has a NUL


_NAMES = {None: "n", True: "t", False: "f"}


def _plain(value: object) -> Any:  # noqa: ANN401 (what a template takes)
    """Return `value` as Jinja needs it."""
    if isinstance(value, SharedContext):
        return _plain(value.value)
    if isinstance(value, tuple):
        return tuple(_plain(member) for member in value)
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return value


def _slotted(value: object, counter: _SlotCounter) -> Any:  # noqa: ANN401 (what a template takes)
    """Return `value` with a slot for every text, numbered in the order of `_flatten`."""
    if isinstance(value, SharedContext):
        return _slotted(value.value, counter)
    if isinstance(value, str | Html):
        return _Slot(counter.next())
    if isinstance(value, tuple):
        return tuple(_slotted(member, counter) for member in value)
    if isinstance(value, dict):
        return {name: _slotted(member, counter) for name, member in value.items()}
    return value


def _assets(folders: list[Path]) -> dict[str, tuple[OutPath, bytes]]:
    assets: dict[str, tuple[OutPath, bytes]] = {}
    for folder in reversed(folders):
        if not (folder / "assets").is_dir():
            continue
        for file in sorted((folder / "assets").iterdir()):
            if file.is_file() and not file.name.startswith("."):
                content = file.read_bytes()
                digest = sha256(content).hexdigest()[:10]
                path = OutPath(f"assets/{file.stem}-{digest}{file.suffix}")
                assets[file.name] = (path, content)
    return assets


def _files(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in entries if file.is_file() and not file.name.startswith(".")]


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _signature(folders: list[Path]) -> frozenset[tuple[str, int, int, int]]:
    stamps = set()
    for folder in (each for root in folders for each in (root, root / "assets") if each.is_dir()):
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):  # deleted meanwhile, or the dead link of an Emacs lock
                    stat = entry.stat()
                    stamps.add((entry.path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return frozenset(stamps)


def _template_error(name: str, error: Exception) -> TemplateError:
    """Return a TemplateError with the template and line where an error happened."""
    part, line = _location(error)
    where = f" ({part})" if part and part != name else ""
    at = f", line {line}" if line else ""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    if isinstance(error, RecursionError):
        message = "it includes or calls itself endlessly"
    return TemplateError(
        f"cannot render the template {name}{where}{at}: {message}",
        hint="docs/reference/templates.md lists what a template may use; the old pages are kept",
    )


def _location(error: Exception) -> tuple[str | None, int | None]:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.name, error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.endswith(_TEMPLATE_SUFFIXES):  # Jinja puts templates into its tracebacks
            return Path(frame.filename).name, frame.lineno
    return None, None
