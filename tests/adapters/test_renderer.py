"""The renderer: filled templates give the bytes that Jinja gives, or are left to Jinja."""

from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.adapters.renderer import Renderer
from generator.core.errors import TemplateError
from generator.core.site.contexts import Html, SharedContext

FRAME = {"title": "Site", "base": "", "url": "https://x", "nav": ()}
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def renderer(folder: Path, **templates: str) -> Renderer:
    folder.mkdir(exist_ok=True)
    for name, source in templates.items():
        (folder / f"{name}.html").write_text(source, encoding="utf-8")
    return Renderer(folder, None, FRAME)


def by_jinja(source: str, context: dict[str, object]) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(context)


SOURCES = [
    "{{ a }}|{{ b }}",
    "{{ a }}{{ a }}{% if flag %}{{ b }}{% else %}no{% endif %}",
    "{% for one in many %}<i>{{ one.x }}-{{ loop.index }}</i>{% endfor %}",
    "{% if none is none %}{{ a|e }}{% endif %}{{ many|length }}",
    "{{ a|upper }}{{ b }}",
    "{{ a|length }}",
    "{% if a == b %}same{% endif %}{{ a }}",
    "{% if a %}some{% endif %}",
    "{{ a|safe }}",
    "{% set c %}{{ a }}{{ b }}{% endset %}{{ c|length }}",
    "{% filter upper %}{{ a }}{% endfilter %}",
    "{{ (a ~ b)|truncate(5) }}",
    "{{ a|replace('a', 'b') }}{{ [a, b]|join(',') }}",
    "{% macro m(x) %}{{ x|upper }}{% endmacro %}{{ m(a) }}",
    "{% autoescape false %}{{ a }}{% endautoescape %}",
    "{{ a[0:2] }}{{ 'x' if a < b else 'y' }}",
    '<p title="{{ a }}">{{ html }}</p>',
    "{% if a is string %}text{% endif %}{{ a is sequence }}",
    "{% if flag is true %}{{ a }}{% endif %}{{ b is escaped }}",
]


@pytest.mark.parametrize("source", SOURCES)
@given(data=st.data())
def test_a_template_gives_what_jinja_gives(
    tmp_path_factory: pytest.TempPathFactory, source: str, data: st.DataObject
) -> None:
    made = renderer(tmp_path_factory.mktemp("templates"), page=source)
    for _ in range(3):  # the shapes of earlier contexts are remembered
        many = data.draw(st.lists(TEXT, max_size=3))
        context = {
            "a": data.draw(TEXT),
            "b": data.draw(TEXT),
            "flag": data.draw(st.booleans()),
            "none": None,
            "many": tuple({"x": text} for text in many),
            "html": Html(b"<b>bold</b>"),
        }

        assert made.render("page.html", context).decode() == by_jinja(source, context)


def test_what_pages_share_is_walked_once_and_printed_the_same(tmp_path: Path) -> None:
    source = "{% for one in links %}{{ one.label }},{% endfor %}{{ a }}"
    made, links = renderer(tmp_path, page=source), ({"label": "<x>"}, {"label": "y"})
    shared = SharedContext(links)

    told = [made.render("page.html", {"links": shared, "a": text}) for text in ("1", "2")]

    assert told == [b"&lt;x&gt;,y,1", b"&lt;x&gt;,y,2"]


def test_an_own_template_comes_before_ours(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "page.html").write_text("mine {{ a }}", encoding="utf-8")
    renderer(tmp_path / "ours", page="ours", other="other")

    made = Renderer(tmp_path / "ours", tmp_path / "own", FRAME)

    assert made.render("page.html", {"a": "!"}) == b"mine !"
    assert made.render("other.html", {}) == b"other"


def test_a_change_of_an_included_template_is_a_change_of_its_pages(tmp_path: Path) -> None:
    before = renderer(tmp_path, page="{% include 'part.html' %}", part="one", other="x")
    digests = {name: before.inputs(name) for name in ("page.html", "other.html")}
    assert before.render("page.html", {}) == b"one"

    after = renderer(tmp_path, part="two")

    assert after.render("page.html", {}) == b"two"
    assert before.is_outdated()
    assert after.inputs("page.html") != digests["page.html"]
    assert after.inputs("other.html") == digests["other.html"]


def test_an_asset_has_a_digest_in_its_name_and_templates_know_it(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "style.css").write_text("a{}", encoding="utf-8")
    made = renderer(tmp_path, page="{{ assets.style }}")

    (path,) = made.assets()

    assert made.render("page.html", {}).decode() == f"/{path}"
    assert path.startswith("assets/style-")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% if %}", "line 1"),
        ("{{ nobody }}", "'nobody' is undefined"),
        ("{% include name %}", "computed name"),
        ("{% extends 'gone.html' %}", "gone.html"),
    ],
)
def test_a_wrong_template_says_what_is_wrong(tmp_path: Path, source: str, message: str) -> None:
    made = renderer(tmp_path, page=source)

    with pytest.raises(TemplateError, match=message):
        made.render("page.html", {"name": "x"})
