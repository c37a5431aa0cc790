"""The command line called in this process, as its program calls it."""

import io
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from generator.cli import main


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def command(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Answer:
    """Run `reelshelf` with some arguments in a folder, which is its home, too."""
    printed, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    before, code = Path.cwd(), 0
    kept = {k: v for k, v in os.environ.items() if not k.startswith("REELSHELF_")}
    surroundings = {**kept, "HOME": str(folder), "REELSHELF_SETTLE_S": "0", **(environment or {})}
    with (
        patch.dict(os.environ, surroundings, clear=True),
        patch.object(sys, "argv", ["reelshelf", *arguments]),
        redirect_stdout(printed),
        redirect_stderr(errors),
    ):
        os.chdir(folder)
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os.chdir(before)
            for handler in logging.getLogger().handlers[:]:
                if getattr(handler, "stream", None) is errors:
                    logging.getLogger().removeHandler(handler)
            with suppress(ValueError):
                printed.flush(), errors.flush()
    texts = (one.buffer.getvalue().decode("utf-8", "replace") for one in (printed, errors))  # type: ignore[attr-defined]
    return Answer(code, *texts)
