"""Build a site of a library, or of samples made for it, and serve it: what `make demo` runs."""

import argparse
import os
import sys
from hashlib import sha256
from pathlib import Path

from make_samples import make_samples

HERE = Path(__file__).resolve().parent.parent
DEMO = HERE / "demo"


def main() -> None:
    """Read the arguments, make samples where none are given, and become `reelshelf dev`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, help="a folder of videos; default: made samples")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    library = given.library
    if library is None:
        library = DEMO / "samples"
        print(f"making sample videos in {library} (once; about a minute)", flush=True)
        make_samples(library)
    library = library.expanduser().resolve()
    place = DEMO / sha256(os.fsencode(library)).hexdigest()[:8]  # each library its own catalogue
    environment = {
        **os.environ,
        "REELSHELF_STATE": str(place / "state"),
        "REELSHELF_TITLE": os.environ.get("REELSHELF_TITLE", "My videos"),
        "REELSHELF_SITE_URL": f"http://127.0.0.1:{given.port}",
    }
    command = Path(sys.executable).with_name("reelshelf")
    arguments = ["dev", "--library", library, "--out", place / "site", "--port", str(given.port)]
    DEMO.mkdir(exist_ok=True)
    os.chdir(DEMO)  # not where a reelshelf.toml may be
    os.execve(command, ["reelshelf", *map(str, arguments)], environment)  # noqa: S606 (our own program)


if __name__ == "__main__":
    main()
