"""What of a library is served: what a scan takes, and nothing else, by nginx and by `dev` alike."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from nginx_server import TEMPLATE, Ask, make_site, running, write, write_config

from generator.adapters.scanner import walk
from generator.core.delivery.nginx import config
from generator.core.errors import SettingsError
from generator.core.library.file_filter import compile_filter
from generator.devserver import ServedSite

pytestmark = pytest.mark.system("nginx")

FILM = b"a film"
SECRET = b"not for you"

TREE = (
    "film.mp4", "Film.MKV", "a/b/c.webm", "100%25.mp4", "q?a=b.mp4", "#1.mp4", "new\nline.mp4",
    "a b+c.mp4", "%2e.mp4", "tr\xe9s.mp4", "tre\u0301s.mp4", "\u00fc/\U0001f600.mp4", "x\udcff.mp4",
    "\udcc3/\udca9.mp4", "[x].mp4", "{2}.mp4", "$HOME.mp4", '"quoted".mp4', "back\\slash.mp4",
    "film.mp4.mp4", "a.temp", "-.mp4", "~.mp4", "film.mp4~", "film.mp4.part", "film.mp4.crdownload",
    "film.temp.mp4", "film.tmp.mkv", "film.TEMP.mp4", "film.temp.x.mp4", "x.temp/film.mp4",
    ".film.mp4", ".mp4", ".hidden/film.mp4", "a/.hidden/b/film.mp4", "...mp4", "a/..b/film.mp4",
    "@eaDir/film.mp4", "a/@EADIR/film.mp4", "$RECYCLE.BIN/S-1/film.mp4", "#recycle/film.mp4",
    "lost+found/film.mp4", "System Volume Information/film.mp4", "RECYCLER/film.mp4",
    "x@eaDir/film.mp4", "@eaDir.mp4", "film.download/film.mp4", "film.Download/film.mp4",
    "film.download.mp4", "__MACOSX/film.mp4", "networ\u212a trash folder/film.mp4",
    "network trash folder/film.mp4", "film.m\u212av", "film.mp4 ", "film.mp4.", "film.",
    "film.srt", "film.nfo", "film.jpg", "film.info.json", "folder.jpg", "page.html", "x.mp4.html",
    "raw/film.mp4", "raw/raw.mp4", "raw.mp4", "a/raw/film.mp4", "shows/x/extras/film.mp4",
    "shows/extras/film.mp4", "sample.mp4", "a/Sample.mp4", "ignored/i.mp4", "\xe9.mp4",
    "e\u0301.mp4", "\xe9/a.mp4", "\ud7ff.mp4", "\u0800.mp4", "\uffff.mp4", "\U0010ffff.mp4",
    "\x7f.mp4", "\x80.mp4",
)  # fmt: skip

# Forms of patterns: what the documents name, and all that may confuse a translation into bytes.
PATTERNS = (
    "*sample*", "[Ss]ample.*", "ignored", "ignored/", "raw/", "raw", "/raw", "/raw/", "a/raw",
    "shows/*/extras", "shows/**/extras", "**/extras", "a/**", "a/**/", "*.mp4/", "?.mp4", "??.mp4",
    "[!a-z]*", "[\xe0-\xff].mp4", "[!\xe9].mp4", "\xe9*", "e\u0301*", "*\xe9*",
    "[\u0100-\U0010ffff]*", "[!\u0100-\U0010ffff]*", "[]x[]*", "[*].mp4", "*[!.]mp4",
    "*?*?*?*?*.mp4",
    "*??p4", "x?.mp4",
    "[\udc80-\udcff]*", "x[!\udcff]*", "?/?.mp4", "[z-a]*", "[!z-a].mp4", "[/].mp4", "[.-0]*",
    '"*"*', "*\\*", "$*", "{2}*", "*\n*", "#*", "% *", "*%*", "(*|a)*", "^*", "*$", "film.mp4",
    "**/film.mp4", "*.[mM][kK][vV]", "tr\xe9s.mp4", "[t]r\xe9s.mp4", "?re?s.mp4", "*\udcff.mp4",
    "[\x00-\x7f]*.mp4", "[!\x00-\x7f]*.mp4", "@OUT@", "a//b",
)  # fmt: skip
LETTERS = ["a", "e", "s", ".", "mp4", "*", "?", "**", "/", "\xe9", "\u0301", "\udcff", "\U0001f600"]
LETTERS += ["[!", "[", "]", "-", "\\", "\x80", "\uffff"]


@pytest.fixture(scope="module")
def nginx(program: Callable[[str], str]) -> str:
    return program("nginx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `out` and a `library` that is below a hidden folder."""
    folder = tmp_path_factory.mktemp("served")
    make_site(folder / "out")
    library = folder / ".local" / "share" / "library"
    for name in TREE:
        write(library / name, FILM)
    write(folder / "outside.mp4", SECRET)
    (library / "link.mp4").symlink_to("film.mp4")
    (library / "to-ignored.mp4").symlink_to("ignored/i.mp4")
    (library / "public").symlink_to(".hidden")
    (library / "out.mp4").symlink_to(folder / "outside.mp4")
    (library / "hard.mp4").hardlink_to(library / ".film.mp4")
    os.mkfifo(library / "pipe.mp4")
    (library / "dir.mp4").mkdir()
    write(library / "dir.mp4" / "in.mp4", FILM)
    return folder


def library_of(folder: Path) -> Path:
    return folder / ".local" / "share" / "library"


def everything(library: Path) -> list[str]:
    """Return every path below a library that a server could open, through links, too."""
    return sorted(
        os.path.relpath(f"{at}/{name}", library)
        for at, _, names in os.walk(library, followlinks=True)
        for name in names
    )


def asked_of_dev(site: ServedSite, address: str) -> bool:
    place = site.place(address)
    if place is None or (file := place.open()) is None:
        return False
    with file:
        assert file.read() != SECRET or site.follow_links
        return True


def taken(library: Path, ignore: Sequence[str], *, follow_links: bool = False) -> set[str]:
    return set(walk({"": library}, compile_filter(ignore), follow_links=follow_links).files[""])


def conf(folder: Path, port: int, number: int, ignore: Sequence[str], **more: object) -> str:
    """Return the configuration of one site among others of one nginx, told apart by their names."""
    return config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(library_of(folder))},
        listen=f"127.0.0.1:{port}",
        server_name=f"site{number}",
        base="",
        ignore=ignore,
        **more,  # type: ignore[arg-type]
    )


def served(ask: Ask, number: int, address: str) -> bool:
    answer = ask(address, "GET", {"Host": f"site{number}"})
    assert answer.status in {200, 400, 404}, (address, answer.status)
    return answer.status == 200


def test_with_any_pattern_of_ignore_nginx_and_dev_serve_what_a_scan_takes(
    nginx: str, folder: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, library = free_port(), library_of(folder)
    chance = random.Random(7)
    lists: list[list[str]] = [[], *([one] for one in PATTERNS)]
    while len(lists) < len(PATTERNS) + 40:
        pattern = "".join(chance.choices(LETTERS, k=chance.randint(2, 7)))
        try:
            compile_filter([pattern])
        except SettingsError:
            continue
        lists.append([pattern, chance.choice(PATTERNS)])
    text = "".join(conf(folder, port, number, ignore) for number, ignore in enumerate(lists))
    paths = everything(library)

    wrong: list[tuple[list[str], str, tuple[bool, ...]]] = []
    with running(nginx, write_config(tmp_path, text), port) as ask:
        for number, ignore in enumerate(lists):
            right = taken(library, ignore)
            site = ServedSite(folder / "out", {"": library}, file_filter=compile_filter(ignore))
            for path in paths if number < 2 else chance.sample(paths, 15):
                address = "/video/" + quote(os.fsencode(path))
                told = (path in right, served(ask, number, address), asked_of_dev(site, address))
                if len(set(told)) > 1:
                    wrong.append((ignore, path, told))

    assert wrong == []
    assert len(taken(library, [])) > 40


ADDRESSES = {  # below /video/: whether it is served, written in a way that browsers do not
    "film.mp4": True,
    "film%2Emp4": True,
    "%66ilm.mp4": True,
    "/film.mp4": True,
    "./film.mp4": True,
    "a/../film.mp4": True,
    "a/b/../../film.mp4": True,
    "a//b///c.webm": True,
    "a%2Fb%2fc.webm": True,
    "a/%2e/b/c.webm": True,
    "ignored/../film.mp4": True,
    "Film.MKV": True,
    "film.MP4": False,
    "FILM.mp4": False,
    "film.mp4/": False,
    "film.mp4.": False,
    "film.mp4%20": False,
    "film.mp4%00": False,
    "film.mp4%00.mkv": False,
    "film.mp4%0A": False,
    "film.mp4%2F": False,
    "film.mp4/.": False,
    "film.mp4/..": False,
    "film%252Emp4": False,
    "film.mp4;x.mp4": False,
    "ignored/i.mp4": False,
    "ignored%2Fi.mp4": False,
    "ignored%2fi%2emp4": False,
    "%69gnored/i.mp4": False,
    "ignored//i.mp4": False,
    "ignored/./i.mp4": False,
    "./ignored/i.mp4": False,
    "/ignored/i.mp4": False,
    "a/../ignored/i.mp4": False,
    "a/%2e%2e/ignored/i.mp4": False,
    "ignored/x/../i.mp4": False,
    "ignored%5Ci.mp4": False,
    "%00/../ignored/i.mp4": False,
    ".film.mp4": False,
    "%2Efilm.mp4": False,
    "a/.hidden/b/film.mp4": False,
    "a/%2Ehidden/b/film.mp4": False,
    "@eaDir/film.mp4": False,
    "%40eaDir/film.mp4": False,
    "a/@EADIR/film.mp4": False,
    "%24RECYCLE.BIN/S-1/film.mp4": False,
    "film.temp.mp4": False,
    "film.srt": False,
    "film.nfo": False,
    "film.jpg": False,
    "film.info.json": False,
    "link.mp4": False,
    "to-ignored.mp4": False,
    "public/film.mp4": False,
    "out.mp4": False,
    "pipe.mp4": False,
    "dir.mp4": False,
    "dir.mp4/in.mp4": True,
    "hard.mp4": True,  # nobody can tell which of its names is the first
    "../../../../outside.mp4": False,
    "%2e%2e/%2e%2e/%2e%2e/outside.mp4": False,
    "..%2f..%2f..%2foutside.mp4": False,
}


@pytest.fixture(scope="module")
def written(nginx: str, folder: Path, free_port: Callable[[], int]) -> Iterator[Ask]:
    """Return how to ask an nginx that serves the tree below /films, "ignored" left out."""
    port = free_port()
    text = config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(library_of(folder))},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="/films",
        ignore=["ignored"],
    )
    with running(nginx, write_config(folder / "written", text), port) as ask:
        yield ask


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_served_or_not_however_it_is_written(
    written: Ask, folder: Path, address: str
) -> None:
    site = ServedSite(
        folder / "out", {"": library_of(folder)}, "/films", file_filter=compile_filter(["ignored"])
    )

    by_nginx = written(f"/films/video/{address}").status
    assert by_nginx in {200, 301, 400, 404}
    assert (by_nginx == 200) is ADDRESSES[address]
    assert asked_of_dev(site, f"/films/video/{address}") is ADDRESSES[address]


@pytest.mark.parametrize("path", ["/../video/film.mp4", "/films/../../films/video/film.mp4"])
def test_an_address_that_leads_above_the_site_is_refused(
    written: Ask, folder: Path, path: str
) -> None:
    site = ServedSite(folder / "out", {"": library_of(folder)}, "/films")

    assert written(path).status == 400
    assert not asked_of_dev(site, path)


def test_with_links_followed_both_serve_what_a_scan_takes(
    nginx: str, folder: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, library, ignore = free_port(), library_of(folder), ["ignored", "shows/"]
    right = taken(library, ignore, follow_links=True)
    site = ServedSite(
        folder / "out", {"": library}, follow_links=True, file_filter=compile_filter(ignore)
    )

    text = conf(folder, port, 0, ignore, follow_links=True)
    with running(nginx, write_config(tmp_path, text), port) as ask:
        for path in everything(library):
            address = "/video/" + quote(os.fsencode(path))
            by_nginx, by_dev = served(ask, 0, address), asked_of_dev(site, address)
            assert (by_nginx, by_dev) == ((path in right,) * 2), path

    assert {"link.mp4", "to-ignored.mp4", "out.mp4", "public/film.mp4"} <= right


def test_each_of_several_roots_has_the_rule_and_is_not_hidden_by_its_own_name(
    nginx: str, folder: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port = free_port()
    roots = {name: folder / "roots" / name for name in (".videos", "ignored", "@eaDir")}
    for root in roots.values():
        write(root / "film.mp4", FILM)
        write(root / "ignored" / "i.mp4", SECRET)
        write(root / ".h.mp4", SECRET)
    text = config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={name: str(path) for name, path in roots.items()},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
        ignore=["ignored"],
    )
    site = ServedSite(folder / "out", roots, file_filter=compile_filter(["ignored"]))

    with running(nginx, write_config(tmp_path, text), port) as ask:
        for name in roots:
            for path, right in {
                "film.mp4": True, "ignored/i.mp4": False, ".h.mp4": False,
                "../ignored/film.mp4": True, "../.h.mp4": False,
            }.items():  # fmt: skip
                address = f"/video/{quote(name)}/{path}"
                assert (ask(address).status == 200) is right, address
                assert asked_of_dev(site, address) is right, address
        assert ask("/video/film.mp4").status == 404
