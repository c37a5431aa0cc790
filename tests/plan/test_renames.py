"""A folder that is renamed costs no page its address: its pages lead to the new ones, for good."""

import random
import re
from pathlib import Path

import pytest
from effort import examples
from histories import full_render, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import REDIRECT_S, Engine
from generator.core.model import Event, EventKind, OutPath, VideoId
from generator.core.site import urls
from generator.core.site.orders import VIDEO_ORDERS
from generator.core.site.scopes import Scope, ScopeKind
from generator.plan import FOR_GOOD


class Shelves:
    """A site whose videos are found and moved by their paths alone."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder, self.now = folder, trial.NOW
        self.engine = Engine(trial.settings(folder, **options), TEMPLATES)
        self.places: dict[int, str] = {}
        self.count = 0

    def event(self, kind: EventKind, video: int, **value: object) -> None:
        self.count += 1
        event = Event(f"e{self.count}", kind, self.now, "test", VideoId(video), value)
        self.engine.catalogue.append([event])

    def add(self, *folders: str) -> None:
        for folder in folders:
            video = len(self.places) + 1
            self.places[video] = folder
            self.event(
                EventKind.VIDEO_FOUND, video, **self.file(video), title=f"film {video}",
                slug=f"film-{video}", added_at=self.now, recorded_at=self.now, container="mp4",
            )  # fmt: skip

    def file(self, video: int) -> dict[str, object]:
        folder = self.places[video]
        return {
            "root": "", "path": f"{folder}/film {video}.mp4".lstrip("/"), "size_bytes": 5,
            "mtime_ns": 1, "fingerprint": f"{video:032x}",
            "folder_tags": [part for part in folder.split("/") if part],
        }  # fmt: skip

    def move(self, former: str, now: str) -> int:
        """Rename a folder with all that is in it; return how many videos moved."""
        inside = re.compile(re.escape(former) + r"(?=/|$)")
        moved = [video for video, folder in self.places.items() if inside.match(folder)]
        for video in moved:
            self.places[video] = (now + self.places[video][len(former) :]).strip("/")
            self.event(EventKind.VIDEO_MOVED, video, **self.file(video), title=f"film {video}")
        return len(moved)

    def lose(self, folder: str) -> None:
        """Let the videos of a folder go, as what is ignored from now on does."""
        for video, place in self.places.items():
            if (place + "/").startswith(folder + "/"):
                self.event(EventKind.VIDEO_MISSING, video)
                self.event(EventKind.VIDEO_DROPPED, video)

    def find(self, folder: str) -> None:
        for video, place in self.places.items():
            if (place + "/").startswith(folder + "/"):
                self.event(EventKind.VIDEO_RETURNED, video, **self.file(video))

    def build(self) -> int:
        self.now += 10
        return self.engine.refresh(self.now).planned

    def page(self, folder: str, path: str | None = None) -> str:
        return (self.folder / "out" / (path or page_of(folder))).read_text(encoding="utf-8")

    def leads(self, folder: str) -> str | None:
        """Return where the page of a folder leads to; None where it is a page itself."""
        return target(self.page(folder))


def page_of(folder: str) -> str:
    return urls.scope_path(Scope(ScopeKind.FOLDER, folder))


def target(page: str) -> str | None:
    found = re.search(r'http-equiv="refresh" content="0; url=/([^"]+)"', page)
    return found[1] if found else None


def test_a_renamed_folder_leads_to_the_new_one_for_good(tmp_path: Path) -> None:
    site = Shelves(tmp_path)
    with site.engine:
        site.add("a", "a", "b")
        site.build()
        site.move("a", "c")
        site.build()
        assert site.leads("a") == page_of("c")
        assert target(site.page("", urls.scope_path(Scope(ScopeKind.TAG, "a")))) == "tag/c.html"
        site.now += 2 * REDIRECT_S
        site.add("b")
        site.build()
        assert site.leads("a") == page_of("c")
        assert tree(tmp_path / "out") == full_render(site.engine, tmp_path / "full")


@pytest.mark.parametrize("host_files", [False, True])
def test_no_page_leads_to_what_is_hidden_and_all_lead_there_again_once_it_is_back(
    tmp_path: Path, *, host_files: bool
) -> None:
    site = Shelves(tmp_path, host_files=host_files)
    with site.engine:
        site.add("attic", "attic", "b")
        site.build()
        site.move("attic", "secret")
        site.build()
        site.move("secret", "very secret")
        site.build()
        assert site.leads("attic") == page_of("secret")
        assert site.leads("secret") == page_of("very secret")

        site.lose("very secret")
        site.build()
        hidden = tree(tmp_path / "out")
        assert not [path for path, page in hidden.items() if b"secret" in page or "attic" in path]
        assert hidden == full_render(site.engine, tmp_path / "full")

        site.find("very secret")
        site.build()
        assert site.leads("attic") == page_of("secret")
        assert site.leads("secret") == page_of("very secret")
        assert tree(tmp_path / "out") == full_render(site.engine, tmp_path / "again")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bases", [("", "/films"), ("/films", ""), ("/films", "/my/films")])
def test_redirects_follow_the_site_to_another_path_and_vanish_with_their_target_there(
    tmp_path: Path, bases: tuple[str, str], *, full: bool
) -> None:
    before, after = (f"https://videos.example.org{base}" for base in bases)
    site = Shelves(tmp_path, host_files=True, site_url=before)
    with site.engine:
        site.add("attic", *["attic"] * 150, "b")
        site.build()
        site.move("attic", "secret")
        site.build()
    at = trial.settings(tmp_path, host_files=True, site_url=after)
    site.engine = Engine(at, TEMPLATES)
    with site.engine:
        site.now += 10
        site.engine.refresh(site.now, full=full)
        assert f'url={bases[1]}/{page_of("secret")}"' in site.page("attic")
        assert site.page("", "_redirects").count(f" {bases[1]}/folder/secret~") > len(VIDEO_ORDERS)
        assert tree(tmp_path / "out") == full_render(site.engine, tmp_path / "full")

        site.lose("secret")
        site.build()
        hidden = tree(tmp_path / "out")
        assert not [path for path, page in hidden.items() if b"secret" in page or "attic" in path]
        site.find("secret")
        site.build()
        assert f'url={bases[1]}/{page_of("secret")}"' in site.page("attic")


def test_a_full_build_removes_redirects_without_a_target_and_restores_those_with_one(
    tmp_path: Path,
) -> None:
    site = Shelves(tmp_path, host_files=True)
    with site.engine:
        site.add("a", "a", "b", "c")
        site.build()
        site.move("a", "d")
        site.build()
        right = tree(tmp_path / "out")
        ledger, former, lost = site.engine.ledger, OutPath(page_of("a")), OutPath("folder/e~0.html")
        with ledger.transaction():  # as versions left it that compared URLs
            ledger.suspend_redirects([former])
            ledger.drop_redirects([former])
            ledger.drop_pages([former])
            ledger.put_redirects({lost: OutPath(page_of("z"))}, FOR_GOOD)
        site.now += 10
        site.engine.refresh(site.now, full=True)
        assert tree(tmp_path / "out") == right
        assert tree(tmp_path / "out") == full_render(site.engine, tmp_path / "full")


def test_folders_around_and_below_are_led_to_theirs(tmp_path: Path) -> None:
    site = Shelves(tmp_path)
    with site.engine:
        site.add("a/x", "a/x", "a/y/z", "b")
        site.build()
        site.move("a", "c")
        site.build()
        for path in ("", "/x", "/y", "/y/z"):
            assert site.leads(f"a{path}") == page_of(f"c{path}")
        site.move("c/y", "c/w")
        site.build()
        assert site.leads("c/y/z") == page_of("c/w/z")
        assert site.leads("c") is None
        site.move("c/w/z", "b")  # what is below goes into another folder
        site.build()
        assert site.leads("c/w/z") == site.leads("c/w") == page_of("b")


def test_a_folder_that_is_renamed_back_is_a_page_again(tmp_path: Path) -> None:
    site = Shelves(tmp_path)
    with site.engine:
        site.add("a", "a")
        site.build()
        for former, now in (("a", "b"), ("b", "a"), ("a", "b"), ("b", "c"), ("c", "a")):
            site.move(former, now)
            site.build()
            assert site.leads(former) == page_of(now)
            assert site.leads(now) is None
        assert site.leads("b") == page_of("c")  # which leads on to a
        assert tree(tmp_path / "out") == full_render(site.engine, tmp_path / "full")


def test_a_folder_that_was_parted_leads_to_where_most_went(tmp_path: Path) -> None:
    site = Shelves(tmp_path)
    with site.engine:
        site.add("a", "a", "a", "b")
        site.build()
        for video, folder in ((1, "b"), (2, "c"), (3, "c")):
            site.places[video] = folder
            site.event(EventKind.VIDEO_MOVED, video, **site.file(video), title=f"film {video}")
        site.build()
        assert site.leads("a") == page_of("c")


def test_orders_lead_to_the_same_orders(tmp_path: Path) -> None:
    site = Shelves(tmp_path)
    with site.engine:
        site.add(*["a"] * 150)
        site.build()
        former, now = Scope(ScopeKind.FOLDER, "a"), Scope(ScopeKind.FOLDER, "b")
        shelves = site.engine.ledger.paths_like("folder/a~")
        assert len(shelves) > len(VIDEO_ORDERS)
        site.move("a", "b")
        site.build()
        for order in VIDEO_ORDERS:
            page = site.page("", urls.shelf_path(former, order, None))
            assert target(page) == urls.shelf_path(now, order, None)
        for path in shelves:
            assert target(site.page("", path)) is not None


def test_a_rename_costs_the_same_however_large_the_library_is(tmp_path: Path) -> None:
    costs = []
    for others in (10, 400):
        site = Shelves(tmp_path / str(others), folder_tags=False)
        with site.engine:
            site.add("a", "a", *(f"b/{number % 8}" for number in range(others)))
            site.build()
            site.move("a", "c")
            costs.append(site.build())
    assert costs[1] <= costs[0] + 20  # listings of more shelves have one neighbour more


@settings(max_examples=examples(4, thorough=10))
@given(
    seed=st.integers(0, 10**6),
    moves=st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
    large=st.booleans(),
)
def test_after_any_renames_every_folder_leads_somewhere_and_pages_are_exact(
    tmp_path_factory: pytest.TempPathFactory, seed: int, moves: list[int], *, large: bool
) -> None:
    folder = tmp_path_factory.mktemp("site")
    chance = random.Random(seed)
    names = ["a", "b", "a/x", "a/y", "b/x", "a/x/q", "c", ""]
    site = Shelves(folder, host_files=True)
    with site.engine:
        site.add(*(chance.choice(names) for _ in range(8)), *(["a"] * 130 if large else []))
        site.build()
        seen = {page for page in site.places.values() if page}
        for number, move in enumerate(moves):
            random.Random(move).shuffle(names)
            former, now = [name for name in names if name][:2]
            if not now.startswith(f"{former}/"):
                site.move(former, now)
            site.build()
            seen |= {page for page in site.places.values() if page}
            for page in seen:
                assert site.page(page)
                led, steps = site.leads(page), 0  # to a folder's page, in the end
                while led is not None:
                    led, steps = target(site.page("", led)), steps + 1
                    assert steps <= len(moves), f"{page} leads on for ever"
            assert tree(folder / "out") == full_render(site.engine, folder / f"full-{number}")
