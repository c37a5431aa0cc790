"""The command line as a process of its own."""

import os
import subprocess
from pathlib import Path

from forks import completed


def reelshelf(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "REELSHELF_SETTLE_S": "0", **environment}
    return completed(arguments, cwd=folder, env=surroundings)
