"""The build thread of `dev`: it builds on every change and notifies the server."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from fastapi import FastAPI

from api_lambda.app import ApiConfig, create_app
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli.options import shipped, tell_line, tell_of_no_video, watching_on
from generator.core import formatting
from generator.core.build_receipt import Receipt
from generator.core.errors import DamagedError, GuardError, SettingsError, TemplateError
from generator.core.library.file_filter import compile_filter
from generator.devserver import DevServer, ServedSite
from generator.watch.build_loop import BuildLoop

log = logging.getLogger(__name__)

_RETRY_S = 1.0  # after a build without which there is nothing to watch
_PATIENCE = 5  # times as long as it took, if that is longer
_MAX_TOLD = 5  # pages that failed


class DevSession:
    """One site under `dev`: its settings, its API, and the thread that builds it.

    `read` returns the settings as they are now, `open_engine` a builder with them; `config` is the
    file that they may be in.
    """

    def __init__(
        self,
        read: Callable[[], Settings],
        open_engine: Callable[[Settings], Engine],
        config: Path,
        *,
        as_json: bool,
    ) -> None:
        self._read, self._config, self._as_json = read, config, as_json
        self._open_engine = open_engine
        self._settings = read()
        self._apis: dict[ApiConfig, FastAPI] = {}
        self._ready: Callable[[], None] = lambda: None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="build")
        self._done: Future[None] = Future()
        self._stopping = Event()
        self._watch: BuildLoop | None = None
        self._is_outdated = False
        self._failure = ""

    @property
    def settings(self) -> Settings:
        """Return the current settings."""
        return self._settings

    @property
    def site(self) -> ServedSite:
        """Return the site to serve, by the current settings."""
        settings = self._settings
        config = ApiConfig.of(settings, owner_on_loopback="always", shipped=shipped("templates"))
        if settings.api and config not in self._apis:
            self._apis[config] = create_app(config)
        return ServedSite(
            settings.out,
            settings.roots,
            settings.site.base,
            follow_links=settings.follow_links,
            file_filter=compile_filter(settings.ignore),
            api=self._apis[config] if settings.api else None,
            old_addresses=settings.old_addresses,
            private=settings.private,
        )

    def start(self, server: DevServer, ready: Callable[[], None]) -> None:
        """Start building; `ready` is called once, after the first build or its failure.

        What ends the building ends the server, too.
        """
        self._ready = ready
        self._done = self._thread.submit(self._run, server)

    def stop(self) -> None:
        """Stop the running build, wait for it, and release everything.

        Raises:
            ReelshelfError: what ended the building.
        """
        self._stopping.set()
        if self._watch is not None:
            self._watch.stop()
        self._thread.shutdown()
        for api in self._apis.values():
            api.state.close()
        self._done.result()

    def _run(self, server: DevServer) -> None:
        try:
            while not self._stopping.is_set():
                self._try(server)
        finally:
            server.stop()

    def _try(self, server: DevServer) -> None:
        """Build until stopped or until the settings change; after a failure, wait and retry."""
        begun_s = time.monotonic()
        try:
            if self._is_outdated:
                self._adopt(server)
            self._build_on(server)
        except (DamagedError, GuardError, TemplateError, SettingsError, OSError) as error:
            if isinstance(error, SettingsError) and not self._is_outdated:
                raise  # it was so from the beginning
            hint = getattr(error, "hint", "")
            if str(error) != self._failure:  # it may be met at every try
                log.warning("%s\n  %s", error, hint)
            self._failure = str(error)
            server.fail(str(error), hint)
            self._tell_ready()
            self._stopping.wait(max(_RETRY_S, _PATIENCE * (time.monotonic() - begun_s)))

    def _adopt(self, server: DevServer) -> None:
        self._settings = self._read()
        server.adopt(self.site)

    def _build_on(self, server: DevServer) -> None:
        with (
            self._open_engine(self._settings) as engine,
            watching_on(engine, self._settings) as watch,
        ):
            watch.config = self._config
            watch.on_failure = lambda error: server.fail(str(error), getattr(error, "hint", ""))
            self._watch = watch
            if self._stopping.is_set():
                return
            for number, receipt in enumerate(watch.receipts()):
                self._is_outdated = False
                self._failure = ""
                tell_line(receipt, as_json=self._as_json)
                if not number:  # the only one that is sure to have looked at everything
                    tell_of_no_video(self._settings, receipt)
                _show(receipt, server)
                self._tell_ready()
            self._is_outdated = watch.outdated

    def _tell_ready(self) -> None:
        ready, self._ready = self._ready, lambda: None
        ready()


def _show(receipt: Receipt, server: DevServer) -> None:
    """Have open pages show what a build did."""
    changed = bool(receipt.written or receipt.removed)
    if receipt.failures:
        shown = [f"{page}: {reason}" for page, reason in receipt.failures.items()][:_MAX_TOLD]
        left = receipt.failed - len(shown)
        more = [f"and {left} more"] if left else []
        count = formatting.counted(receipt.failed, "page")
        message = "\n".join([f"{count} cannot be written", *shown, *more])
        server.fail(
            message, "they keep their previous content, and will be retried", changed=changed
        )
    elif changed:
        server.reload()
    else:
        server.reload_if_stale()
