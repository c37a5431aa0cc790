"""Request handlers: pages with the live reload script, videos by range, sockets to open pages.

Tornado serves and livereload reloads; only this module knows livereload. We use its script and its
web socket, not its watcher, which polls the disk, nor its file handler, which reads a whole video
for its ETag. Pages do not depend on this server: it adds one script to those it sends, and the
error of the last build.
"""

import asyncio
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from secrets import randbelow
from urllib.parse import unquote, urlsplit

import livereload
from livereload.handlers import LiveReloadHandler
from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler
from typing_extensions import override

from generator.core.delivery.nginx import PAGE_TYPES, PLAY_TYPES, content_policy, security_headers
from generator.core.formatting import media_type
from generator.core.site import urls
from generator.devserver.error_overlay import BARE_PAGE, STYLE, Failure, style_link, with_overlay
from generator.devserver.files import App, Message, ServedSite, SiteFile
from generator.devserver.hostnames import is_allowed

SCRIPT_PATH = "/livereload.js"  # the script looks for this name in the page
SOCKET_PATH = "/livereload"

_CHUNK_BYTES = 256 * 1024
_LIVERELOAD = Path(livereload.__file__).parent / "vendors" / "livereload.js"
# Where it builds the URL of the socket. Only the browser knows the right host: a proxy in front may
# have another name and port, and TLS.
_CALL = b'this.options.host + ":" + this.options.port + "/livereload";'
_NUMBER = re.compile(r"[0-9]{1,9}")
_HEAD_END = re.compile(rb"</head\s*>", re.IGNORECASE)
_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)

# As nginx sends them, except for the socket of the script: not every browser counts a web socket of
# the same host as 'self'.
_HEADERS = security_headers(content_policy(connect_src="ws:"))
_TYPES = {**PAGE_TYPES, **PLAY_TYPES}


_ACCESS = "/api/access"
_OPEN_PATHS = frozenset({urls.LOGIN, urls.ROBOTS})


def _is_open(place: SiteFile | None) -> bool:
    """Return whether everybody may see a file of a private site: it takes these to sign in."""
    return (
        place is not None
        and not place.is_library
        and (place.path in _OPEN_PATHS or place.path.startswith("assets/"))
    )


def scope_of(request: HTTPServerRequest, method: str, path: str) -> Message:
    """Return the ASGI scope of a request, with a path as the API knows it, percent-encoded."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.version.removeprefix("HTTP/"),
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": request.query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers.get_all()
            if path != _ACCESS or name.lower() != "reelshelf-feed"
        ],
        "client": (request.remote_ip, 0),  # the port is not used
    }


@dataclass(slots=True)
class ServedState:
    """The served site and its open pages. For the server thread only.

    Pages send the build number they were loaded with. Any but the current one belongs to an old
    page, of this server or of an earlier one: hence the random first number.
    """

    site: ServedSite
    host: str
    names: Collection[str] | None = None
    failure: Failure | None = None
    is_stale: bool = False
    sockets: set["ReloadSocket"] = field(default_factory=set)
    builds: int = field(default_factory=lambda: randbelow(10**8))

    def reload(self) -> None:
        """Count a successful build, and make every page reload."""
        self.failure, self.is_stale = None, False
        self._notify()

    def reload_if_stale(self) -> None:
        """Reload only if a page would change."""
        if self.failure or self.is_stale:
            self.reload()

    def fail(self, failure: Failure, *, changed: bool) -> None:
        """Show a failure; once, however often it is retried without a change."""
        if changed or failure != self.failure:
            self.failure = failure
            self._notify()

    def adopt(self, site: ServedSite) -> None:
        """Serve another site from now on; pages reload when it is built."""
        self.is_stale = self.is_stale or site != self.site
        self.site = site

    def _notify(self) -> None:
        self.builds += 1
        for socket in self.sockets.copy():
            socket.reload()


class BaseHandler(RequestHandler):
    """The base of all handlers: common headers, and the check of the Host header."""

    @override
    def initialize(self, state: ServedState) -> None:
        self.state = state
        self.site = state.site  # fixed for the whole request

    @override
    def prepare(self) -> None:
        state = self.state
        if not is_allowed(self.request.host_name, state.host, state.names):
            raise HTTPError(421, "this server answers to 127.0.0.1, localhost and its address only")

    @property
    def build(self) -> int:
        """Return the build number of the requesting page; the current one by default."""
        number = self.get_query_argument("build", "")
        return int(number) if _NUMBER.fullmatch(number) else self.state.builds

    @override
    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")

    @override
    def compute_etag(self) -> None:
        """Set no ETag by default; tornado would digest the body."""


class FileHandler(BaseHandler):
    """A page with the script in it, or a video, whole or a range."""

    @override
    async def get(self) -> None:  # type: ignore[mutable-override]  # typed as an attribute
        base = self.site.base
        if base and self.request.path == base:
            self.redirect(base + "/")
            return
        place = self.site.place(self.request.path)
        if self.site.private and not _is_open(place) and not await self._may_see():
            return
        if place is not None and await self._send(place):
            return
        if not await self._send_former():
            self.set_status(404)
            if not await self._send(self.site.not_found):
                self._send_page("html", BARE_PAGE, self.state.builds, self.state.failure)

    head = get  # type: ignore[mutable-override]  # likewise

    async def _send_former(self) -> bool:
        """Answer an address of a former server; return False if it is none."""
        former = self.site.former(self.request.path)
        if former is None:
            return False
        if former.page is not None:
            return await self._send(former.page)
        if former.redirect:
            self.redirect(former.redirect)
        else:
            self._send_page("txt", former.text.encode(), self.state.builds, None)
        return True

    async def _may_see(self) -> bool:
        """Return whether the API lets the request pass; else send what nginx sends."""
        site, request = self.site, self.request
        status = HTTPStatus.SERVICE_UNAVAILABLE if site.api is None else await self._asked(site.api)
        if status == HTTPStatus.NO_CONTENT:
            return True
        refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
        if refused and "text/html" in request.headers.get("Accept", ""):
            self.redirect(f"{site.base}/login.html?next={request.uri}")
            return False
        self.set_status(HTTPStatus.UNAUTHORIZED if refused else HTTPStatus.SERVICE_UNAVAILABLE)
        if refused:
            self.set_header("WWW-Authenticate", "Bearer")
        return False

    async def _asked(self, api: App) -> int:
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(int(message["status"]))

        await api(scope_of(self.request, "GET", _ACCESS), receive, send)
        return statuses[0] if statuses else int(HTTPStatus.SERVICE_UNAVAILABLE)

    async def _send(self, place: SiteFile) -> bool:
        """Send a file; return False if there is none."""
        # before the read: better reload twice than show an old page
        build, failure = self.state.builds, self.state.failure
        file = await asyncio.to_thread(place.open)
        if file is None:
            return False
        with file:
            if place.is_video:
                await self._send_video(place.path, file)
            else:
                content = await asyncio.to_thread(file.readall)
                self._send_page(place.path.rpartition(".")[2].lower(), content, build, failure)
        return True

    def _send_page(self, suffix: str, content: bytes, build: int, failure: Failure | None) -> None:
        name = _TYPES.get(suffix, "application/octet-stream")
        is_text = name.startswith("text/")
        self.set_header("Content-Type", f"{name}; charset=utf-8" if is_text else name)
        if name == PAGE_TYPES["html"]:
            style = style_link(self.site.base) if failure else b""
            content = self._with_script(content, build, style)
            content = with_overlay(content, failure) if failure else content
        self.write(content)

    def _with_script(self, page: bytes, build: int, more: bytes) -> bytes:
        address = f"{self.site.base}{SCRIPT_PATH}?build={build}"
        script = f'<script defer src="{address}"></script>'.encode()
        end = _HEAD_END.search(page)
        at = end.start() if end else len(page)
        return page[:at] + script + more + page[at:]

    async def _send_video(self, path: str, file: FileIO) -> None:
        status = os.fstat(file.fileno())
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        self.set_header("Content-Type", media_type(path))
        self.set_header("Cache-Control", "no-cache")  # cached, but revalidated: videos are large
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Etag", etag)
        if self.check_etag_header():
            self.set_status(304)
            return
        requested = self._requested_range(etag, status.st_size)
        span = range(status.st_size) if requested is None else requested
        if requested is not None:
            self.set_status(206 if span else 416)
            shown = f"{span.start}-{span.stop - 1}" if span else "*"
            self.set_header("Content-Range", f"bytes {shown}/{status.st_size}")
        self.set_header("Content-Length", str(len(span)))
        if self.request.method != "HEAD":
            await self._stream(file, span)

    def _requested_range(self, etag: str, size: int) -> range | None:
        """Return the requested range, empty if it is past the end; None for the whole file.

        Invalid and multiple ranges get the whole file, as the standard allows.
        """
        headers = self.request.headers
        match = _RANGE.fullmatch(headers.get("Range", ""))
        if match is None or self.request.method != "GET" or headers.get("If-Range", etag) != etag:
            return None
        first, last = match.groups()
        if not first:
            return range(max(size - int(last), 0), size) if last else None
        if last and int(last) < int(first):
            return None
        stop = min(int(last) + 1, size) if last else size
        return range(min(int(first), stop), stop)

    async def _stream(self, file: FileIO, span: range) -> None:
        """Send bytes as fast as they are received. A thread reads the disk, which may be asleep."""
        at = span.start
        while at < span.stop:
            length = min(_CHUNK_BYTES, span.stop - at)
            chunk = await asyncio.to_thread(os.pread, file.fileno(), length, at)
            at += len(chunk) or span.stop  # the file was truncated meanwhile; tornado aborts
            self.write(chunk)
            try:
                await self.flush()
            except StreamClosedError:  # the player seeks: it drops the request
                return


class ReloadScript(BaseHandler):
    """The script that pages load; it connects with the build number of the page."""

    @override
    def get(self) -> None:  # type: ignore[mutable-override]  # likewise
        address = f"{self.site.base}{SOCKET_PATH}?build={self.build}"
        called = f'window.location.host + "{address}";'.encode()
        self.set_header("Content-Type", PAGE_TYPES["js"])
        self.write(_LIVERELOAD.read_bytes().replace(_CALL, called))


class OverlayStyle(BaseHandler):
    """The style sheet of the overlay."""

    @override
    def get(self) -> None:  # type: ignore[mutable-override]  # likewise
        self.set_header("Content-Type", PAGE_TYPES["css"])
        self.write(STYLE)


class ReloadSocket(BaseHandler, LiveReloadHandler):  # type: ignore[misc]  # livereload has no types
    """The web socket to an open page, which makes it reload."""

    @override
    def check_origin(self, origin: str) -> bool:
        """Return whether the page is of this site: livereload would accept any.

        A proxy with another host name sends the original one in X-Forwarded-Host; no page can make
        a browser send that.
        """
        forwarded_host = (
            self.request.headers.get("X-Forwarded-Host", "").partition(",")[0].strip().lower()
        )
        is_proxied = forwarded_host != "" and urlsplit(origin).netloc.lower() == forwarded_host
        return is_proxied or WebSocketHandler.check_origin(self, origin)

    @override
    def open(self) -> None:
        self.set_nodelay(True)  # or a second message right after a first is delayed by 40 ms
        self.sent_build = self.build
        self.state.sockets.add(self)

    @override
    def on_close(self) -> None:
        self.state.sockets.discard(self)
        super().on_close()

    @override
    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.reload()

    def reload(self) -> None:
        """Reload the page once per build, after its livereload handshake."""
        if self in self.waiters and self.sent_build != self.state.builds:
            self.sent_build = self.state.builds
            self.send_message({"command": "reload", "path": "*", "liveCSS": False})

    def abort(self) -> None:
        """Close the socket at once; waiting for the browser's close frame may take long."""
        stream = self.ws_connection.stream
        self.close(1001)
        stream.close()
