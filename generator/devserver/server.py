"""The server itself: it takes a port, serves in one thread, and is told things by others."""

import asyncio
import logging
import re
import socket
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from tornado.httpserver import HTTPServer
from tornado.routing import Rule
from tornado.web import Application, RequestHandler

from generator.core.errors import SettingsError
from generator.devserver.asgi_bridge import ApiBridge, IsForApi
from generator.devserver.error_overlay import STYLE_ADDRESS, Failure
from generator.devserver.files import ServedSite
from generator.devserver.handlers import (
    LINE_ADDRESS,
    SCRIPT_ADDRESS,
    FileHandler,
    OverlayStyle,
    ReloadScript,
    ReloadSocket,
    ServedState,
)
from generator.devserver.hostnames import reachable

log = logging.getLogger(__name__)

_GRACE_S = 2.0  # for a disk that answers late
_PORTS = 1 << 16
_QUEUE = 128  # connections that wait to be accepted
_MOST_BYTES = 1 << 20  # of a request; who sends more is cut off without an answer
_IDLE_S, _BODY_S = 75.0, 60.0  # for the head of a request, and for its body: as `reelshelf api`


class DevServer:
    """Serves until stopped, and counts builds: a page that is older than the last loads itself.

    All but `run` may be called from any thread and at any time; what is told before the server runs
    is kept until it does.
    """

    def __init__(
        self,
        site: ServedSite,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Collection[str] | None = None,
    ) -> None:
        """Prepare to serve a site.

        Args:
            site: what is served first; `adopt` changes it.
            host: the address to serve at.
            port: 0 for any that is free.
            names: what this computer is called by those others that `host` lets in; None: any name.
        """
        self._site = site
        self._showing = ServedState(site, host, names)
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._stopped = False
        self._told: deque[Callable[[], object]] = deque()

    def start(self) -> None:
        """Take the port. Browsers that come before `run` wait.

        Raises:
            SettingsError: it is taken, may not be used, or there is no such address here.
        """
        if self._port not in range(_PORTS):
            raise SettingsError(
                f"cannot serve at port {self._port}", hint=f"ports are 0 to {_PORTS - 1}"
            )
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server(
                (self._host, self._port), family=family, backlog=_QUEUE
            )
        except OSError as error:
            raise SettingsError(
                f"cannot serve at {self._host} port {self._port}: {error}",
                hint="another program may be there: choose another port, or 0 for any that is free",
            ) from error
        self._socket.settimeout(0)
        self._port = int(self._socket.getsockname()[1])

    @property
    def address(self) -> str:
        """Return the URL of the front page; its port is known once started."""
        return self.address_at(reachable(self._host))

    def address_at(self, host: str) -> str:
        """Return the URL of the front page as seen from where this computer is called `host`."""
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}{self._site.base}/"

    def run(self) -> None:
        """Serve in this thread until `stop`."""
        logging.getLogger("livereload").setLevel(logging.WARNING)
        asyncio.run(self._serve())

    def reload(self) -> None:
        """Have every open page load itself again: a build has changed the site."""
        self._tell(self._showing.reload)

    def mend(self) -> None:
        """Do so only if they show a failure or another site: a build has changed nothing."""
        self._tell(self._showing.mend)

    def fail(self, message: str, hint: str = "", *, changed: bool = False) -> None:
        """Show over every page what went wrong, until `reload` or `mend`.

        The same failure reloads pages once only, unless the site was `changed` nevertheless.
        """
        self._tell(partial(self._showing.fail, Failure(message, hint), changed=changed))

    def adopt(self, site: ServedSite) -> None:
        """Serve another site from now on; open pages load themselves when its build is told of."""
        self._site = site
        self._tell(partial(self._showing.adopt, site))

    def stop(self) -> None:
        """End `run`, or keep it from beginning; from a signal's handler, too."""
        self._stopped = True
        if self._end is not None:
            self._tell(self._end.set)

    def _tell(self, deed: Callable[[], object]) -> None:
        # Not add_callback of tornado's: called from a signal's handler it would not wake the loop.
        self._told.append(deed)
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just ended, and the browsers are gone
                loop.call_soon_threadsafe(self._do)

    def _do(self) -> None:
        while self._told:
            self._told.popleft()()

    async def _serve(self) -> None:
        assert self._socket is not None, "start() comes first"
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._do()  # now that whatever is told from here on wakes the loop
        server = HTTPServer(
            _application(self._showing),
            max_body_size=_MOST_BYTES,
            idle_connection_timeout=_IDLE_S,
            body_timeout=_BODY_S,
        )
        server.add_socket(self._socket)
        try:
            if not self._stopped:
                await self._end.wait()
        finally:
            server.stop()
            for line in self._showing.lines.copy():
                line.hang_up()
            await server.close_all_connections()
            answers = asyncio.all_tasks() - {asyncio.current_task()}
            if answers:  # they find out at their next write; what is cancelled is logged as failed
                await asyncio.wait(answers, timeout=_GRACE_S)


def _application(showing: ServedState) -> Application:
    kept = {"showing": showing}
    # below whatever folder the site has, which may be another one later
    handlers = (
        (f"(?:/.*)?{LINE_ADDRESS}", ReloadSocket),
        (f"(?:/.*)?{re.escape(SCRIPT_ADDRESS)}", ReloadScript),
        (f"(?:/.*)?{re.escape(STYLE_ADDRESS)}", OverlayStyle),
        (".*", FileHandler),
    )
    return Application(
        [
            Rule(IsForApi(showing), ApiBridge, kept),
            *((at, handler, kept) for at, handler in handlers),
        ],
        log_function=_log_request,
    )


def _log_request(handler: RequestHandler) -> None:
    request = handler.request
    log.debug("%s %s %s", handler.get_status(), request.method, request.path)
