"""The server: listens on a port, serves in one thread, and takes commands from others."""

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
from generator.devserver.error_overlay import STYLE_PATH, Failure
from generator.devserver.files import ServedSite
from generator.devserver.handlers import (
    SCRIPT_PATH,
    SOCKET_PATH,
    FileHandler,
    OverlayStyle,
    ReloadScript,
    ReloadSocket,
    ServedState,
)
from generator.devserver.hostnames import reachable

log = logging.getLogger(__name__)

_GRACE_S = 2.0  # for a slow disk
_PORTS = 1 << 16
_QUEUE = 128  # backlog of connections
_MAX_BYTES = 1 << 20  # of a request; more closes the connection without a response
_IDLE_S, _BODY_S = 75.0, 60.0  # for the head of a request, and for its body: as `reelshelf api`


class DevServer:
    """Serves until stopped, and counts builds: a page older than the last one reloads.

    All but `run` may be called from any thread at any time; commands before `run` are queued.
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
            site: the first site; `adopt` changes it.
            host: the address to listen on.
            port: 0 for any free port.
            names: allowed host names if `host` admits other computers; None: any name.
        """
        self._site = site
        self._state = ServedState(site, host, names)
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._stopped = False
        self._commands: deque[Callable[[], object]] = deque()

    def start(self) -> None:
        """Listen on the port. Connections before `run` wait.

        Raises:
            SettingsError: the port is in use or not permitted, or the address does not exist here.
        """
        if self._port not in range(_PORTS):
            raise SettingsError(
                f"cannot listen on port {self._port}", hint=f"ports are 0 to {_PORTS - 1}"
            )
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server(
                (self._host, self._port), family=family, backlog=_QUEUE
            )
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {self._host} port {self._port}: {error}",
                hint="another program may use it: choose another port, or 0 for any free one",
            ) from error
        self._socket.settimeout(0)
        self._port = int(self._socket.getsockname()[1])

    @property
    def address(self) -> str:
        """Return the URL of the home page; its port is known once started."""
        return self.address_at(reachable(self._host))

    def address_at(self, host: str) -> str:
        """Return the URL of the home page if this computer is reached as `host`."""
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}{self._site.base}/"

    def run(self) -> None:
        """Serve in this thread until `stop`."""
        logging.getLogger("livereload").setLevel(logging.WARNING)
        asyncio.run(self._serve())

    def reload(self) -> None:
        """Reload every open page: a build changed the site."""
        self._call(self._state.reload)

    def reload_if_stale(self) -> None:
        """Reload pages only if they show a failure or another site: a build changed nothing."""
        self._call(self._state.reload_if_stale)

    def fail(self, message: str, hint: str = "", *, changed: bool = False) -> None:
        """Show an error over every page, until `reload` or `reload_if_stale`.

        The same failure reloads pages once only, unless the site was `changed` nevertheless.
        """
        self._call(partial(self._state.fail, Failure(message, hint), changed=changed))

    def adopt(self, site: ServedSite) -> None:
        """Serve another site from now on; open pages reload at its first build."""
        self._site = site
        self._call(partial(self._state.adopt, site))

    def stop(self) -> None:
        """End `run`, or keep it from starting; may be called from a signal handler."""
        self._stopped = True
        if self._end is not None:
            self._call(self._end.set)

    def _call(self, command: Callable[[], object]) -> None:
        # Not tornado's add_callback: from a signal handler it would not wake the loop.
        self._commands.append(command)
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just ended, and all connections are closed
                loop.call_soon_threadsafe(self._run_commands)

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()

    async def _serve(self) -> None:
        assert self._socket is not None, "start() comes first"
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._run_commands()  # commands from here on wake the loop
        server = HTTPServer(
            _application(self._state),
            max_body_size=_MAX_BYTES,
            idle_connection_timeout=_IDLE_S,
            body_timeout=_BODY_S,
        )
        server.add_socket(self._socket)
        try:
            if not self._stopped:
                await self._end.wait()
        finally:
            server.stop()
            for page_socket in self._state.sockets.copy():
                page_socket.abort()
            await server.close_all_connections()
            answers = asyncio.all_tasks() - {asyncio.current_task()}
            if answers:  # they end at their next write; a cancelled one would be logged as failed
                await asyncio.wait(answers, timeout=_GRACE_S)


def _application(state: ServedState) -> Application:
    kept = {"state": state}
    # below any base path: it may change later
    handlers = (
        (f"(?:/.*)?{SOCKET_PATH}", ReloadSocket),
        (f"(?:/.*)?{re.escape(SCRIPT_PATH)}", ReloadScript),
        (f"(?:/.*)?{re.escape(STYLE_PATH)}", OverlayStyle),
        (".*", FileHandler),
    )
    return Application(
        [
            Rule(IsForApi(state), ApiBridge, kept),
            *((at, handler, kept) for at, handler in handlers),
        ],
        log_function=_log_request,
    )


def _log_request(handler: RequestHandler) -> None:
    request = handler.request
    log.debug("%s %s %s", handler.get_status(), request.method, request.path)
