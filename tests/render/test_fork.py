"""Beside: a share of the work in a forked twin, whose answer and errors come back."""

import subprocess
import sys


def run(program: str) -> str:
    """Run a program in a process without threads, as a build is, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def test_the_twin_answers_with_what_it_worked_out() -> None:
    program = (
        "import os\nfrom generator.render.fork import in_child, is_possible\n"
        "assert is_possible()\n"
        "with in_child(lambda: (os.getpid(), 'x' * 10**6)) as answer:\n"
        "    twin, text = answer()\n"
        "print(twin != os.getpid(), len(text))"
    )

    assert run(program) == "True 1000000"


def test_an_error_of_the_twin_is_raised_where_its_answer_is_waited_for() -> None:
    program = (
        "from generator.render.fork import in_child\n"
        "def fail(): raise OSError(28, 'No space left on device')\n"
        "try:\n"
        "    with in_child(fail) as answer:\n"
        "        answer()\n"
        "except OSError as error:\n"
        "    print(error.errno)"
    )

    assert run(program) == "28"


def test_a_twin_that_is_killed_is_told() -> None:
    program = (
        "import os, signal\nfrom generator.render.fork import in_child\n"
        "try:\n"
        "    with in_child(lambda: os.kill(os.getpid(), signal.SIGKILL)) as answer:\n"
        "        answer()\n"
        "except ChildProcessError as error:\n"
        "    print(error)"
    )

    assert "was killed" in run(program)


def test_no_twin_is_left_when_its_maker_fails() -> None:
    program = (
        "import os\nfrom generator.render.fork import in_child\n"
        "try:\n"
        "    with in_child(lambda: os.read(os.pipe()[0], 1)):\n"
        "        raise ValueError('mine')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "try:\n"
        "    os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError:\n"
        "    print('nobody')"
    )

    assert run(program).split() == ["mine", "nobody"]
