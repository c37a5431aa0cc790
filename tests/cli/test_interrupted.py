"""Ctrl-C while the command line is still being loaded."""

import subprocess
import sys

import pytest
from paths import ROOT

INTERRUPTED = """
import builtins, signal, sys
load = builtins.__import__
def interrupted(name, *rest, **options):
    if name == sys.argv[1]:
        signal.raise_signal(signal.SIGINT)
    return load(name, *rest, **options)
builtins.__import__ = interrupted
from generator.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "filelock"])
def test_an_interrupt_while_modules_are_loaded_is_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "generator", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
