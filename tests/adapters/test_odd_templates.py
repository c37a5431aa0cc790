"""Templates of an owner's that cannot be right: told with file and line, never without an end."""

from pathlib import Path

import pytest

from generator.adapters import renderer as adapter
from generator.adapters.renderer import Renderer
from generator.core.errors import TemplateError

FRAME: dict[str, object] = {"base": "", "nav": ()}


def made(folder: Path, **own: bytes) -> Renderer:
    (folder / "ours").mkdir()
    (folder / "theirs").mkdir()
    for name in ("page.html", "card.html"):
        (folder / "ours" / name).write_text("{{ title }}", encoding="utf-8")
    for name, content in own.items():
        (folder / "theirs" / f"{name}.html").write_bytes(content)
    return Renderer(folder / "ours", folder / "theirs", FRAME)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"one\ntwo\n\xff\n", "page, line 3: it is not UTF-8"),
        ("x\n".encode("utf-16"), "page, line 1: it is not UTF-8"),
        (b"a\n{% for %}", "line 2"),
        (b"a\n\n{{ nothing }}", "line 3"),
        (b"{% include 'page.html' %}", "endlessly"),
        (b"{% extends 'page.html' %}", "endlessly"),
        (b"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "endlessly"),
        (b"{% include 'cards.html' %}", "no template cards.html in "),
        (b"{% for i in range(10 ** 12) %}{% endfor %}", "a range of more than"),
        (
            b"{% for i in range(9999) %}" * 2 + b"{{ '.' * 999 }}" + b"{% endfor %}" * 2,
            "than 64 MB",
        ),
        (b"{{ 1 // 0 }}", "zero"),
        (b"{{ '.' * 10 ** 30 }}", "line 1"),
        (b"{{ title.nothing }}", "nothing"),
        (b"{{ title | nothing }}", "nothing"),
    ],
)
def test_a_template_that_cannot_be_right_is_told(
    tmp_path: Path, source: bytes, message: str
) -> None:
    renderer = made(tmp_path, page=source)

    with pytest.raises(TemplateError) as error:
        renderer.render("page.html", {"title": "x"})

    assert message in str(error.value).replace("page.html", "page")
    assert error.value.hint


def test_a_template_that_goes_on_and_on_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_MAX_S", 0.1)
    endless = (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}"
    )
    renderer = made(tmp_path, page=endless.encode())

    with pytest.raises(TemplateError, match="it takes more than"):
        renderer.render("page.html", {"title": "x"})


def test_a_misnamed_template_is_told_and_nothing_else_is(tmp_path: Path) -> None:
    renderer = made(tmp_path, cards=b"x", page=b"{% include 'part.html' %}", part=b"x")
    theirs = tmp_path / "theirs"
    (theirs / "notes.txt").write_text("mine", encoding="utf-8")
    (theirs / ".hidden.html").write_text("x", encoding="utf-8")
    (theirs / "assets/fonts").mkdir(parents=True)
    (theirs / "assets/fonts/a.woff2").write_bytes(b"x")
    (theirs / "assets/logo.svg").write_bytes(b"x")

    assert renderer.unused() == [f"nothing uses {theirs}/cards.html; did you mean card.html?"]


def test_the_link_that_an_editor_locks_a_template_with_is_no_matter(tmp_path: Path) -> None:
    renderer = made(tmp_path, page=b"x")
    (tmp_path / "theirs/.#page.html").symlink_to("somebody@somewhere.1234")

    assert renderer.is_outdated() in {True, False}
    assert renderer.render("page.html", {"title": "x"}) == b"x"
