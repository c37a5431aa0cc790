"""The command line: arguments become settings, settings an engine; the only module that prints.

Exit codes: 0 done, 1 done with problems, 2 bad use or settings.
"""

import os
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from generator.cli import (
    api,
    backup,
    build,
    dev,
    export,
    history,
    import_entries,
    inspect_site,
    list_videos,
    maintain,
    nginx,
    publish,
    renditions,
    restore,
    tag,
    token,
    worker,
)
from generator.cli.options import app, fail, shipped
from generator.cli.terminal import finish, out, prepare, turn_away
from generator.core.errors import ReelshelfError

__all__ = [
    "api",
    "app",
    "backup",
    "build",
    "dev",
    "export",
    "history",
    "import_entries",
    "inspect_site",
    "list_videos",
    "main",
    "maintain",
    "nginx",
    "publish",
    "renditions",
    "restore",
    "shipped",
    "tag",
    "token",
    "worker",
]

_NOT_RECORDED = "nothing was recorded; run the same command again after fixing this"
_RESTORE = (
    "`reelshelf restore BACKUP` puts a backup of the catalogue in its place;"
    " `reelshelf build --full` rebuilds the ledger"
)
_WHOLE = "files on disk are consistent; run the same command again after fixing this"
_REPORT = (
    "this is a bug in reelshelf: please report it, with the output of"
    " `reelshelf --traceback …` for the same command"
)


def main() -> None:
    """Run the command line; errors are printed in a line or two, without a traceback."""
    prepare()
    code: object = 0
    try:
        code = app(standalone_mode=False)
    except BrokenPipeError:  # `reelshelf … | head` has seen enough
        turn_away()
        code = 1
    except Exception as error:
        if "--traceback" in sys.argv:
            raise
        _fail(error)
    sys.exit(finish() or (code if isinstance(code, int) else 0))


def _fail(error: Exception) -> None:
    report = _describe(error)
    try:
        fail(*report)
    except OSError:  # nor can that be written
        sys.exit(report[2])
    finally:
        finish()


def _describe(error: Exception) -> tuple[str, str, int]:
    """Return the message for an error, the hint, and the exit code."""
    match error:
        case ReelshelfError():
            report = str(error), error.hint, error.exit_code
        case typer.Abort():
            report = "stopped", "", 130
        case typer.TyperException():
            context = getattr(error, "ctx", None)
            command = context.command_path if context is not None else "reelshelf"
            report = error.format_message(), f"`{command} --help` shows its usage", 2
        case UnicodeEncodeError() if not _is_text(sys.argv):
            report = "an argument is not valid UTF-8", "write it in UTF-8", 2
        case sqlite3.OperationalError():
            report = f"the database cannot be written or read: {error}", _NOT_RECORDED, 1
        case sqlite3.DatabaseError():
            report = f"a database in the state folder cannot be read: {error}", _RESTORE, 1
        case OSError():
            where = f" {_text(error.filename)}:" if error.filename else ""
            report = f"cannot continue:{where} {error.strerror or error}", _WHOLE, 1
        case _:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.name} ({Path(place.filename).name}, line {place.lineno})"
            report = f"unexpected {type(error).__name__} in {where}: {error}", _REPORT, 1
    return report


def _is_text(words: Sequence[str]) -> bool:
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else str(name)


@app.callback(invoke_without_command=True)
def reelshelf(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    trace: Annotated[
        bool, typer.Option("--traceback", help="Print a traceback when an error occurs.")
    ] = False,
) -> None:
    """Build a static site from a folder of videos."""
    del trace  # `main` looks for it: what fails may fail before this
    if version:
        out.print(f"reelshelf {metadata.version('reelshelf')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        out.print(context.get_help())
        raise typer.Exit(2)
