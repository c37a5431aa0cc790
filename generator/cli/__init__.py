"""The command line: arguments become settings, settings an engine; the only room that prints.

Exit codes: 0 done, 1 done with problems, 2 bad use or settings.
"""

import sqlite3
from importlib import metadata
from typing import Annotated

import typer

from generator.cli import (
    access,
    api,
    building,
    copies,
    listing,
    publishing,
    restore,
    serving,
    telling,
    working,
)
from generator.cli.shared import app, fail, out, shipped
from generator.core.errors import ReelshelfError

__all__ = [
    "access",
    "api",
    "app",
    "building",
    "copies",
    "listing",
    "main",
    "publishing",
    "restore",
    "serving",
    "shipped",
    "telling",
    "working",
]


def main() -> None:
    """Run the command line; expected errors are told in a line or two, without a traceback."""
    try:
        app()
    except ReelshelfError as error:
        fail(str(error), error.hint, error.exit_code)
    except sqlite3.OperationalError as error:
        fail(
            f"the database cannot be written or read: {error}",
            "nothing of this was recorded; run the same command again when this is mended",
            1,
        )
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        fail(
            f"cannot go on:{where} {error.strerror or error}",
            "what is on the disk is whole; run the same command again when this is mended",
            1,
        )


@app.callback(invoke_without_command=True)
def reelshelf(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Tell the version and end.")] = False,
) -> None:
    """Make a complete static site of a folder of videos."""
    if version:
        out.print(f"reelshelf {metadata.version('reelshelf')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        out.print(context.get_help(), markup=False)
        raise typer.Exit(2)
