"""Two processes write while one builds: every acknowledged event counts once."""

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from effort import THOROUGH
from histories import full_render, tree
from paths import TEMPLATES
from running_loop import running

from generator.adapters.catalogue import Catalogue
from generator.build.engine import Engine

SECONDS = 60 if THOROUGH else 10
VIDEOS = 90
pytestmark = pytest.mark.timeout(300)

WRITER = """
import json, random, sys, threading, time
from pathlib import Path
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId

file, name, seconds, videos = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
chance, pace, end_s = random.Random(name), threading.Event(), time.monotonic() + seconds
with Catalogue(Path(file)) as catalogue:
    for number in range(10**6):
        if time.monotonic() > end_s:
            break
        video, seen = VideoId(chance.randrange(1, videos + 1)), chance.random() < 0.5
        kind, value = EventKind.VIEWED, {}
        if not seen:
            kind, value = EventKind.RATED, {"stars": chance.randint(1, 5)}
        # now and then the same event twice, as a client does that heard no answer
        for _ in range(1 + (chance.random() < 0.1)):
            event = Event(f"{name}-{number}", kind, number, name, video, value)
            (outcome,) = catalogue.record([event])
        print(json.dumps([video, kind, value.get("stars"), outcome.seq]), flush=True)
        pace.wait(0.02)
"""


def count_of_views(catalogue: Catalogue) -> Counter[int]:
    """Return exact counts: videos have them as people read them."""
    return Counter({one.id: one.views for one in catalogue.stats(range(1, VIDEOS + 1))})


def test_every_acknowledged_event_counts_once_while_pages_are_built(tmp_path: Path) -> None:
    with running(tmp_path, VIDEOS, views_debounce_s=0.5) as builder:
        seen = count_of_views(builder.catalogue)
        file = builder.settings.state / "catalogue.db"
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(file), name, str(SECONDS), str(VIDEOS)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "other")
        ]
        accepted: list[list[tuple[int, str, int | None, int]]] = [[], []]

        def listen(number: int) -> None:
            with writers[number] as writer:
                assert writer.stdout is not None
                accepted[number] = [tuple(json.loads(line)) for line in writer.stdout]

        listeners = [threading.Thread(target=listen, args=(number,)) for number in (0, 1)]
        for listener in listeners:
            listener.start()
        for listener in listeners:
            listener.join()
        assert [writer.returncode for writer in writers] == [0, 0]

        acknowledged = [event for some in accepted for event in some]
        shown = 0
        while shown < len(acknowledged):  # each event is in one receipt, and in one only
            shown += builder.next().events
        assert shown == len(acknowledged)
        assert len({seq for *_, seq in acknowledged}) == len(acknowledged) > 16 * SECONDS
        views = Counter(video for video, kind, _, _ in acknowledged if kind == "Viewed")
        assert count_of_views(builder.catalogue) - seen == views
        by_seq = sorted(acknowledged, key=lambda event: event[3])
        stars = {video: stars for video, _, stars, _ in by_seq if stars}
        assert {one.id: one.stars for one in builder.catalogue.shown() if one.id in stars} == stars

    with Engine(builder.settings, TEMPLATES) as engine:
        engine.refresh(2_000_000_000)
        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")
