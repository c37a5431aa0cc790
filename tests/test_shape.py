"""House rules that a machine can tell."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

GENERATOR = ROOT / "generator"
MODULES = sorted([*GENERATOR.rglob("*.py"), *(ROOT / "api_lambda").rglob("*.py")])
TEST_MODULES = sorted((ROOT / "tests").rglob("*.py"))
MAX_LINES = 700
OUR_OWN_PHRASES = re.compile(  # redirects, acknowledge, dead letters, unknown, low priority, sync
    r"\b(leads? on|lets? go of|puts? aside|nobody knows( of)?|stands? back|bring home"
    r"|brought to the disk|what who|tells? (whether|how|why|what)|(is|are) told at once"
    r"|a happening)\b",
    re.IGNORECASE,
)
FEW_LINES = 3
COULD_BE_ANYTHING = {"told", "said", "one", "found", "wanted", "known", "some"}
STILL_VAGUE = {"generator/scan/probe.py": 1}  # a key of receipts; this list only shrinks
ONCE_EACH = {"main"}  # programs begin so
SAY_NOTHING = {"utils", "helpers", "manager", "process", "handle", "data", "info"}
THEME_FILES = {".html", ".xml", ".txt", ".css", ".js", ".svg"}


def name_of(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"), str(module))


def names_in(module: Path) -> Iterator[str]:
    yield module.stem
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def words_of(name: str) -> set[str]:
    """Return the words of a name, written_so or WrittenSo, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def defined_in(module: Path) -> Iterator[str]:
    """Yield the classes of a module, and its public functions."""
    for node in tree_of(module).body:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.ClassDef) or (
            is_function and not node.name.startswith("_") and not typer_command(node)
        ):
            yield node.name


def typer_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function is a command: its name is for people."""
    return any("app.command" in ast.unparse(decorator) for decorator in node.decorator_list)


Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
Short = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda


def vague_names(module: Path) -> Iterator[str]:
    """Yield the names that could hold anything and live longer than a few lines."""
    tree = tree_of(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.strip("_") in COULD_BE_ANYTHING:
                yield node.name
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and node.attr.strip("_") in COULD_BE_ANYTHING
        ):
            yield node.attr
        if isinstance(node, Scope):
            yield from _long_lived(node)


def _long_lived(scope: Scope) -> Iterator[str]:
    lines: dict[str, list[int]] = {}
    bound: set[str] = set()
    for node in _within(scope):
        if isinstance(node, ast.Name) and node.id in COULD_BE_ANYTHING:
            lines.setdefault(node.id, []).append(node.lineno)
            if not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
        elif isinstance(node, ast.arg) and node.arg in COULD_BE_ANYTHING:
            lines.setdefault(node.arg, []).append(node.lineno)
            bound.add(node.arg)
    yield from (name for name in bound if max(lines[name]) - min(lines[name]) >= FEW_LINES)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a scope, but for other scopes in it and names that live in a bracket."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Scope):
            continue
        if isinstance(child, Short):
            own = {
                name.id
                for name in ast.walk(child)
                if isinstance(name, ast.Name) and not isinstance(name.ctx, ast.Load)
            }
            own |= {argument.arg for argument in ast.walk(child) if isinstance(argument, ast.arg)}
            yield from (
                inner
                for inner in ast.walk(child)
                if isinstance(inner, ast.Name) and inner.id not in own
            )
            continue
        yield child
        yield from _within(child)


def calls_of(module: Path, function: str) -> list[int]:
    """Return the lines on which a function is called by its bare name."""
    return [
        node.lineno
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
    ]


def test_there_are_modules_to_look_at() -> None:
    assert GENERATOR / "build" / "engine.py" in MODULES
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_module_is_too_long_to_be_read_at_once(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_name_says_something(module: Path) -> None:
    assert [name for name in names_in(module) if words_of(name) & SAY_NOTHING] == []


def test_classes_and_public_functions_have_one_name_each() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for name in defined_in(module):
            places.setdefault(name, []).append(name_of(module))

    doubled = {name: where for name, where in places.items() if len(where) > 1}
    assert doubled.keys() <= ONCE_EACH, doubled


@pytest.mark.parametrize("module", [*MODULES, *TEST_MODULES], ids=name_of)
def test_what_lives_longer_than_a_few_lines_is_called_what_it_is(module: Path) -> None:
    names = sorted(vague_names(module))

    assert len(names) == STILL_VAGUE.get(name_of(module), 0), names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(told):\n\n\n\n    return told", ["told"]),
        ("def f(told):\n    return told", []),
        ("def f():\n    x = [one\n\n\n\n for one in y]", []),
        ("def f():\n    one = 1\n    def g():\n        pass\n\n    return one", ["one"]),
        ("def told():\n    pass", ["told"]),
        ("class A:\n    def f(self):\n        self._found = 1", ["_found"]),
    ],
)
def test_vague_names_are_found_where_they_live_long(
    tmp_path: Path, code: str, names: list[str]
) -> None:
    (tmp_path / "module.py").write_text(code, encoding="utf-8")

    assert list(vague_names(tmp_path / "module.py")) == names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("write_data", {"write", "data"}),
        ("DataManager", {"data", "manager"}),
        ("HTTPInfo", {"http", "info"}),
        ("_handled", {"handled"}),
        ("database", {"database"}),
    ],
)
def test_names_are_taken_apart_into_whole_words(name: str, words: set[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_module_that_holds_something_says_what_it_is(module: Path) -> None:
    tree = tree_of(module)

    assert not tree.body or ast.get_docstring(tree)


TEXTS = sorted(
    path
    for path in [
        *MODULES,
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]
    if "adr" not in path.parts
)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_phrases_that_have_a_word_in_the_field_do_not_come_back(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())

    assert [match[0] for match in OUR_OWN_PHRASES.finditer(text)] == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_only_the_command_line_prints(module: Path) -> None:
    assert module.parent == GENERATOR / "cli" or calls_of(module, "print") == []


def test_the_theme_holds_no_python() -> None:
    files = [path for path in (ROOT / "templates").rglob("*") if path.is_file()]

    assert files
    assert [file.name for file in files if file.suffix not in THEME_FILES] == []
