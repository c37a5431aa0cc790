"""The dev server: the site as it lies on the disk, its videos by range, and pages that reload.

Tornado serves and livereload reloads; what is livereload's own is known in this room only. Of it
we take the script and the line to the browser, not its watcher, which polls the disk, nor its file
handler, which reads a whole film to name its version. The pages do not depend on this server: it
adds one script to those it sends out.
"""

import asyncio
import logging
import os
import re
import socket
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import livereload
from livereload.handlers import LiveReloadHandler
from tornado.httpserver import HTTPServer
from tornado.httputil import split_host_and_port
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler
from typing_extensions import override

from generator.core import addresses
from generator.core.errors import SettingsError
from generator.core.nginx import PAGE_TYPES, SERVED_SUFFIXES, content_policy, security_headers
from generator.core.wording import media_type

log = logging.getLogger(__name__)

_CHUNK_BYTES = 256 * 1024
_GRACE_S = 2.0  # for a disk that answers late
_PORTS = 1 << 16
_QUEUE = 128  # connections that wait to be accepted
_SCRIPT = "/livereload.js"  # its own name for itself: it looks for this in the page
_LIVERELOAD = Path(livereload.__file__).parent / "vendors" / "livereload.js"
_CALL = b'"/livereload"'  # where in it the line is named
_NUMBER = re.compile(r"[0-9]{1,9}")
_HEAD_END = re.compile(rb"</head\s*>", re.IGNORECASE)
_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where to be found, not to bind)

# As nginx sends them, but for the script's line to us: not every browser counts a web socket of
# the same host as 'self'.
_HEADERS = security_headers(content_policy(connect_src="ws:"))


class DevServer:
    """Serves until stopped, and counts builds: a page that is older than the last loads itself."""

    def __init__(
        self,
        out: Path,
        roots: Mapping[str, Path],
        *,
        base: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._site = _Site(out, dict(roots), base, host, follow_links=follow_links)
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._stopped = False

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
        host = _EVERYWHERE.get(self._host, self._host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}{self._site.base}/"

    def run(self) -> None:
        """Serve in this thread until `stop`."""
        logging.getLogger("livereload").setLevel(logging.WARNING)
        asyncio.run(self._serve())

    def reload(self) -> None:
        """Have every open page load itself again; from any thread, at any time."""
        self._call(self._reload)

    def stop(self) -> None:
        """End `run`, or keep it from beginning; from any thread, or from a signal's handler."""
        self._stopped = True
        if self._end is not None:
            self._call(self._end.set)

    def _call(self, function: Callable[[], object]) -> None:
        # Not add_callback of tornado's: called from a signal's handler it would not wake the loop.
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just ended, and the browsers are gone
                loop.call_soon_threadsafe(function)

    async def _serve(self) -> None:
        assert self._socket is not None, "start() comes first"
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        server = HTTPServer(_application(self._site))
        server.add_socket(self._socket)
        try:
            if not self._stopped:
                await self._end.wait()
        finally:
            server.stop()
            for line in self._site.lines.copy():
                line.hang_up()
            await server.close_all_connections()
            answers = asyncio.all_tasks() - {asyncio.current_task()}
            if answers:  # they find out at their next write; what is cancelled is logged as failed
                await asyncio.wait(answers, timeout=_GRACE_S)

    def _reload(self) -> None:
        self._site.builds += 1
        for line in self._site.lines.copy():
            line.reload()


@dataclass(frozen=True, slots=True)
class _Place:
    """A file that a request asks for; `path` is below `folder`, out of which no link may lead."""

    folder: Path
    path: str
    is_film: bool = False
    may_leave: bool = False

    def open(self) -> FileIO | None:
        """Open the file; None where there is none, or one that may not be shown."""
        folder = os.path.realpath(self.folder)
        target = os.path.realpath(self.folder / self.path)
        if not self.may_leave and os.path.commonpath([folder, target]) != folder:
            return None
        try:
            # A pipe would keep us waiting for whoever writes into it.
            file = os.fdopen(os.open(target, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        return None


@dataclass(slots=True)
class _Site:
    """What is served, and to whom; pages tell their number among `builds` when they call."""

    out: Path
    roots: Mapping[str, Path]
    base: str
    host: str
    follow_links: bool
    lines: set["_Line"] = field(default_factory=set)
    builds: int = 0

    @property
    def not_found(self) -> _Place:
        """Return the page for what is not there."""
        return _Place(self.out, addresses.NOT_FOUND)

    def place(self, address: str) -> _Place | None:
        """Return what an address means: percent-encoded bytes, as the request had them."""
        path = os.fsdecode(unquote_to_bytes(address.encode("latin-1")))
        front = self.base + "/"
        if not path.startswith(front):
            return None
        path = path.removeprefix(front)
        if path.startswith("video/"):
            return self._film(path.removeprefix("video/"))
        if not path or path.endswith("/"):
            path += addresses.HOME
        place = _Place(self.out, path)
        return place if _is_open(path) and place != self.not_found else None

    def _film(self, path: str) -> _Place | None:
        name = ""
        if "" not in self.roots:
            name, _, path = path.partition("/")
        root = self.roots.get(name)
        is_film = path.rpartition(".")[2].lower() in SERVED_SUFFIXES
        if root is None or not is_film or not _is_open(path):
            return None
        return _Place(root, path, is_film=True, may_leave=self.follow_links)

    def is_called(self, name: str) -> bool:
        """Tell whether a browser may know us by this name.

        A page from elsewhere can have its own name point to this computer, and then read what is
        served here as its own. So who serves this computer only has no name but the usual ones.
        """
        return not _is_here(self.host) or _is_address(name) or _is_here(name)


def _is_open(path: str) -> bool:
    """Tell whether no part of a path is hidden, leads up (".." is hidden so to speak), or empty."""
    return "\0" not in path and all(part[:1] not in ("", ".") for part in path.split("/"))


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False


def _is_here(host: str) -> bool:
    if _is_address(host):
        return ip_address(host.strip("[]")).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _application(site: _Site) -> Application:
    handlers = (("/livereload", _Line), (re.escape(_SCRIPT), _Script), (".*", _File))
    return Application(
        [(pattern, handler, {"site": site}) for pattern, handler in handlers],
        log_function=_log_request,
    )


def _log_request(handler: RequestHandler) -> None:
    request = handler.request
    log.debug("%s %s %s", handler.get_status(), request.method, request.path)


class _Ours(RequestHandler):
    """What every answer has: our headers, and only for those who call us by our name."""

    @override
    def initialize(self, site: _Site) -> None:
        self.site = site

    @override
    def prepare(self) -> None:
        if not self.site.is_called(self.request.host_name):
            raise HTTPError(421, "this server is for this computer only, as 127.0.0.1 or localhost")

    @property
    def build(self) -> int:
        """Return the number of the page that asks; the newest if it does not say."""
        number = self.get_query_argument("build", "")
        return int(number) if _NUMBER.fullmatch(number) else self.site.builds

    @override
    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")

    @override
    def compute_etag(self) -> None:
        """Leave naming a version to who knows it; tornado would digest what it sends."""


class _File(_Ours):
    """A page with the script in it, or a film, the whole of it or a range."""

    @override
    async def get(self) -> None:  # type: ignore[mutable-override]  # typed as an attribute
        base = self.site.base
        if base and self.request.path == base:
            self.redirect(base + "/")
            return
        place = self.site.place(self.request.path)
        if place is None or not await self._send(place):
            self.set_status(404)
            if not await self._send(self.site.not_found):
                self.set_header("Content-Type", "text/plain")
                self.write("There is nothing at this address.\n")

    head = get  # type: ignore[mutable-override]  # likewise

    async def _send(self, place: _Place) -> bool:
        """Send a file; return False where there is none."""
        file = await asyncio.to_thread(place.open)
        if file is None:
            return False
        with file:
            if place.is_film:
                await self._film(place.path, file)
            else:
                await self._page(place.path, file)
        return True

    async def _page(self, path: str, file: FileIO) -> None:
        build = self.site.builds  # before it is read: rather load it twice than show an old one
        name = PAGE_TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")
        is_text = name.startswith("text/")
        self.set_header("Content-Type", f"{name}; charset=utf-8" if is_text else name)
        content = await asyncio.to_thread(file.readall)
        self.write(self._with_script(content, build) if name == PAGE_TYPES["html"] else content)

    def _with_script(self, page: bytes, build: int) -> bytes:
        host, port = split_host_and_port(self.request.host)
        source = f"{_SCRIPT}?host={quote(host, safe='[]:')}&amp;port={port or 80}&amp;build={build}"
        script = f'<script defer src="{source}"></script>'.encode()
        end = _HEAD_END.search(page)
        at = end.start() if end else len(page)
        return page[:at] + script + page[at:]

    async def _film(self, path: str, file: FileIO) -> None:
        status = os.fstat(file.fileno())
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        self.set_header("Content-Type", media_type(path))
        self.set_header("Cache-Control", "no-cache")  # kept, but asked about: films are large
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Etag", etag)
        if self.check_etag_header():
            self.set_status(304)
            return
        asked = self._asked_range(etag, status.st_size)
        span = range(status.st_size) if asked is None else asked
        if asked is not None:
            self.set_status(206 if span else 416)
            shown = f"{span.start}-{span.stop - 1}" if span else "*"
            self.set_header("Content-Range", f"bytes {shown}/{status.st_size}")
        self.set_header("Content-Length", str(len(span)))
        if self.request.method != "HEAD":
            await self._stream(file, span)

    def _asked_range(self, etag: str, size: int) -> range | None:
        """Return the bytes asked for, none of them if all lie behind the end; None for the whole.

        What is not understood, and several ranges at once, are answered with the whole, as the
        standard allows.
        """
        headers = self.request.headers
        asked = _RANGE.fullmatch(headers.get("Range", ""))
        if asked is None or self.request.method != "GET" or headers.get("If-Range", etag) != etag:
            return None
        first, last = asked.groups()
        if not first:
            return range(max(size - int(last), 0), size) if last else None
        if last and int(last) < int(first):
            return None
        stop = min(int(last) + 1, size) if last else size
        return range(min(int(first), stop), stop)

    async def _stream(self, file: FileIO, span: range) -> None:
        """Send bytes as fast as they are taken. The disk is read elsewhere: it may be asleep."""
        at = span.start
        while at < span.stop:
            length = min(_CHUNK_BYTES, span.stop - at)
            chunk = await asyncio.to_thread(os.pread, file.fileno(), length, at)
            at += len(chunk) or span.stop  # it was cut short meanwhile; tornado breaks off
            self.write(chunk)
            try:
                await self.flush()
            except StreamClosedError:  # seeking drops one request for another
                return


class _Script(_Ours):
    """The script that pages load; it calls back with the page's number."""

    @override
    def get(self) -> None:  # type: ignore[mutable-override]  # likewise
        called = b"%b?build=%d" % (_CALL.rstrip(b'"'), self.build)
        self.set_header("Content-Type", PAGE_TYPES["js"])
        self.write(_LIVERELOAD.read_bytes().replace(_CALL, called + b'"'))


class _Line(_Ours, LiveReloadHandler):  # type: ignore[misc]  # livereload has no types
    """The line to an open page, over which it is told to load itself again."""

    @override
    def check_origin(self, origin: str) -> bool:
        """Tell whether the page is ours: livereload would talk to any."""
        return WebSocketHandler.check_origin(self, origin)

    def open(self) -> None:
        self.told = self.build
        self.site.lines.add(self)

    def on_close(self) -> None:
        self.site.lines.discard(self)
        super().on_close()

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.reload()

    def reload(self) -> None:
        """Tell the page of the last build, once; and not before it has said that it is a page."""
        if self in self.waiters and self.told < self.site.builds:
            self.told = self.site.builds
            self.send_message({"command": "reload", "path": "*", "liveCSS": False})

    def hang_up(self) -> None:
        """Close the line at once; to wait for a browser's goodbye may take long."""
        stream = self.ws_connection.stream
        self.close(1001)
        stream.close()
