"""Documents are tested like code: what they name exists and is named, and the tutorial runs."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import pytest
from clips import make_clip
from paths import ROOT
from typer.main import get_command
from typer.testing import CliRunner

from generator import __version__
from generator.adapters.catalogue import Catalogue
from generator.adapters.media_worker.sidecars import read_metadata
from generator.adapters.settings import FILE, Settings, commented
from generator.adapters.settings.toml_tables import file_key, flattened, place_of
from generator.cli import app
from generator.core.build_receipt import Receipt
from generator.core.library.file_filter import VIDEO_SUFFIXES
from generator.core.model import EventKind, SidecarKind

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
MODULES = sorted(
    path.relative_to(ROOT / "generator").as_posix()
    for path in (ROOT / "generator").rglob("*.py")
    if path.name != "__init__.py"
)
COMMANDS: dict[str, dict[str, str]] = {
    name: {
        max(one.opts, key=len): getattr(one, "help", "")
        for one in command.params
        if not getattr(one, "hidden", False)
    }
    for name, command in getattr(get_command(app), "commands", {}).items()
}


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Return what stands under each heading of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row of every table, headings and rules left out."""
    found = [line.strip("|").split("|") for line in text.split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in found]
    return [
        row for number, row in enumerate(cells) if not _is_rule(row) and not _heads(cells, number)
    ]


def _is_rule(row: list[str]) -> bool:
    return all(cell and not cell.strip("-:") for cell in row)


def _heads(cells: list[list[str]], number: int) -> bool:
    return number + 1 < len(cells) and _is_rule(cells[number + 1])


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the content of every fenced block, in order."""
    for fence in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        yield fence[2], re.sub(f"^{fence[1]}", "", fence[3], flags=re.MULTILINE)


# -- commands


def test_there_are_commands() -> None:
    assert {"init", "build", "watch", "why", "status", "problems"} <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_option_and_argument_has_help(name: str) -> None:
    help_text = CliRunner(env={"COLUMNS": "200"}).invoke(app, [name, "--help"]).stdout

    without = [option for option, text in COMMANDS[name].items() if not text]
    assert without == []
    assert all(option in help_text for option in COMMANDS[name] if option.startswith("--"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_command_with_its_options_and_no_others(name: str) -> None:
    section = sections(text_of("reference/cli.md"))[f"`reelshelf {name}`"]
    told = {found for row in rows(section) for found in re.findall(r"`(--[a-z-]+)", row[0])}

    assert told == {option for option in COMMANDS[name] if option.startswith("--")} - {"--help"}


def test_the_reference_has_no_command_that_is_none() -> None:
    told = re.findall(r"^## `reelshelf (\w+)`$", text_of("reference/cli.md"), re.MULTILINE)

    assert sorted(told) == sorted(COMMANDS)


def test_every_command_that_a_document_shows_exists() -> None:
    shown = {
        (page.name, found)
        for page in PAGES
        for found in re.findall(r"`reelshelf ([a-z]+)\b", page.read_text(encoding="utf-8"))
    }

    assert {(page, name) for page, name in shown if name not in COMMANDS} == set()


def test_every_option_that_a_document_shows_with_a_command_exists() -> None:
    shown = {
        (page.name, name, option)
        for page in PAGES
        for line in page.read_text(encoding="utf-8").split("\n")
        for name, rest in re.findall(r"reelshelf ([a-z]+)((?: [^`|;]*)?)", line)
        for option in re.findall(r"(?<= )--[a-z-]+", rest)
        if name in COMMANDS
    }

    wrong = {one for one in shown if one[2] not in {*COMMANDS[one[1]], "--help"}}
    assert wrong == set()


# -- settings, receipt, catalogue, modules


def test_every_setting_stands_in_the_reference_with_its_default_and_environment_name() -> None:
    reference = {
        row[0]: (row[1], row[2]) for row in rows(sections_before(text_of("reference/settings.md")))
    }
    defaults = dict(re.findall(r"^# (\w+) = (.*)$", commented(), re.MULTILINE))
    defaults |= {"library": "[]", "templates": "", "backup_dir": ""}

    assert reference.pop("setting", None) is None
    assert reference == {
        f"`{place_of(name)}`": (
            f"`{defaults[file_key(name)]}`" if defaults[file_key(name)] else "none",
            f"`REELSHELF_{name.upper()}`",
        )
        for name in Settings.model_fields
    }


def sections_before(text: str) -> str:
    """Return what stands before the first heading of the second level."""
    return text.partition("\n## ")[0]


def test_the_reference_has_every_ending_that_is_looked_at() -> None:
    section = sections(text_of("reference/settings.md"))["`library`"]
    listed = re.findall(r"^- (.+)$", section, re.MULTILINE)

    assert {ending for line in listed for ending in line.split(", ")} == VIDEO_SUFFIXES


def test_the_reference_has_every_key_of_the_receipt_and_no_others() -> None:
    keys = sections(text_of("reference/receipt.md"))["Keys"]
    told = {row[0].strip("`") for row in rows(keys)}

    assert told == {*Receipt().as_dict(), "dry_run"}


def test_the_reference_has_every_kind_of_event_and_no_others() -> None:
    kinds = sections(text_of("reference/catalogue.md"))["Kinds of event"]

    assert {row[0].strip("`") for row in rows(kinds)} == set(EventKind)


def test_the_reference_has_every_table_and_column_of_the_catalogue() -> None:
    text = text_of("reference/catalogue.md")
    with Catalogue(Path(":memory:")) as catalogue:
        names = catalogue._connection.execute(  # noqa: SLF001 (nobody else asks for its tables)
            "SELECT DISTINCT m.name, t.name FROM sqlite_master AS m, pragma_table_info(m.name) AS t"
            " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'"
        ).fetchall()
    ours = [(table, column) for table, column in names if table != "_sqlite_migrations"]

    assert len(ours) > 40  # tables are there
    assert [one for one in ours if f"### `{one[0]}`" not in text or f"`{one[1]}`" not in text] == []


def test_the_architecture_page_names_every_package_and_the_modules_at_the_top() -> None:
    tree = next(content for kind, content in blocks(text_of("explanation/architecture.md")))
    packages = {
        f"{file.parent.relative_to(ROOT).as_posix()}/"
        for top in ("generator", "api_lambda")
        for file in (ROOT / top).rglob("__init__.py")
    }
    modules = {
        file.relative_to(ROOT).as_posix()
        for folder in ("generator", "generator/core")
        for file in (ROOT / folder).glob("*.py")
        if file.name != "__init__.py"
    }

    assert sorted(paths_of_tree(tree)) == sorted(packages | modules)


def paths_of_tree(tree: str) -> Iterator[str]:
    """Yield the path of each line of an indented tree; what follows two spaces is a remark."""
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        name = line.split()[0]
        depth = len(line) - len(line.lstrip())
        while folders and folders[-1][0] >= depth:
            folders.pop()
        folders.append((depth, name))
        yield "".join(part for _, part in folders)


def test_every_path_of_the_code_that_a_document_names_exists() -> None:
    below = ("", "generator", "generator/core")  # paths may be short where a tree stands nearby
    named = {
        (page.name, found)
        for page in PAGES
        if page.name != "CHANGELOG.md"  # what is told there was so then
        for found in re.findall(
            r"`((?:\w+/)*\w+\.py|(?:generator|api_lambda|core|adapters|tests|benchmarks|scripts)/[\w./]*)`",
            page.read_text(encoding="utf-8"),
        )
    }

    assert len(named) > 20
    wrong = {
        (page, path)
        for page, path in named
        if not any((ROOT / top / path).exists() for top in below)
    }
    assert wrong == set()


def test_the_reference_has_every_template() -> None:
    text = text_of("reference/templates.md")
    templates = [file.name for file in (ROOT / "templates").iterdir() if file.is_file()]

    assert [name for name in templates if f"`{name}`" not in text] == []


def test_every_message_that_the_page_on_problems_explains_can_be_told() -> None:
    sources = "".join(
        (ROOT / "generator" / module).read_text(encoding="utf-8") for module in MODULES
    )
    page = text_of("howto/problems.md")
    cells = [row[0] for row in rows(page)] + re.findall(r"^- (`.+`)$", page, re.MULTILINE)
    told = [message for cell in cells for message in re.findall(r"`(.+?)`", cell)]
    fixed = [re.split(r"…|[0-9]|\bN\b", message.strip("… "))[0].strip() for message in told]

    assert len(fixed) > 25
    assert [message for message in fixed if message not in sources] == []


# -- links and form


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_something(page: Path) -> None:
    prose = re.sub(
        r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in relative if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path) if path else page
    if not target.exists() or not anchor:
        return target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {anchor_of(heading) for heading in headings}


def anchor_of(heading: str) -> str:
    """Return what a heading's address is on GitHub and its like."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_short_and_shows_how_to_start() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert text.count("\n") < 100
    assert all(start in text for start in ("make demo", "make test", "pip install ."))


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(rf"^## \[{re.escape(__version__)}\]", text, re.MULTILINE)


def test_decisions_are_numbered_and_have_their_four_parts() -> None:
    decisions = sorted((DOCS / "adr").glob("*.md"))

    numbers = [int(page.name[:4]) for page in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    for page in decisions:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}: ")
        assert "\nStatus: " in text
        assert {"Context", "Decision", "Consequences"} <= sections(text).keys()


def test_every_document_that_the_program_points_to_exists() -> None:
    sources = [*(ROOT / "generator").rglob("*.py"), *(ROOT / "deploy").iterdir()]
    named = {
        (source.name, found)
        for source in sources
        for found in re.findall(r"\bdocs/[\w/-]+\.md", source.read_text(encoding="utf-8"))
    }

    assert {(name, page) for name, page in named if not (ROOT / page).is_file()} == set()


# -- what can be tried


def test_every_toml_example_is_a_settings_file() -> None:
    examples = [
        (page.name, tomllib.loads(content))
        for page in PAGES
        for language, content in blocks(page.read_text(encoding="utf-8"))
        if language == "toml" and page.name != "sidecars.md"
    ]

    assert examples
    unknown = set()
    for page, example in examples:
        values, advice, mistakes = flattened(example)
        assert (advice, mistakes) == ([], []), page
        unknown |= {(page, name) for name in values.keys() - Settings.model_fields}
    assert unknown == set()


@pytest.mark.parametrize(("language", "suffix"), [("toml", "toml"), ("markdown", "md")])
def test_the_examples_of_our_own_sidecars_are_read_as_they_say(language: str, suffix: str) -> None:
    examples = [text for kind, text in blocks(text_of("reference/sidecars.md")) if kind == language]

    assert examples
    for text in examples:
        metadata = read_metadata(SidecarKind.OWN, f"harbor.{suffix}", text.encode())
        assert (metadata.title, metadata.creator) == ("The harbor in winter", "Ann")
        assert metadata.tags == ("harbor", "winter")
        assert [one.title for one in metadata.chapters] == ["The pier", "The boats"]
        assert metadata.recorded_at
        assert metadata.description


def test_the_questions_to_the_catalogue_can_be_asked() -> None:
    questions = [
        content for kind, content in blocks(text_of("reference/catalogue.md")) if kind == "sql"
    ]

    assert questions
    with Catalogue(Path(":memory:")) as catalogue:
        for question in questions:
            catalogue._connection.execute(question)  # noqa: SLF001 (as any SQLite tool would)


def test_the_tutorial_runs_and_prints_what_it_says(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    videos = tmp_path / "home" / "Videos"
    videos.mkdir(parents=True)
    for number, name in enumerate(("fjord", "harbor", "lighthouse")):
        make_clip(videos / f"{name}.mp4", number)
    shell = Shell(tmp_path, free_port())

    printed = ""
    for language, content in blocks(text_of("tutorial/first-site.md")):
        if language == "sh":
            printed = shell.run(content)
        elif language == "text":
            assert_prints(content, printed)

    site = tmp_path / "home" / "my-site" / "site_out"
    assert (site / "index.html").is_file()
    assert json.loads((site / "data" / "random.json").read_text(encoding="utf-8"))["shelves"] == 1
    assert (tmp_path / "home" / "my-site" / FILE).is_file()


def assert_prints(expected: str, printed: str) -> None:
    """Check that every expected line was printed, in this order; figures may be others."""
    left = iter(without_figures(printed).split("\n"))
    for line in without_figures(expected).strip("\n").split("\n"):
        assert line in left, f"{line!r} is not in, or not in this order in:\n{printed}"


def without_figures(text: str) -> str:
    text = re.sub(r"^watching /.*/videos by events", "watching videos", text, flags=re.MULTILINE)
    return re.sub(r"[0-9]+(?:[.:T-]+[0-9]+)*(?: [KM]B)?", "0", text)


class Shell:
    """Runs blocks of commands, each where the one before ended, with our command on PATH."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = self._home = folder
        self._port = port
        self._environment = {
            "HOME": str(folder / "home"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "REELSHELF_SETTLE_S": "0",
        }

    def run(self, commands: str) -> str:
        """Return what the commands print; an exit code of 1 only says that there are problems."""
        if commands.startswith("reelshelf dev"):
            return self._serve(shlex.split(commands))
        where = self._home / "where"
        done = subprocess.run(
            ["sh", "-c", f"set -u\n{commands}\ncode=$?\npwd > '{where}'\nexit $code"],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in {0, 1}, f"{commands}\n{done.stdout}\n{done.stderr}"
        self._folder = Path(where.read_text(encoding="utf-8").strip())
        return done.stdout

    def _serve(self, command: list[str]) -> str:
        """Start a server, ask it for its home page, and stop it."""
        with subprocess.Popen(
            [*command, "--port", str(self._port)],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            try:
                assert server.stdout is not None
                printed = "".join(server.stdout.readline() for _ in range(3))
                with urlopen(f"http://127.0.0.1:{self._port}/", timeout=60) as answer:
                    assert b"lighthouse" in answer.read()
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(60)
        return printed
