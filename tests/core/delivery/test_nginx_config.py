"""The nginx configuration: whatever folders are called, nginx reads their names as they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import NGINX_TEMPLATE

from generator.core.delivery.nginx import PLAY_TYPES, config, content_policy, security_headers
from generator.core.formatting import MEDIA_TYPES
from generator.core.library.file_filter import VIDEO_SUFFIXES

TEMPLATE = NGINX_TEMPLATE.read_text(encoding="utf-8")
NASTY = " \"'\\$;{}#~@*%\n\t\r().[]abéß😀"

names = st.text(st.sampled_from(NASTY) | st.characters(exclude_categories=["Cs"]), min_size=1).map(
    lambda text: text.replace("/", "").replace("\0", "")[:40] or "x"
)
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@dataclass
class Block:
    """A directive as nginx reads it: its words, and what stands between its braces."""

    words: tuple[str, ...]
    inside: list["Block"] = field(default_factory=list)

    def all(self) -> Iterator["Block"]:
        yield self
        for block in self.inside:
            yield from block.all()

    def named(self, name: str) -> list["Block"]:
        return [block for block in self.all() if block.words[:1] == (name,)]


WORD = re.compile(
    r'\s+|#[^\n]*\n|(?P<sign>[;{}])|"(?P<quoted>(?:[^"\\]|\\.)*)"(?=[\s;{)])'
    r"|'(?P<single>(?:[^'\\]|\\.)*)'(?=[\s;{)])"
    r"|(?P<plain>(?:[^\s;{\"\\]|\\.|\$\{)(?:[^\s;{\\]|\\.|(?<=\$)\{)*)",
    re.DOTALL,
)
MEANS = {'\\"': '"', "\\'": "'", "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}


def read(text: str) -> Block:
    """Read a configuration by nginx's own rules for words, quotes and braces."""
    outer: list[Block] = [Block(("main",))]
    words: list[str] = []
    at = 0
    while at < len(text):
        word = WORD.match(text, at)
        assert word, f"nginx would stumble at {text[at : at + 60]!r}"
        at = word.end()
        if word["sign"] == "}":
            outer.pop()
        elif word["sign"]:
            block = Block(tuple(words))
            outer[-1].inside.append(block)
            words = []
            if word["sign"] == "{":
                outer.append(block)
        else:
            kinds = (word["quoted"], word["single"], word["plain"])
            raw = next((kind for kind in kinds if kind is not None), None)
            if raw is None:  # a space, or a comment
                continue
            words.append(re.sub(r"\\[\"'\\nrt]", lambda escape: MEANS[escape[0]], raw))
    assert len(outer) == 1
    assert not words
    return outer[0]


def filled(
    *,
    out: str = "/srv/site",
    roots: dict[str, str] | None = None,
    base: str = "",
    **more: bool | str,
) -> Block:
    roots = {"": "/srv/films"} if roots is None else roots
    text = config(TEMPLATE, out=out, roots=roots, listen="80", server_name="_", base=base, **more)  # type: ignore[arg-type]
    return read(text)


def expanded(word: str) -> str:
    """Return what a word means where nginx expands variables."""
    assert "$" not in word.replace("${reelshelf_dollar}", "")
    return word.replace("${reelshelf_dollar}", "$")


def places(conf: Block) -> list[tuple[str, str]]:
    return [
        (location.words[-1], expanded(alias.words[1]))
        for location in conf.named("location")
        for alias in location.inside
        if alias.words[0] == "alias"
    ]


@given(out=paths, roots=st.dictionaries(names, paths, min_size=1, max_size=3))
def test_nginx_reads_every_name_as_it_is(out: str, roots: dict[str, str]) -> None:
    conf = filled(out=out, roots=roots)

    assert places(conf) == [
        ("/", out + "/"),
        *((f"/video/{name}/", path + "/") for name, path in roots.items()),
    ]


@given(name=names, path=paths)
def test_the_pattern_of_a_root_takes_its_films_and_nothing_hidden(name: str, path: str) -> None:
    (location,) = (
        block
        for block in filled(roots={name: path}).named("location")
        if "(?i:3g2" in block.words[-1]
    )
    takes = re.compile(location.words[-1].removesuffix(r"\z") + r"\Z").match

    assert takes(f"/video/{name}/film.mkv")
    assert takes(f"/video/{name}/a folder/b/FILM.x.MP4")
    assert not takes(f"/video/{name}/.film.mkv")
    assert not takes(f"/video/{name}/.trash/film.mkv")
    assert not takes(f"/video/{name}/page.html")
    assert not takes(f"/video/{name}/film.mkv\n")


digests = st.text("0123456789abcdef", min_size=1, max_size=32)


@given(
    base=st.sampled_from(["", "/sub", "/a/b.c~d"]),
    video=st.integers(0, 10**9),
    digest=digests,
    name=st.sampled_from([("board", "webp"), ("board", "vtt"), ("text", "vtt")]),
)
def test_what_has_a_digest_is_kept_and_the_pages_beside_it_are_not(
    base: str, video: int, digest: str, name: tuple[str, str]
) -> None:
    (location,) = (
        block
        for block in filled(base=base).named("location")
        if "~" in block.words and "board" in block.words[-1]
    )
    takes = re.compile(location.words[-1].removesuffix(r"\z") + r"\Z").match
    folder, suffix = name

    assert takes(f"{base}/{folder}/{video // 1000}/{video}-{digest}.{suffix}")
    assert not takes(f"{base}/text/{video // 1000}/{video}-chapters.vtt")
    assert not takes(f"{base}/board/{video // 50}.json")
    assert not takes(f"{base}/board/{video // 1000}/{video}-{digest}.html")


@given(out=paths)
def test_a_dollar_is_defined_where_one_is_needed(out: str) -> None:
    defined = [block.words for block in filled(out=out).named("geo")]

    assert defined == ([("geo", "$reelshelf_dollar")] if "$" in out else [])


@given(path=paths)
def test_links_are_followed_only_when_asked(path: str) -> None:
    (unasked,) = filled(roots={"": path}).named("disable_symlinks")
    (asked,) = filled(roots={"": path}, follow_links=True).named("disable_symlinks")

    assert unasked.words[:2] == ("disable_symlinks", "on")
    assert expanded(unasked.words[2]) == f"from={path}/"
    assert asked.words == ("disable_symlinks", "off")


@pytest.mark.parametrize("base", ["", "/sub", "/a/b.c~d"])
def test_no_location_has_a_header_of_its_own(base: str) -> None:
    conf = filled(base=base)
    (server,) = conf.named("server")
    of_the_server = [block.words for block in server.inside if block.words[0] == "add_header"]

    assert [block.words for block in conf.named("add_header")] == of_the_server
    assert {words[-1] for words in of_the_server} == {"always"}
    sent = {words[1]: words[2] for words in of_the_server}
    assert sent.pop("Cache-Control") == "$reelshelf_cache"
    assert sent.pop("Retry-After") == "$reelshelf_retry"
    assert sent == security_headers(content_policy())


def test_a_site_below_a_folder_has_only_that_folder() -> None:
    conf = filled(base="/sub/folder", roots={"": "/srv/films"})

    assert places(conf) == [
        ("/sub/folder/", "/srv/site/"),
        ("/sub/folder/video/", "/srv/films/"),
    ]
    assert ("return", "301", "/sub/folder/") in [block.words for block in conf.named("return")]
    assert ("error_page", "404", "/sub/folder/404.html") in [
        block.words for block in conf.named("error_page")
    ]


def test_every_type_of_video_is_told_and_served() -> None:
    conf = filled()
    served_types = {
        suffix: block.words[0]
        for types in conf.named("types")
        for block in types.inside
        for suffix in block.words[1:]
    }

    assert MEDIA_TYPES.keys() <= VIDEO_SUFFIXES
    assert {suffix: served_types[suffix] for suffix in MEDIA_TYPES} == MEDIA_TYPES
    assert {suffix: served_types[suffix] for suffix in PLAY_TYPES} == PLAY_TYPES


def test_without_ipv6_a_port_is_taken_of_ipv4_alone() -> None:
    assert [one.words for one in filled(ipv6=False).named("listen")] == [("listen", "80")]


def test_brotli_is_asked_for_only_when_it_is_there() -> None:
    assert not filled().named("brotli_static")
    assert [block.words for block in filled(brotli=True).named("brotli_static")] == [
        ("brotli_static", "on")
    ]


@pytest.mark.parametrize(
    ("listen", "lines"),
    [
        ("80", [("80",), ("[::]:80",)]),
        ("443 ssl http2", [("443", "ssl", "http2"), ("[::]:443", "ssl", "http2")]),
        ("127.0.0.1:8080", [("127.0.0.1:8080",)]),
        ("unix:/run/site.sock", [("unix:/run/site.sock",)]),
    ],
)
def test_a_bare_port_is_taken_of_both_protocols(listen: str, lines: list[tuple[str, ...]]) -> None:
    text = config(
        TEMPLATE, out="/o", roots={"": "/l"}, listen=listen, server_name="a.example *.b", base=""
    )

    assert [block.words[1:] for block in read(text).named("listen")] == lines
    assert [block.words[1:] for block in read(text).named("server_name")] == [("a.example", "*.b")]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"out": "site"}, "absolute path"),
        ({"out": "/a\0b"}, "zero byte"),
        ({"out": "/not-utf8-\udcff"}, "not UTF-8"),
        ({"out": "/" + "x" * 4096}, "too long for nginx"),
        ({"roots": {"": "films"}}, "absolute path"),
        ({"roots": {"\udcff": "/films"}}, "not UTF-8"),
        ({"roots": {"x" * 248: "/films"}}, "255 bytes"),
        ({"listen": "80; evil"}, "listen"),
        ({"listen": ""}, "listen"),
        ({"server_name": "a; }"}, "server_name"),
        ({"server_name": "~^regular$"}, "server_name"),
        ({"base": "/a b"}, "cannot be served at"),
        ({"ignore": ("[\xe0-\U0010ffff]" * 60,)}, "expression is too long"),
        ({"base": "sub"}, "cannot be served at"),
        ({"base": "/sub/"}, "cannot be served at"),
        ({"base": "/.hidden"}, "cannot be served at"),
    ],
)
def test_what_nginx_cannot_express_is_refused(wrong: dict[str, object], reason: str) -> None:
    right = {"out": "/o", "roots": {"": "/l"}, "listen": "80", "server_name": "_", "base": ""}

    with pytest.raises(ValueError, match=reason):
        config(TEMPLATE, **(right | wrong))  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("api", "server"),
    [
        ("8001", "127.0.0.1:8001"),
        ("localhost:8001", "localhost:8001"),
        ("[::1]:8001", "[::1]:8001"),
        ("unix:/run/reelshelf/api.sock", "unix:/run/reelshelf/api.sock"),
        ('unix:/a b;"$c', 'unix:/a b;"$c'),
    ],
)
def test_the_api_is_handed_on_to_wherever_it_is(api: str, server: str) -> None:
    conf = filled(base="/films", api=api)

    (upstream,) = conf.named("upstream")
    passed, *others = conf.named("proxy_pass")
    assert others == [passed, passed]  # the API, the owner's pages, and /metrics
    assert ("server", server) in [block.words for block in upstream.inside]
    assert passed.words[1] == f"http://{upstream.words[1]}$reelshelf_api"
    assert "/films/api/" in [location.words[-1] for location in conf.named("location")]


def test_without_an_api_nothing_is_handed_on() -> None:
    conf = filled()

    assert conf.named("proxy_pass") == conf.named("upstream") == []


@pytest.mark.parametrize("api", ["nowhere", "8001;", "unix:relative", "host:123456", "a b:1"])
def test_an_address_that_is_none_is_refused(api: str) -> None:
    with pytest.raises(ValueError, match=r"API|socket"):
        filled(api=api)
