"""The AWS template is translated, linted and questioned; planted faults show that it is heard."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import make_lambda
import pytest
from paths import ROOT

TEMPLATE = ROOT / "api_lambda" / "template.yaml"
DEPLOY = ROOT / ".venv-deploy" / "bin" / "python"
# Imported late, and by nothing that the Lambda does.
NEVER_IMPORTED = {
    "api": {"redis", "markdown_it", "psutil", "prometheus_client"},  # a Lambda is not measured
    "builder": {"redis"},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What stands in the template, what is put in its place, and what has to be said of it."""

    old: str
    new: str
    messages_of: str


def planted() -> Iterator[tuple[str, Fault]]:
    """Yield the faults of template_faults.txt by their names."""
    text = (ROOT / "tests" / "deploy" / "template_faults.txt").read_text(encoding="utf-8")
    for part in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        name, *lines = part.rstrip("\n").split("\n")
        old, new, message = (
            "\n".join(line[1:] for line in lines if line[:1] == sign) for sign in "-+="
        )
        yield name, Fault(old, new, message)


FAULTS = dict(planted())


@pytest.fixture(scope="module")
def check() -> Callable[..., dict[str, list[str]]]:
    """Return what asks the checker, in the environment that has its tools."""
    if not (DEPLOY.parents[1] / ".ready").exists() or not DEPLOY.exists():
        reason = "there is no .venv-deploy: `make template` makes it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def ask(*arguments: str | Path) -> dict[str, list[str]]:
        command = [DEPLOY, ROOT / "scripts" / "check_template.py", "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.stdout, done.stderr
        return {Path(name).stem: faults for name, faults in json.loads(done.stdout).items()}

    return ask


@pytest.fixture(scope="module")
def messages_of(
    check: Callable[..., dict[str, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """Return what is said of each planted fault."""
    folder = tmp_path_factory.mktemp("planted")
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, fault in FAULTS.items():
        assert fault.old in text, name
        bad = text.replace(fault.old, fault.new)
        (folder / f"{name}.yaml").write_text(bad, encoding="utf-8")
    return check("--own", *sorted(folder.iterdir()))


@dataclass(frozen=True, slots=True)
class Linted:
    """What is said of the template and of a bad one, and what the former becomes."""

    template: list[str]
    bad: list[str]
    translated: str


@pytest.fixture(scope="module")
def linted(
    check: Callable[..., dict[str, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> Linted:
    """Ask of both at once: to start the linter takes seconds."""
    folder = tmp_path_factory.mktemp("linted")
    bad, target = folder / "bad.yaml", folder / "translated.json"
    text = TEMPLATE.read_text(encoding="utf-8")
    text = text.replace("http2and3", "http9").replace(
        "EventInvokeConfig: {MaximumRetryAttempts: 0,",
        "EventInvokeConfig: {MaximumRetryAttempts: 9,",
    )
    bad.write_text(text, encoding="utf-8")
    told = check(bad, TEMPLATE, "--translated", target)  # the last one is written there
    return Linted(told["template"], told["bad"], target.read_text(encoding="utf-8"))


def test_there_is_nothing_to_say_of_the_template(linted: Linted) -> None:
    assert linted.template == []
    assert "Transform" not in json.loads(linted.translated)
    assert "http9" not in linted.translated


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_told(fault: str, messages_of: dict[str, list[str]]) -> None:
    assert [line for line in messages_of[fault] if FAULTS[fault].messages_of in line], messages_of[
        fault
    ]


def test_what_a_linter_knows_is_seen_once_the_template_is_translated(linted: Linted) -> None:
    assert any("E3030" in one and "http9" in one for one in linted.bad)
    assert any("E3034" in one and "BuilderFunctionEventInvokeConfig" in one for one in linted.bad)


# -- the function for a site in a folder of its host


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("/films", "301 /films/"),
        ("/films/", "/films/index.html"),
        ("/films/watch/a-1.html", "/films/watch/a-1.html"),
        ("/films/video/a%20b.mp4", "/video/a%20b.mp4"),
        ("/films/api/changes", "/api/changes"),
        ("/films/videos.html", "/films/videos.html"),
        ("/", "/"),
        ("/filmsandmore/", "/filmsandmore/"),
    ],
)
def test_a_site_in_a_folder_is_found_in_the_buckets(
    asked: str, answer: str, program: Callable[[str], str]
) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    found = re.search(r"FunctionCode: !Sub \|\n(.*?)\n      Tags", text, re.DOTALL)
    assert found
    code = found[1].replace("${BasePath}", "/films")
    asks = f"""
        const got = handler({{ request: {{ uri: {json.dumps(asked)}, headers: {{}} }} }});
        console.log(got.uri || `${{got.statusCode}} ${{got.headers.location.value}}`);
    """

    done = subprocess.run(
        [program("node"), "-e", code + asks], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == answer


# -- the zips


def test_a_zip_depends_on_names_and_bytes_alone(tmp_path: Path) -> None:
    made = []
    for turn, names in enumerate((("b.py", "a/c.py"), ("a/c.py", "b.py"))):
        files = {}
        for name in names:
            path = tmp_path / str(turn) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name}\n", encoding="utf-8")
            path.chmod(0o600 if turn else 0o755)
            os.utime(path, (turn * 1e9, turn * 1e9))
            files[name] = path
        target = tmp_path / f"{turn}.zip"
        _, unpacked = make_lambda.write(target, files)
        assert unpacked == sum(path.stat().st_size for path in files.values())
        made.append(target.read_bytes())

    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "0.zip") as found:
        assert found.namelist() == ["a/c.py", "b.py"]
        assert {one.external_attr >> 16 & 0o777 for one in found.infolist()} == {0o644}


def test_a_zip_that_lambda_would_not_take_is_refused() -> None:
    make_lambda.within_limits("api", 50_000_000, 250_000_000)
    with pytest.raises(make_lambda.TooLargeError, match=r"50\.0 MB"):
        make_lambda.within_limits("api", 50_000_001, 1)
    with pytest.raises(make_lambda.TooLargeError, match=r"250\.0 MB unpacked"):
        make_lambda.within_limits("api", 1, 250_000_001)


def test_versions_are_chosen_for_where_they_run_and_not_for_where_we_are() -> None:
    locked = (
        "one==1.0 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"
        "one==2.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:bb \\\n"
        "    --hash=sha256:cc\n"
        "other==1\n"
    )

    assert make_lambda.chosen(locked, ["one"], "3.13", "aarch64") == [
        "one==2.0 --hash=sha256:bb --hash=sha256:cc"
    ]
    with pytest.raises(LookupError, match="third"):
        make_lambda.chosen(locked, ["one", "third"], "3.13", "aarch64")


@pytest.mark.parametrize("archive", make_lambda.ZIPS, ids=lambda archive: archive.name)
def test_all_that_a_zip_is_to_hold_is_locked(archive: make_lambda.Zip) -> None:
    locked = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")

    lines = make_lambda.chosen(locked, archive.packages, make_lambda.PYTHON, "aarch64")

    assert len(lines) == len(archive.packages)
    assert all("--hash=sha256:" in line for line in lines)


def test_the_zip_of_the_api_holds_nothing_that_renders() -> None:
    (api,) = [one for one in make_lambda.ZIPS if one.name == "api"]

    names = {path.stem for path in make_lambda.reachable(ROOT, api.starts)}

    assert {"handler", "messages", "sqs"} <= names
    assert not names & {"engine", "renderer", "worker_pool", "publisher", "bucket", "main"}
    assert not api.packages & {"av", "pillow", "jinja2", "uvicorn", "uvloop", "livereload"}


def test_late_and_relative_imports_are_reached(tmp_path: Path) -> None:
    package = tmp_path / "generator"
    (package / "deep").mkdir(parents=True)
    for name, text in {
        "__init__.py": "", "start.py": "def late():\n    from generator.deep import far\n",
        "deep/__init__.py": "", "deep/far.py": "from . import near\nfrom .. import above\n",
        "deep/near.py": "", "above.py": "import json\n", "alone.py": "",
    }.items():  # fmt: skip
        (package / name).write_text(text, encoding="utf-8")

    found = {path.stem for path in make_lambda.reachable(tmp_path, ["generator.start"])}

    assert found == {"__init__", "start", "far", "near", "above"}


@pytest.mark.parametrize("archive", make_lambda.ZIPS, ids=lambda archive: archive.name)
def test_every_package_that_is_imported_is_in_the_zip(archive: make_lambda.Zip) -> None:
    owners = importlib.metadata.packages_distributions()
    missing = {}
    for module in make_lambda.reachable(ROOT, archive.starts):
        for name in set(imported(module)) - sys.stdlib_module_names - NEVER_IMPORTED[archive.name]:
            packages = {re.sub(r"[-_.]+", "-", found).lower() for found in owners.get(name, ())}
            if name not in make_lambda.OURS and not packages & archive.packages:
                missing[name] = module.name

    assert missing == {}


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("one", make_lambda.ZIPS, ids=lambda one: one.name)
def test_what_has_to_work_in_a_zip_works_here(one: make_lambda.Zip) -> None:
    make_lambda.tried(ROOT, one.trial, sys.executable)


def test_the_trial_of_a_zip_fails_where_something_is_missing(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        make_lambda.tried(tmp_path, "import api_lambda.not_there", sys.executable)
