"""Chromium, started in one way by all tests, and ended by force where it does not end by itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from limits import browsers
from playwright.sync_api import Browser, sync_playwright
from processes import Process, below, kill_all

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
CLOSING_S = 15.0  # then it is killed; after twice as long the program that drives it, too


class Chromium:
    """A browser that is begun anew if it was killed: a test that hangs fails alone."""

    def __init__(self, program: str, closing_s: float = CLOSING_S) -> None:
        self._program, self._closing_s = program, closing_s
        self._browser: Browser | None = None
        self.leader: Process | None = None
        self._start_driver()

    def browser(self) -> Browser:
        """Return the browser that runs."""
        if self._browser is None or self.leader is None or not self.leader.is_running():
            if not self.driver.is_running():
                self._playwright.stop()
                self._start_driver()
            launch = self._playwright.chromium.launch
            self._browser = launch(executable_path=self._program, args=ARGUMENTS)
            groups = [child for _, child in below(self.driver.pid) if child.group == child.pid]
            (self.leader,) = browsers[id(self)] = groups
        return self._browser

    def _start_driver(self) -> None:
        before = _children()
        self._playwright = sync_playwright().start()
        (self.driver,) = _children() - before

    def close_contexts(self) -> None:
        """Close what a test left open, so that no page of it runs on."""
        with self._by_force():
            if self._browser is not None and self._browser.is_connected():
                for context in self._browser.contexts:
                    context.close()

    def close(self) -> None:
        """End the browser and what drives it."""
        with self._by_force():
            if self._browser is not None and self._browser.is_connected():
                self._browser.close()
            self._playwright.stop()
        self._kill()
        browsers.pop(id(self), None)

    def _kill(self) -> None:
        if self.leader is not None:
            kill_all([self.leader])

    @contextmanager
    def _by_force(self) -> Iterator[None]:
        """Kill them when what is done here takes too long; Playwright then says that it is done."""
        timers = [
            Timer(self._closing_s, self._kill),
            Timer(self._closing_s * 2, kill_all, [[self.driver]]),
        ]
        for timer in timers:
            timer.start()
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()


def _children() -> set[Process]:
    return {child for depth, child in below(os.getpid()) if depth == 0}
