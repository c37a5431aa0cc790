"""Whatever happens in whatever order, crashes and edited templates included, pages are exact."""

import shutil
import tempfile
from pathlib import Path

import pytest
from effort import examples
from histories import (
    History,
    favorite,
    full_render,
    rate,
    retag,
    tag,
    tree,
    unrate,
    view,
    vote,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from paths import TEMPLATES
from test_killed import Dying, in_a_process_that_dies

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.build.engine import Engine
from generator.core.errors import TemplateError
from generator.core.model import Video
from generator.core.site.orders import video_key
from generator.core.site.scopes import Scope, ScopeKind, scopes_of
from generator.core.site.shelves import VIDEO_LIMITS

pytestmark = pytest.mark.timeout(300)

CARD = (TEMPLATES / "card.html").read_text(encoding="utf-8")
SHELF = (TEMPLATES / "shelf.html").read_text(encoding="utf-8")
WATCH = (TEMPLATES / "watch.html").read_text(encoding="utf-8")

# Every way in which a template can treat cards: print them, print them twice or not at all, count
# what it was given, change them on the way.
EDITS = [
    ("card.html", CARD),
    ("card.html", CARD.replace("<b>", "<b class=x>")),
    ("card.html", "<li>{{ duration }}</li>"),
    ("card.html", CARD.replace("{{ title }}", "{{ title|upper }}")),
    ("shelf.html", SHELF),
    ("shelf.html", SHELF.replace("{{ cards }}", "{{ cards }}{{ cards }}")),
    ("shelf.html", SHELF.replace("{{ cards }}", "")),
    ("shelf.html", SHELF.replace("{{ cards }}", "{{ cards|string|length }}{{ cards }}")),
    ("shelf.html", SHELF.replace("{{ cards }}", "{{ cards|replace('a', 'A') }}")),
    ("shelf.html", SHELF.replace("{{ cards }}", "{{ cards|string|wordcount }}{{ cards }}")),
]
# In its syntax, for every page, for every card, for every watch page.
WRONG = [
    ("shelf.html", SHELF.replace("{{ cards }}", "{{ cards")),
    ("shelf.html", SHELF.replace("{{ cards }}", "{{ no_such_thing }}")),
    ("card.html", CARD.replace("{{ title }}", "{{ title + 1 }}")),
    ("watch.html", WATCH.replace("<h1>", "{{ nothing.at_all }}<h1>")),
]
OPINIONS = (rate, rate, unrate, vote, view, favorite, tag, retag)


def check_listings(engine: Engine) -> None:
    """Every listing has exactly its videos, in order, on shelves of a third to full."""
    videos: dict[Scope, list[Video]] = {}
    for video in engine.catalogue.shown():
        for scope in scopes_of(video):
            videos.setdefault(scope, []).append(video)
    for scope, row in engine.ledger.scopes():
        if scope.kind in {ScopeKind.TAGS, ScopeKind.SUBFOLDERS}:
            continue
        for key, one in engine.ledger.lists(row.id).items():
            view = engine.ledger.view(one.id)
            shelves = [view.keys(shelf) for shelf in view.shelves()]
            there = [found for shelf in shelves for found in shelf]
            assert there == sorted(video_key(video, key) for video in videos.get(scope, []))
            assert all(len(shelf) <= VIDEO_LIMITS.most for shelf in shelves)
            assert len(shelves) < 2 or min(map(len, shelves)) >= VIDEO_LIMITS.least


class AnyCourse(RuleBasedStateMachine):
    """One site, changed from all sides."""

    @initialize(videos=st.sampled_from([3, 75, 130]), seed=st.integers(0, 10**6))
    def begin(self, videos: int, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.own = self.folder / "templates"
        self.own.mkdir()
        self.now, self.title, self.renders = trial.NOW, "A trial library", 0
        self.engine = self.opened()
        trial.fill(self.engine.catalogue, videos)
        self.history = History(videos, seed)
        self.other = Catalogue(self.folder / "state" / "catalogue.db")  # as of another process
        self.engine.refresh(self.now)

    def opened(self) -> Engine:
        options = trial.settings(self.folder, title=self.title, templates=self.own)
        return Engine(options, TEMPLATES)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.engine.close()
            self.other.close()
            shutil.rmtree(self.folder)

    def check(self) -> None:
        self.renders += 1
        whole = full_render(self.engine, self.folder / f"full{self.renders}")
        assert tree(self.folder / "out") == whole
        shutil.rmtree(self.folder / f"full{self.renders}")
        check_listings(self.engine)

    @rule(count=st.sampled_from([1, 1, 1, 3, 30]), days=st.sampled_from([0, 0, 1, 40]))
    def something_happens(self, count: int, days: int) -> None:
        for _ in range(count):
            self.other.append(self.history.draw())
        self.now += 1 + days * 86400
        assert not self.engine.refresh(self.now, full=days > 1).failures
        self.check()

    @rule(count=st.sampled_from([1, 1, 2, 5, 40]), choice=st.integers(0, 10**6))
    def somebody_says_something(self, count: int, choice: int) -> None:
        for number in range(count):
            if self.history.there:
                self.other.append(OPINIONS[(choice + number) % len(OPINIONS)](self.history))
        self.engine.refresh(self.now)
        self.check()

    @rule(edit=st.integers(0, len(EDITS) - 1))
    def a_template_is_edited(self, edit: int) -> None:
        name, text = EDITS[edit]
        (self.own / name).write_text(text, encoding="utf-8")
        self.engine.refresh(self.now)
        self.check()

    @rule(edit=st.integers(0, len(WRONG) - 1))
    def a_template_is_wrong_for_a_while(self, edit: int) -> None:
        name, text = WRONG[edit]
        file, before = self.own / name, tree(self.folder / "out")
        former = file.read_text(encoding="utf-8") if file.exists() else None
        file.write_text(text, encoding="utf-8")
        self.other.append(self.history.draw())
        with pytest.raises(TemplateError):
            self.engine.refresh(self.now)
        assert tree(self.folder / "out") == before
        if former is None:
            file.unlink()
        else:
            file.write_text(former, encoding="utf-8")

    @rule(title=st.sampled_from(["A trial library", "Films & more"]))
    def it_is_started_anew(self, title: str) -> None:
        self.engine.close()
        self.title = title
        self.engine = self.opened()

    @rule(changes=st.integers(1, 80), after=st.booleans())
    def it_is_killed(self, changes: int, *, after: bool) -> None:
        self.engine.close()

        def refresh() -> None:
            with self.opened() as engine:
                engine.output = Dying(self.folder / "out", changes, after=after)
                engine.refresh(self.now + 1)

        in_a_process_that_dies(refresh)
        self.engine = self.opened()


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(
    max_examples=examples(4, thorough=10), stateful_step_count=12, deadline=None
)
