"""Any arguments: an exit code that means something, no traceback, nothing touched elsewhere."""

import os
from pathlib import Path

import pytest
from clips import make_clip
from commanded import command
from effort import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

COMMANDS = (
    "init", "build", "status", "why", "problems", "duplicates", "renditions", "token", "nginx",
    "queue", "publish", "dev", "api", "watch", "worker", "nonsense", "",
)  # fmt: skip
FAILS = ("--config", "no-such.toml")  # before anything is served
OPTIONS = (
    "--json", "--verbose", "-v", "--full", "--dry-run", "--accept-loss", "--no-compress", "--drop",
    "--pages-only", "--retry", "--verify", "--force", "--rollback", "--requeue", "--put-back",
    "--once", "--lan", "--phone", "--keep-others", "--adopt", "--brotli", "--help",
    "--version", "--traceback", "--", "-", "---", "-x", "--=",
)  # fmt: skip
WITH_VALUE = (
    "--library", "-l", "--out", "-o", "--config", "-c", "--jobs", "-j", "--nice", "--bucket", "-b",
    "--port", "--host", "--socket", "--proxy", "--listen", "--server-name", "--api",
)  # fmt: skip
WORDS = (
    "", "0", "-1", "1", "64", "99999999999999999999", "1e9", "nan", "new", "list", "revoke",
    "digest", "videos", "no-such", "videos/a.mp4", "index.html", "event 1", ".", "..", "s3://",
    "s3://b/p", "unix:/x", "a\nb", "a;b", "a{b}", "\udcff", "\u202e\x1b[31m", "\u00b2", "x" * 5000,
)  # fmt: skip
LETTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from(
    [chr(number) for number in range(0xDC80, 0xDD00)]  # bytes that are no text
)
RUBBISH = st.text(LETTERS, max_size=12)
WORD = st.sampled_from(WORDS) | RUBBISH
ARGUMENT = (
    st.sampled_from(OPTIONS).map(lambda one: [one])
    | st.tuples(st.sampled_from(WITH_VALUE), WORD).map(list)
    | WORD.map(lambda one: [one])
)
SERVE = {"dev", "api", "watch", "worker"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any") / "site"
    (folder / "videos").mkdir(parents=True)
    make_clip(folder / "videos/a.mp4")
    (folder / "reelshelf.toml").write_text(
        'library = ["videos"]\nstoryboards = false\ncompress = "off"\n', encoding="utf-8"
    )
    assert command(folder, "build").code == 0
    return folder


def beside(folder: Path) -> dict[str, bytes | None]:
    """Return what lies beside the site's own folders."""
    return {
        str(file.relative_to(folder)): file.read_bytes() if file.is_file() else None
        for file in folder.rglob("*")
        if not file.is_relative_to(folder / "site")
    }


@settings(max_examples=examples(20, thorough=60), suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(COMMANDS), arguments=st.lists(ARGUMENT, max_size=3))
@example(name="why", arguments=[["--json"], ["\udcff"]])
@example(name="token", arguments=[["new"], ["\udcff\x1b"]])
@example(name="nginx", arguments=[["--listen", "\udcff"]])
@example(name="nginx", arguments=[["--server-name", "\udcff"], ["--json"]])
@example(name="build", arguments=[["-l", "\udcff"]])
@example(name="build", arguments=[["--out", "\udcff"], ["--dry-run"]])
@example(name="publish", arguments=[["--bucket", "\udcff"], ["--dry-run"]])
@example(name="init", arguments=[["\udcff/\udcfe"]])
def test_any_arguments_end_in_an_answer(site: Path, name: str, arguments: list[list[str]]) -> None:
    words = [word for part in arguments for word in part]
    is_out = any(Path(word).is_absolute() or ".." in word or "~" in word for word in words)
    if is_out or (name == "publish" and "--dry-run" not in words):
        words = ["--help"]
    fails = FAILS if name in SERVE else ()
    before = beside(site.parent)

    answer = command(
        site, name, *words, *fails,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1",
                     "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
                     "AWS_DEFAULT_REGION": "us-east-1"},
    )  # fmt: skip

    assert answer.code in {0, 1, 2, 3}, answer.text
    assert "Traceback" not in answer.text or "--traceback" in words
    assert "unexpected" not in answer.text.replace("got unexpected", "").replace(
        "Got unexpected", ""
    )
    assert beside(site.parent) == before
    assert not os.environ.get("REELSHELF_STATE")
