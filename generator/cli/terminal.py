"""What is printed: safe for a terminal, and possible whatever the standard streams are.

Names of files, tags and tokens come from anywhere. Characters that would steer a terminal, or turn
the direction of what follows, are shown as escapes; so are those that an encoding does not have.
"""

import logging
import os
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console
from typing_extensions import override

from generator.core.formatting import escape_controls


class SafeConsole(Console):
    """A console that shows escapes instead of what would steer a terminal."""

    @override
    def print(self, *objects: Any, **options: Any) -> None:
        """Print as it is, without markup."""
        shown = (escape_controls(one) if isinstance(one, str) else one for one in objects)
        super().print(*shown, **{"markup": False, "emoji": False, "soft_wrap": True, **options})


class SafeFormatter(logging.Formatter):
    """Lines of the log that show escapes instead of what would steer a terminal."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines, of a record."""
        return escape_controls(super().format(record))


out, err = SafeConsole(highlight=False), SafeConsole(stderr=True, highlight=False)


def prepare() -> None:
    """Make both streams writable: closed ones discard what is written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # before a database gets its number, and what is printed goes there
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (for good)
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:  # of commands that start no log
        logging.lastResort.setFormatter(SafeFormatter("%(message)s"))


def write_exactly(text: str) -> None:
    """Write a text for another program to the standard output, names of files byte for byte."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def finish() -> int:
    """Flush; return 0, or 1 if the reader is gone."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        turn_away()
        return 1
    return 0


def turn_away() -> None:
    """Discard further output: its reader is gone."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
