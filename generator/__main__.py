"""The command `reelshelf`: its modules take a moment to load, and Ctrl-C may come during that."""

import sys


def main() -> None:
    """Run the command line; an interrupt at any time ends it without a traceback."""
    try:
        from generator.cli import main as run  # noqa: PLC0415 (what loads it may be interrupted)

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
