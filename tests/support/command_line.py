"""The command line as a process of its own."""

import os
import subprocess
from pathlib import Path

from forks import completed


def reelshelf(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    # A second worker costs half a second of the processor, and has nothing to do.
    cheaply = {"REELSHELF_SETTLE_S": "0", "REELSHELF_JOBS": "1"}
    surroundings = {**os.environ, **cheaply, **environment}
    return completed(arguments, cwd=folder, env=surroundings)
