"""Templates to bytes: plain Jinja2, partially evaluated.

A template that only prints, loops and asks for none, true and false gives the same text around its
values for every context of the same shape. So it is rendered once per shape, with a slot in place
of every text; afterwards its slots are filled, without Jinja. A slot can be printed and nothing
else: whatever else a template does with it raises, and that template is then rendered by Jinja
every time. Both ways give the same bytes.

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
_ENDINGS = (".html", ".xml", ".txt")
_MOST_SHAPES = 5000
_MOST_S = 30.0  # of one page
_MOST_CHARACTERS = 64 << 20  # of one page
_MOST_TURNS = 1_000_000  # of a loop over numbers
_ALIKE, _ASSETS_ALIKE = 0.6, 0.8  # names that may be meant for another
_HARMLESS_TESTS = {"none", "defined", "undefined", "true", "false", "boolean"}
_UNSEEN_BY_SLOTS = (
    nodes.FilterBlock,
    nodes.AssignBlock,
    nodes.CallBlock,
    nodes.Macro,
    nodes.EvalContextModifier,
)

# Pieces of text with room for a value between each two; the value that goes into each room.
Skeleton = tuple[list[bytes], list[int]]


class Renderer:
    """The templates of one site: ours, and those that the owner put in front of them.

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
            bytecode_cache=_Compiled(),
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
        self._facts: dict[str, _Facts] = {}
        self._compiles: dict[str, bool] = {}
        self.plain: set[str] = set()  # templates that were rendered by Jinja, not filled
        self._skeletons: dict[tuple[Hashable, ...], Skeleton | None] = {}

    def render(self, name: str, context: Context) -> bytes:
        """Return the page that a template makes of a context.

        Raises:
            TemplateError: the template is missing, wrong, or asks for what is not there.
        """
        texts: list[str] = []
        raw: dict[int, bytes] = {}
        shape: list[Hashable] = [name]
        _walk(context.values(), texts, raw, shape)
        key = tuple(shape)
        try:
            skeleton = self._skeletons[key]
        except KeyError:
            if len(self._skeletons) >= _MOST_SHAPES:
                self._skeletons.clear()
            skeleton = self._skeletons[key] = self._remembered(name, key, context)
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
        """Return a digest of all that a template's pages are made from beside their contexts.

        Raises:
            TemplateError: the template is missing or wrong.
        """
        known = self._inputs.get(name)
        if known is not None:
            return known
        digest = sha256(self._frame_digest)
        for part in sorted(self._closure(name)):
            digest.update(part.encode() + b"\0" + self._facts_of(part).source.encode() + b"\0")
        known = self._inputs[name] = digest.hexdigest()[:32]
        return known

    @property
    def signature(self) -> str:
        """Return what is another text when a file of the templates, or we, may have changed."""
        told = (sorted(self._signature), self._frame_digest, jinja2.__version__, __version__)
        return sha256(repr(told).encode()).hexdigest()[:32]

    def adopt(self, inputs: Mapping[str, str]) -> None:
        """Take the digests of `inputs` from one with the same signature."""
        self._inputs.update(inputs)

    def is_outdated(self) -> bool:
        """Tell whether a file of the templates changed since this was made."""
        return self.present() != self._signature

    def present(self) -> Hashable:
        """Return what is another value when a file of the templates is another one."""
        return _signature(self._folders)

    def assets(self) -> dict[OutPath, bytes]:
        """Return the files that stand beside the pages, a digest in each name."""
        return dict(self._assets.values())

    def unused(self) -> list[str]:
        """Tell of files among the owner's templates that nothing uses: misnamed ones, perhaps.

        A file counts as used where one of ours is called so, or one of theirs names it.
        """
        if self._own is None:
            return []
        own, told = self._own, []
        texts = [_text_of(file) for file in _files(own) if file.suffix in _ENDINGS]
        for folder, most_alike in (("", _ALIKE), ("assets", _ASSETS_ALIKE)):
            ours = {file.name for file in _files(self._shipped / folder)}
            for file in _files(own / folder):
                is_template = folder == "assets" or file.suffix in _ENDINGS
                names = (f"assets.{file.stem}", file.name) if folder else (file.name,)
                if not is_template or file.name in ours:
                    continue
                if any(name in text for text in texts for name in names):
                    continue
                close = get_close_matches(file.name, ours, 1, most_alike)
                if close or (not folder and file.suffix != ".txt"):
                    meant = f"; did you mean {close[0]}?" if close else ""
                    told.append(f"nothing uses {file}{meant}")
        return told

    # -- plain

    def _render(self, name: str, context: Mapping[str, Any]) -> str:
        try:
            return _bounded(self._template(name), _plain(context))
        except Exception as error:  # a template is a program of its author
            raise _wrong(name, error) from error

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
                hint="one that extends, includes or imports it names it wrongly, perhaps",
            ) from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise TemplateError(
                f"cannot read the template {name}, line {line}: it is not UTF-8",
                hint="have your editor save the file as UTF-8; the old pages are kept",
            ) from error
        except jinja2.TemplateError as error:
            raise _wrong(name, error) from error

    def _facts_of(self, name: str) -> "_Facts":
        known = self._facts.get(name)
        if known is None:
            source = self._source(name)
            known = self._facts[name] = _FACTS.get(source) or self._told(name, source)
        return known

    def _told(self, name: str, source: str) -> "_Facts":
        try:
            tree = self._environment.parse(source, name)
        except jinja2.TemplateError as error:
            raise _wrong(name, error) from error
        if len(_FACTS) >= _MOST_TEMPLATES:
            _FACTS.clear()
        references = tuple(meta.find_referenced_templates(tree))
        made = _FACTS[source] = _Facts(source, references, _only_prints(tree))
        return made

    def _closure(self, name: str) -> set[str]:
        """Return a template and all that it extends, includes and imports."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            part = waiting.pop()
            if part in found:
                continue
            found.add(part)
            for reference in self._facts_of(part).references:
                if reference is None:
                    raise TemplateError(
                        f"cannot use the template {part}: it includes one by a computed name",
                        hint="write the name out: a change of a computed one could not be seen",
                    )
                waiting.append(reference)
        return found

    # -- filled

    def _skeleton(self, name: str, context: Context) -> Skeleton | None:
        if not self._compilable(name):
            return None
        try:
            text = _bounded(self._template(name), _slotted(context, _Counter()))
        except Exception:  # noqa: BLE001 (whatever it is, the plain way shows it, or works)
            return None
        pieces = _MARK.split(text)
        if any(_MARK_ENDS.search(literal) for literal in pieces[::2]):
            return None  # something took a mark apart
        return _spread(pieces[::2], [int(slot) for slot in pieces[1::2]])

    def _remembered(
        self, name: str, key: tuple[Hashable, ...], context: Context
    ) -> Skeleton | None:
        """Return a skeleton, from memory if it is there: to parse and compile takes longer."""
        told = f"{self.inputs(name)} {key!r}"
        place = sha256(told.encode()).hexdigest()[:32]
        known = self._recall(place)
        if known:
            pieces, slots = json.loads(known)
            return _spread(pieces, slots) if slots is not None else None
        skeleton = self._skeleton(name, context)
        self.learned[place] = json.dumps(
            ([], None)
            if skeleton is None
            else ([piece.decode() for piece in skeleton[0][::2]], skeleton[1])
        )
        return skeleton

    def _compilable(self, name: str) -> bool:
        known = self._compiles.get(name)
        if known is None:
            known = all(self._facts_of(part).only_prints for part in self._closure(name))
            self._compiles[name] = known
        return known


class _EndlessError(Exception):
    """A template takes too long, or makes too much."""


def _bounded(template: jinja2.Template, context: Mapping[str, Any]) -> str:
    """Return what a template makes, within bounds: it is a program, and may have no end."""
    parts, size = [], 0
    with _within(_MOST_S):
        for part in template.generate(context):
            parts.append(part)
            size += len(part)
            if size > _MOST_CHARACTERS:
                raise _EndlessError(f"it makes a page of more than {_MOST_CHARACTERS >> 20} MB")
    return "".join(parts)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Interrupt the block after so many seconds, in the main thread: elsewhere it may go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> NoReturn:
        raise _EndlessError(f"it works on one page for more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _short_range(*bounds: int) -> range:
    """Return a range that is not longer than any page can be."""
    numbers = range(*bounds)
    if len(numbers) > _MOST_TURNS:
        raise _EndlessError(f"a range of more than {_MOST_TURNS} numbers")
    return numbers


def _spread(literals: Sequence[str], slots: list[int]) -> Skeleton:
    spread: list[bytes] = [b""] * (2 * len(literals) - 1)
    spread[::2] = [literal.encode() for literal in literals]
    return spread, slots


def _only_prints(tree: nodes.Template) -> bool:
    if next(tree.find_all(_UNSEEN_BY_SLOTS), None) is not None:
        return False
    return all(node.name in _HARMLESS_FILTERS for node in tree.find_all(nodes.Filter)) and all(
        node.name in _HARMLESS_TESTS for node in tree.find_all(nodes.Test)
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is to be known of a template's text; whoever has the text has all of it."""

    source: str
    references: tuple[str | None, ...]
    only_prints: bool


# For all sites of a process: after an edit what was not edited is still known.
_FACTS: dict[str, _Facts] = {}
_CODE: dict[str, bytes] = {}
_MOST_TEMPLATES = 500


class _Compiled(jinja2.BytecodeCache):
    """Compiled templates by their place; Jinja sees to it that they are of the same text."""

    @override
    def load_bytecode(self, bucket: "jinja2.bccache.Bucket") -> None:
        """Give what was compiled before from the same text."""
        known = _CODE.get(bucket.key)
        if known is not None:
            bucket.bytecode_from_string(known)

    @override
    def dump_bytecode(self, bucket: "jinja2.bccache.Bucket") -> None:
        """Take what was compiled."""
        if len(_CODE) >= _MOST_TEMPLATES:
            _CODE.clear()
        _CODE[bucket.key] = bucket.bytecode_to_string()


class _MisuseError(Exception):
    """A template did more with a slot than print it."""


class _Slot:
    """Stands for a text while a template is rendered for its shape; can only be printed."""

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


class _Counter:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = -1

    def next(self) -> int:
        self.count += 1
        return self.count


def _walk(
    members: Iterable[object],
    texts: list[str],
    raw: dict[int, bytes],
    shape: list[Hashable],
) -> None:
    """Put what a template prints into `texts`, in the order met, and all else into `shape`.

    The shape is what a template could tell apart without reading a text: which values are none,
    true or false, how long sequences are, and how all is nested. HTML goes into `raw`, by its
    place among the texts.
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
            _walk(value, texts, raw, shape)  # type: ignore[arg-type]
        elif kind is dict:
            shape.append("{")
            _walk(value.values(), texts, raw, shape)  # type: ignore[attr-defined]  # it is a dict
        elif kind is SharedContext:
            if value.walked is None:  # type: ignore[attr-defined]  # it is Shared
                value.walked = _walked(value.value)  # type: ignore[attr-defined]
            known_texts, known_shape = value.walked  # type: ignore[attr-defined]
            texts += known_texts
            shape.append(known_shape)
        else:
            raise TypeError(f"a context holds no {kind.__name__}")


def _walked(value: object) -> tuple[list[str], Hashable]:
    texts: list[str] = []
    shape: list[Hashable] = []
    _walk((value,), texts, {}, shape)
    return texts, tuple(shape)


def _escaped(texts: list[str]) -> list[bytes]:
    """Return the texts as they are printed: all at once, which is many times faster."""
    values = escape("\0".join(texts)).encode().split(b"\0")
    if len(values) == len(texts):
        return values
    return [escape(text).encode() for text in texts]  # one holds a zero character


_NAMES = {None: "n", True: "t", False: "f"}


def _plain(value: object) -> Any:  # noqa: ANN401 (what a template takes)
    """Return `value` as Jinja takes it."""
    if isinstance(value, SharedContext):
        return _plain(value.value)
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _slotted(value: object, counter: _Counter) -> Any:  # noqa: ANN401 (what a template takes)
    """Return `value` with a slot for every text, numbered as `_walk` meets them."""
    if isinstance(value, SharedContext):
        return _slotted(value.value, counter)
    if isinstance(value, str | Html):
        return _Slot(counter.next())
    if isinstance(value, tuple):
        return tuple(_slotted(one, counter) for one in value)
    if isinstance(value, dict):
        return {name: _slotted(one, counter) for name, one in value.items()}
    return value


def _assets(folders: list[Path]) -> dict[str, tuple[OutPath, bytes]]:
    found: dict[str, tuple[OutPath, bytes]] = {}
    for folder in reversed(folders):
        if not (folder / "assets").is_dir():
            continue
        for file in sorted((folder / "assets").iterdir()):
            if file.is_file() and not file.name.startswith("."):
                content = file.read_bytes()
                digest = sha256(content).hexdigest()[:10]
                path = OutPath(f"assets/{file.stem}-{digest}{file.suffix}")
                found[file.name] = (path, content)
    return found


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in found if file.is_file() and not file.name.startswith(".")]


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _signature(folders: list[Path]) -> frozenset[tuple[str, int, int, int]]:
    found = set()
    for folder in (each for root in folders for each in (root, root / "assets") if each.is_dir()):
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):  # gone again, or the link that Emacs locks a file with
                    stat = entry.stat()
                    found.add((entry.path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return frozenset(found)


def _wrong(name: str, error: Exception) -> TemplateError:
    """Return what to tell of an error, with the place in the template where it happened."""
    part, line = _place(error)
    where = f" ({part})" if part and part != name else ""
    at = f", line {line}" if line else ""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    if isinstance(error, RecursionError):
        message = "it includes or calls itself without an end"
    return TemplateError(
        f"cannot render the template {name}{where}{at}: {message}",
        hint="docs/reference/templates.md lists what a template may use; the old pages are kept",
    )


def _place(error: Exception) -> tuple[str | None, int | None]:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.name, error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.endswith(_ENDINGS):  # Jinja puts templates into its tracebacks
            return Path(frame.filename).name, frame.lineno
    return None, None
