"""House rules that a machine can tell."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "generator"
MODULES = sorted([*GENERATOR.rglob("*.py"), *(ROOT / "api_lambda").rglob("*.py")])
MOST_LINES = 700
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
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_name_says_something(module: Path) -> None:
    assert [name for name in names_in(module) if words_of(name) & SAY_NOTHING] == []


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


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_only_the_command_line_prints(module: Path) -> None:
    assert module.parent == GENERATOR / "cli" or calls_of(module, "print") == []


def test_the_theme_holds_no_python() -> None:
    files = [path for path in (ROOT / "templates").rglob("*") if path.is_file()]

    assert files
    assert [file.name for file in files if file.suffix not in THEME_FILES] == []
