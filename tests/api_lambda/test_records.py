"""What the catalogue makes of what people do, against a plain model; and what it never keeps."""

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, EventOutcome, EventVerdict, VideoId

VIDEOS = 4
UNKNOWN = VIDEOS + 3

videos = st.integers(1, VIDEOS).map(VideoId)
people = st.sampled_from([None, "ann", "bob", "eve"])
stars = st.integers(1, 5)
names = st.lists(st.sampled_from(["a", "b", "c", "fjord"]), max_size=3, unique=True)


class Records(RuleBasedStateMachine):
    """Any course of what people do, told in groups and told again."""

    def __init__(self) -> None:
        super().__init__()
        self.catalogue = Catalogue(Path(":memory:"))
        trial.fill(self.catalogue, VIDEOS)
        self.recorded: list[tuple[Event, int]] = []
        self.stars: dict[tuple[VideoId, str | None], int] = {}
        self.favorites: set[tuple[VideoId, str | None]] = set()
        self.views: dict[VideoId, int] = {}
        self.tags: dict[VideoId, set[str]] = {}
        self.tenths: dict[VideoId, int] = {}

    @initialize()
    def begin(self) -> None:
        for video in self.catalogue.shown():
            self.views[video.id] = video.views
            self.tags[video.id] = set(video.tags)
            if video.stars:
                self.stars[video.id, None] = video.stars
            if video.favorite:
                self.favorites.add((video.id, None))

    def tell(
        self, kind: EventKind, video: VideoId | None, who: str | None = None, **value: object
    ) -> EventOutcome:
        value |= {} if who is None else {"visitor": who}
        happening = Event(
            f"event-{len(self.recorded)}",
            kind,
            trial.NOW + len(self.recorded),
            "test",
            video,
            value,
        )
        (outcome,) = self.catalogue.record([happening])
        assert outcome.verdict is EventVerdict.RECORDED
        assert outcome.at == happening.at
        self.recorded.append((happening, outcome.seq))
        return outcome

    @rule(video=videos, who=people, given=stars)
    def rate(self, video: VideoId, who: str | None, given: int) -> None:
        self.tell(EventKind.RATED, video, who, stars=given)
        self.stars[video, who] = given
        if who is not None:
            self.draw(video)

    @rule(video=videos, who=people)
    def unrate(self, video: VideoId, who: str | None) -> None:
        self.tell(EventKind.UNRATED, video, who)
        if self.stars.pop((video, who), None) and who is not None:
            self.draw(video)

    def draw(self, video: VideoId) -> None:
        """Draw a mean as its definition says it, in fractions of stars."""
        everyone = [given for (_, who), given in self.stars.items() if who is not None]
        here = [given for (v, who), given in self.stars.items() if v == video and who is not None]
        library = (30 + sum(everyone)) / (10 + len(everyone))
        mean = (sum(here) + 5 * library) / (len(here) + 5)
        self.tenths.pop(video, None)
        if here:
            self.tenths[video] = int(10 * mean + 0.5 + 1e-9)

    @rule(video=videos, who=people)
    def favor(self, video: VideoId, who: str | None) -> None:
        self.tell(EventKind.FAVORITED, video, who)
        self.favorites.add((video, who))

    @rule(video=videos, who=people)
    def unfavor(self, video: VideoId, who: str | None) -> None:
        self.tell(EventKind.UNFAVORITED, video, who)
        self.favorites.discard((video, who))

    @rule(video=videos)
    def view(self, video: VideoId) -> None:
        self.tell(EventKind.VIEWED, video)
        self.views[video] += 1

    @rule(video=videos, given=names)
    def add_tags(self, video: VideoId, given: list[str]) -> None:
        self.tell(EventKind.TAGGED, video, names=given)
        self.tags[video] |= set(given)

    @rule(video=videos, given=names)
    def remove_tags(self, video: VideoId, given: list[str]) -> None:
        self.tell(EventKind.UNTAGGED, video, names=given)
        self.tags[video] -= set(given)

    @rule(video=videos, given=names)
    def set_tags(self, video: VideoId, given: list[str]) -> None:
        self.tell(EventKind.RETAGGED, video, names=given)
        self.tags[video] = set(given)

    @rule(choice=st.randoms(use_true_random=False))
    def tell_again(self, choice: st.randoms) -> None:  # type: ignore[valid-type]
        if not self.recorded:
            return
        repeated = choice.choices(self.recorded, k=3)  # type: ignore[attr-defined]
        outcomes = self.catalogue.record([one for one, _ in repeated])
        assert [(one.verdict, one.seq, one.at) for one in outcomes] == [
            (EventVerdict.REPEATED, seq, one.at) for one, seq in repeated
        ]

    @rule(video=videos)
    def tell_something_else_with_an_id_of_before(self, video: VideoId) -> None:
        if not self.recorded:
            return
        before = self.recorded[-1][0]
        other = Event(before.id, before.kind, trial.NOW, "test", video, {"stars": 9})
        unknown = Event("new", EventKind.VIEWED, trial.NOW, "test", VideoId(UNKNOWN))
        outcomes = self.catalogue.record([other, unknown])
        assert [one.verdict for one in outcomes] == [
            EventVerdict.ID_IN_USE,
            EventVerdict.UNKNOWN_VIDEO,
        ]

    @invariant()
    def figures_are_those_of_the_model(self) -> None:
        shown = {shown_video.id: shown_video for shown_video in self.catalogue.shown()}
        for shown_video in self.catalogue.stats(shown):
            voters = [
                who for video, who in self.stars if video == shown_video.id and who is not None
            ]
            video = shown[shown_video.id]
            assert shown_video.stars == video.stars == self.stars.get((shown_video.id, None))
            assert (
                shown_video.favorite == video.favorite == ((shown_video.id, None) in self.favorites)
            )
            assert shown_video.views == video.views == self.views[shown_video.id]
            assert shown_video.tags == video.tags == tuple(sorted(self.tags[shown_video.id]))
            assert shown_video.votes == video.votes == len(voters)
            assert shown_video.score_tenths == video.score_tenths == self.tenths.get(shown_video.id)
            for who in ("ann", "bob", "eve"):
                mark = (
                    self.stars.get((shown_video.id, who)),
                    (shown_video.id, who) in self.favorites,
                )
                assert self.catalogue.mark_of(shown_video.id, who) == mark

    @invariant()
    def versions_are_numbers_of_last_events(self) -> None:
        last = {one.video: seq for one, seq in self.recorded}
        for one in self.catalogue.stats(v for v in last if v is not None):
            assert one.version == last[one.id]

    def teardown(self) -> None:
        self.catalogue.close()


TestRecords = Records.TestCase
