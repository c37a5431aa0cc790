"""Whether WebVTT is valid, in the eyes of parsers that are not ours."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import IO

import pytest
import webvtt
from paths import TESTS
from webvtt.models import CueSettings

PARSER = TESTS / "node_modules" / "webvtt-parser"
PROGRAM = """
const {WebVTTParser} = require(process.argv[1]);
const parser = new WebVTTParser();
require("readline").createInterface({input: process.stdin}).on("line", line => {
  const [text, mode] = JSON.parse(line);
  const {errors} = parser.parse(text, mode);
  console.log(JSON.stringify(errors.map(one => `line ${one.line}: ${one.message}`)));
});
"""


@dataclass(frozen=True)
class Shown:
    """A cue as webvtt-py reads it; `text` is what is seen of it."""

    start_ms: int
    end_ms: int
    text: str
    settings: str


def shown(content: bytes) -> list[Shown]:
    """Return the cues of a file, which webvtt-py takes without complaint."""
    text = content.decode()
    assert text.startswith("WEBVTT\n")
    assert not set(text) & {"\r", "\0", "\ufeff"}
    cues = []
    for cue in webvtt.from_string(text, strict=True):
        settings = str(CueSettings.from_string(str(cue.settings), strict=True))
        cues.append(Shown(_ms(cue.start), _ms(cue.end), unescape(cue.text), settings))
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    assert all(cue.start_ms < cue.end_ms and cue.text for cue in cues)
    assert len(cues) == text.count(" --> ") == text.count("-->")
    return cues


def words(text: str) -> str:
    """Return text as it is seen: spaces drawn together."""
    return " ".join(text.split())


def _ms(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


class Referee:
    """The parser of the W3C, in a Node process that lives as long as the tests want it."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers

    def complaints(self, content: bytes, mode: str = "") -> list[str]:
        """Return what it has against a file; `mode` is "" for subtitles, "chapters", "metadata"."""
        self._requests.write(json.dumps([content.decode(), mode]) + "\n")
        self._requests.flush()
        found: list[str] = json.loads(self._answers.readline())
        return found


@contextmanager
def referee(node: str) -> Iterator[Referee]:
    """Give the referee; without the package the test is skipped."""
    if not PARSER.is_dir():
        reason = f"{PARSER.name} is not installed: npm ci --prefix tests --ignore-scripts"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with subprocess.Popen(
        [node, "-e", PROGRAM, str(PARSER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Referee(process.stdin, process.stdout)
