"""Chapters: sanitizing them, and parsing them from descriptions.

A description has chapters where at least three of its lines have a time, the first 0:00 and each
later than the one before: YouTube's rule, but without its minimum of ten seconds, since music has
shorter parts. The times are all before the titles or all after them.
"""

import re
from collections.abc import Iterable
from itertools import islice

from generator.core.formatting import readable
from generator.core.model import Chapter

MAX_CHAPTERS = 500

_MAX_LOOKED_AT = 10_000
_MAX_TITLE = 200  # characters
_MAX_SECONDS = 31 * 86_400.0  # the longest plausible video
_MIN_LINES = 3
_MIN_S = 0.05  # the shortest last chapter: durations are not exact to the millisecond
_MAX_TEXT = 20_000  # characters
_SIXTY = 60
_CLOCK = re.compile(
    r"(?<![\d:.,])(?:(\d{1,3})[:\uff1a])?(\d{1,3})[:\uff1a](\d\d)(?:[.,](\d{1,3}))?(?![\d:]*\d)",
    re.ASCII,
)
_PLAIN_SECONDS = re.compile(r"\d{1,7}(?:\.\d{1,9})?", re.ASCII)
_NUMBERING = re.compile(r"\A\s*\d{1,3}[.)]", re.ASCII)
_LINK = re.compile(r"\]\(https?:[^)\s]*\)")  # Markdown: [0:00](https://...) Title
_BETWEEN = (
    " \t-\u2010\u2011\u2012\u2013\u2014\u2015\u2212~=>:;,.|/\\*_`\u2022\u00b7\u2192\u25b6\ufe0f"
)
_BEFORE_TITLE = _BETWEEN + ")]}"
_BEHIND_TITLE = _BETWEEN.replace(".", "") + "([{<@"


def tidy_chapters(
    chapters: Iterable[Chapter], duration_s: float | None = None
) -> tuple[Chapter, ...]:
    """Return the plausible chapters, ascending by start, no two at the same millisecond.

    What starts before 0, at NaN, or not well before the end of the video is left out; one without a
    title is named by its number; a lone chapter from 0 on divides nothing and is left out, too.

    Args:
        chapters: in any order, with any floats and any text.
        duration_s: of the video, None if unknown.

    Returns:
        At most `MAX_CHAPTERS`, with titles of one line.
    """
    end_s = _MAX_SECONDS if duration_s is None else min(duration_s - _MIN_S, _MAX_SECONDS)
    first_at: dict[float, str] = {}
    for chapter in islice(chapters, _MAX_LOOKED_AT):
        if 0 <= chapter.start_s < end_s:  # NaN compares with nothing
            first_at.setdefault(round(chapter.start_s, 3) or 0.0, chapter.title)  # no -0.0
    starts_s = sorted(first_at)[:MAX_CHAPTERS]
    if starts_s == [0.0]:
        return ()
    return tuple(
        Chapter(start_s, _title(first_at[start_s]) or f"Chapter {number}")
        for number, start_s in enumerate(starts_s, 1)
    )


def all_within(chapters: Iterable[Chapter], duration_s: float | None) -> bool:
    """Return whether no chapter starts at or after the end of a video."""
    return duration_s is None or all(one.start_s < duration_s for one in chapters)


def chapters_in(
    text: str, duration_s: float | None = None, *, whole: bool = False
) -> tuple[Chapter, ...]:
    """Return the chapters that a description lists, sanitized; () where it lists none.

    `whole`: none of them if one is after the end.
    """
    runs: list[list[Chapter]] = []
    leads = False
    for line in text[:_MAX_TEXT].splitlines():
        parsed = _chapter_of(line)
        if parsed is None:
            continue
        chapter, in_front = parsed
        if runs and in_front == leads and chapter.start_s > runs[-1][-1].start_s:
            runs[-1].append(chapter)
        elif chapter.start_s == 0:
            runs.append([chapter])
            leads = in_front
    run = next((run for run in runs if len(run) >= _MIN_LINES), [])
    return () if whole and not all_within(run, duration_s) else tidy_chapters(run, duration_s)


def chapter_in(line: str) -> Chapter | None:
    """Return the chapter in one line ("1:23 Title", "Title 1:23"), None for none."""
    parsed = _chapter_of(line[:_MAX_TEXT])
    return parsed and parsed[0]


def seconds_in(text: str) -> float | None:
    """Return "1:02:03", "1:23.5" or "83" in seconds, None where it is not a time."""
    text = text.strip()
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return _seconds(clock)
    return float(text) if _PLAIN_SECONDS.fullmatch(text) else None


def _chapter_of(line: str) -> tuple[Chapter, bool] | None:
    """Return a chapter and whether its time is before its title."""
    clocks = list(_CLOCK.finditer(line))
    if not clocks:
        return None
    before, after = line[: clocks[0].start()], line[clocks[0].end() :]
    if not _says_something(_NUMBERING.sub("", before)):
        start, title, in_front = clocks[0], _without_end(after).lstrip(_BEFORE_TITLE), True
    else:
        start = _first_of_last(line, clocks)
        title, in_front = line[: start.start()].rstrip(_BEHIND_TITLE).lstrip(_BETWEEN), False
        if _says_something(_CLOCK.sub("", line[start.end() :])):
            return None
    start_s, title = _seconds(start), title.strip()
    return (Chapter(start_s, title), in_front) if start_s is not None and title else None


def _without_end(after: str) -> str:
    """Return what follows a time, without an end time ("0:00 - 1:23 Title")."""
    after = _LINK.sub("", after, count=1) if after.startswith("](") else after
    clock = _CLOCK.search(after)
    if clock is not None and not _says_something(after[: clock.start()].replace("to", "", 1)):
        return after[clock.end() :]
    return after


def _first_of_last(line: str, clocks: list[re.Match[str]]) -> re.Match[str]:
    """Return the first of the times at the end of a line: "Title (1:00 - 2:00)" starts at 1:00."""
    first = clocks[-1]
    for clock in reversed(clocks[:-1]):
        if _says_something(line[clock.end() : first.start()]):
            break
        first = clock
    return first


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))


def _seconds(clock: re.Match[str]) -> float | None:
    hours, minutes, seconds, fraction = clock.groups()
    if int(seconds) >= _SIXTY or (hours is not None and int(minutes) >= _SIXTY):
        return None
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")


def _title(text: str) -> str:
    return readable(text[: _MAX_TITLE * 4])[:_MAX_TITLE].rstrip()
