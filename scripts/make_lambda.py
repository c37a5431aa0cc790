"""Make the zips of the Lambdas: `make lambda`, or `python scripts/make_lambda.py [--folder build]`.

Each holds the modules that its handler can reach, and of requirements/run.txt what these import,
in the locked versions and by their hashes, as wheels for Amazon Linux on arm64. The same input
gives the same bytes. Before a zip is kept, its like for this machine is unpacked and its handler
imported.
"""

import argparse
import ast
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
OURS = ("api_lambda", "generator")
PYTHON = "3.13"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
MAX_ZIPPED, MAX_UNPACKED = 50_000_000, 250_000_000
_MOMENT = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell
_FILE = 0o100644 << 16
# What no program reads: descriptions of types, sources of C, bytecode of the machine that packs.
_IDLE = re.compile(
    r"\.(?:pyi|pyx|pxd|pyc|h|c|cpp)$|(?:^|/)(?:__pycache__|bin|include)/|/py\.typed$"
)
# boto3 describes 400 services; the ones that are asked, and what stands for all of them.
_BOTO_KEEPS = re.compile(
    r"^botocore/data/(?:(?:cloudfront|s3|sqs|ssm|sts)/|[^/]*\.json)|^boto3/data/(?:s3|sqs)/"
)
_BOTO = re.compile(r"^(?:botocore|boto3)/data/")


@dataclass(frozen=True, slots=True)
class Zip:
    """What a Lambda consists of.

    `starts` are the modules that it begins with; `packages` what it imports of others; `folders`
    are taken as they are; `trial` is what has to work, in Python.
    """

    name: str
    starts: tuple[str, ...]
    packages: frozenset[str]
    folders: tuple[str, ...]
    trial: str


_AWS = frozenset(
    {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
)
_SHAPES = frozenset(
    {
        "annotated-types", "pydantic", "pydantic-core", "pydantic-settings", "python-dotenv",
        "typing-extensions", "typing-inspection",
    }
)  # fmt: skip
_CATALOGUE = frozenset(
    {
        "click",
        "click-default-group",
        "filelock",
        "pluggy",
        "sqlite-fts4",
        "sqlite-utils",
        "tabulate",
    }
)

ZIPS = (
    Zip(
        "api",
        ("api_lambda.handler",),
        _AWS | _SHAPES | _CATALOGUE
        | {"annotated-doc", "anyio", "cachetools", "cffi", "cryptography", "fastapi", "idna",
           "itsdangerous", "mangum", "opentelemetry-api", "pycparser", "python-slugify",
           "starlette", "text-unidecode", "xxhash"},
        (),
        "import boto3; boto3.client('sqs'); boto3.client('ssm')\nimport api_lambda.handler as it\n"
        "assert callable(it.handler)",
    ),
    Zip(
        "builder",
        ("generator.builder_lambda", "generator.adapters.media_worker.__main__"),
        _AWS | _SHAPES | _CATALOGUE
        | {"av",  "charset-normalizer", "defusedxml", "filelock", "jinja2",
           "markdown-it-py", "markupsafe", "mdurl", "pillow", "pysubs2", "python-slugify",
           "pyyaml", "text-unidecode", "xxhash"},
        ("templates",),
        "import boto3; [boto3.client(one) for one in ('s3', 'sqs', 'cloudfront')]\n"
        "import av, PIL.Image, PIL.ImageOps, jinja2\nimport generator.builder_lambda as it\n"
        "import generator.adapters.media_worker.answer\n"
        "assert callable(it.handler)",
    ),
)  # fmt: skip


class TooLargeError(Exception):
    """A zip that Lambda would not take."""


# -- our own modules


def reachable(root: Path, starts: Iterable[str]) -> list[Path]:
    """Return the files of our modules that can be imported from some, late imports too."""
    found: set[Path] = set()
    left = list(starts)
    while left:
        module = left.pop()
        file = _file_of(root, module)
        if file is None or file in found:
            continue
        found.add(file)
        left += [module.rpartition(".")[0]]  # a package is imported before what is in it
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        left += _imported(file, package)
    return sorted(found)


def _file_of(root: Path, module: str) -> Path | None:
    if module.partition(".")[0] not in OURS:
        return None
    path = root / module.replace(".", "/")
    return next(
        (one for one in (path / "__init__.py", path.with_suffix(".py")) if one.is_file()), None
    )


def _imported(file: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
            yield base
            yield from (f"{base}.{one.name}" for one in node.names)


# -- packages of others


def chosen(locked: str, packages: Iterable[str], python: str, machine: str) -> list[str]:
    """Return the lines of a lock file for some packages, where they are to run.

    pip judges conditions by the Python that runs it, so they are judged here and left out.

    Raises:
        LookupError: one of the packages is not locked.
    """
    there = {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
        "platform_machine": machine, "os_name": "posix", "platform_system": "Linux",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    wanted, lines = set(packages), []
    for entry in re.split(r"\n(?=\S)", locked.replace("\\\n", " ").strip()):
        text, *hashes = re.split(r"\s+--hash=", entry.strip())
        if not text or text.startswith("#"):
            continue
        one = Requirement(text)
        if one.name in wanted and (one.marker is None or one.marker.evaluate(there)):
            lines.append(" ".join([f"{one.name}{one.specifier}", *(f"--hash={h}" for h in hashes)]))
    missing = wanted - {re.split(r"[=<>~]", line)[0] for line in lines}
    if missing:
        raise LookupError(f"not in requirements/run.txt: {', '.join(sorted(missing))}")
    return lines


def install(lines: Sequence[str], folder: Path, *, platforms: Sequence[str], python: str) -> None:
    """Unpack wheels into a folder; no wheel, another hash, or none to be had is an error."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--target", str(folder), "--no-deps", "--no-compile", "--only-binary=:all:",
            "--require-hashes", "--python-version", python, "--implementation", "cp",
            *(part for one in platforms for part in ("--platform", one)),
            "--requirement", str(wanted),
        ]  # fmt: skip
        subprocess.run(command, check=True)  # noqa: S603 (our own arguments)


# -- the zip


def contents(root: Path, one: Zip, site_packages: Path) -> dict[str, Path]:
    """Return every file of a zip by its name there."""
    found = {
        path.relative_to(site_packages).as_posix(): path
        for path in site_packages.rglob("*")
        if path.is_file()
    }
    kept = {name: path for name, path in found.items() if _is_read(name)}
    for file in reachable(root, one.starts):
        kept[file.relative_to(root).as_posix()] = file
    for folder in one.folders:
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                kept[path.relative_to(root).as_posix()] = path
    return dict(sorted(kept.items()))


def _is_read(name: str) -> bool:
    if _IDLE.search(name) or name.endswith(
        ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json")
    ):
        return False
    return not _BOTO.match(name) or bool(_BOTO_KEEPS.match(name))


def write(target: Path, files: dict[str, Path]) -> tuple[int, int]:
    """Write a zip that depends on names and bytes alone; return its size and the unpacked one."""
    unpacked = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type, entry.external_attr, entry.create_system = (
                zipfile.ZIP_DEFLATED,
                _FILE,
                3,
            )
            content = path.read_bytes()
            unpacked += len(content)
            made.writestr(entry, content)
    return target.stat().st_size, unpacked


def within_limits(name: str, zipped: int, unpacked: int) -> None:
    """Raise TooLargeError where Lambda would refuse."""
    if zipped > MAX_ZIPPED or unpacked > MAX_UNPACKED:
        raise TooLargeError(
            f"{name}.zip has {_mb(zipped)} ({_mb(unpacked)} unpacked); Lambda takes "
            f"{_mb(MAX_ZIPPED)} ({_mb(MAX_UNPACKED)} unpacked)"
        )


def tried(folder: Path, trial: str, python: str) -> None:
    """Run what has to work, with nothing but what is in a folder and Python's own library."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **keep, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x", "REELSHELF_STATE": f"{scratch}/state",
            "REELSHELF_OUT": f"{scratch}/site", "REELSHELF_LIBRARY": "s3://videos/video",
            "REELSHELF_BUCKET": "site", "REELSHELF_STATE_BUCKET": "state",
            "REELSHELF_QUEUE": "https://sqs.eu-central-1.amazonaws.com/1/events",
            "REELSHELF_SECRET": "00" * 32,
        }  # fmt: skip
        subprocess.run(  # noqa: S603 (our own arguments)
            [python, "-s", "-c", trial], check=True, cwd=scratch, env=environment
        )


def build(one: Zip, folder: Path, scratch: Path, locked: str) -> str:
    """Make one zip; return a line about it.

    Raises:
        TooLargeError: Lambda would not take it; it is left for a look.
        subprocess.CalledProcessError: pip or the trial failed; a former zip stays as it was.
    """
    python, version = _interpreter()
    here, there = scratch / one.name / "here", scratch / one.name / "there"
    install(
        chosen(locked, one.packages, version, platform.machine()), here,
        platforms=_platforms_here(), python=version,
    )  # fmt: skip
    unpacked_here = scratch / one.name / "tried"
    for name, path in contents(ROOT, one, here).items():
        (unpacked_here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, unpacked_here / name)
    tried(unpacked_here, one.trial, python)
    install(
        chosen(locked, one.packages, PYTHON, "aarch64"), there, platforms=PLATFORMS, python=PYTHON
    )
    made = scratch / f"{one.name}.zip"
    zipped, unpacked = write(made, contents(ROOT, one, there))
    shutil.copyfile(made, folder / made.name)
    within_limits(one.name, zipped, unpacked)
    sizes = f"{_mb(zipped)}, {_mb(unpacked)} unpacked"
    return f"{folder.name}/{made.name}  {sizes}, tried by Python {version}"


def _interpreter() -> tuple[str, str]:
    """Return the Python that tries a zip: Lambda's version if it is here, else this one."""
    found = shutil.which(f"python{PYTHON}")
    if found:
        told = subprocess.run(  # noqa: S603 (found by its name)
            [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.stdout.strip() == PYTHON:
            return found, PYTHON
    return sys.executable, ".".join(platform.python_version_tuple()[:2])


def _platforms_here() -> list[str]:
    machine = platform.machine()
    return [name.replace("aarch64", machine) for name in PLATFORMS]


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def main() -> int:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build")
    parser.add_argument("--only", choices=[one.name for one in ZIPS])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    locked = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    for one in ZIPS:
        if given.only in {None, one.name}:
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    print(build(one, given.folder, Path(scratch), locked))
                except (TooLargeError, LookupError) as error:
                    print(error, file=sys.stderr)
                    return 1
                except subprocess.CalledProcessError as error:
                    print(f"{one.name}.zip was not made: {error.cmd[:4]}… failed", file=sys.stderr)
                    return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
