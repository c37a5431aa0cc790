"""Answers to browsers: pages with our script in them, films by range, and lines to open pages.

Tornado serves and livereload reloads; what is livereload's own is known in this room only. Of it
we take the script and the line to the browser, not its watcher, which polls the disk, nor its file
handler, which reads a whole film to name its version. The pages do not depend on this server: it
adds one script to those it sends out, and what went wrong with the last build.
"""

import asyncio
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from secrets import randbelow
from urllib.parse import urlsplit

import livereload
from livereload.handlers import LiveReloadHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler
from typing_extensions import override

from generator.core.delivery.nginx import PAGE_TYPES, PLAY_TYPES, content_policy, security_headers
from generator.core.formatting import media_type
from generator.devserver.error_overlay import BARE_PAGE, STYLE, Failure, laid_over, style_link
from generator.devserver.files import ServedSite, SiteFile
from generator.devserver.hostnames import is_ours

SCRIPT_ADDRESS = "/livereload.js"  # its own name for itself: it looks for this in the page
LINE_ADDRESS = "/livereload"

_CHUNK_BYTES = 256 * 1024
_LIVERELOAD = Path(livereload.__file__).parent / "vendors" / "livereload.js"
# Where in it the line is named. Only the browser knows how it came here: a proxy in front may have
# another name and port, and TLS.
_CALL = b'this.options.host + ":" + this.options.port + "/livereload";'
_NUMBER = re.compile(r"[0-9]{1,9}")
_HEAD_END = re.compile(rb"</head\s*>", re.IGNORECASE)
_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)

# As nginx sends them, but for the script's line to us: not every browser counts a web socket of
# the same host as 'self'.
_HEADERS = security_headers(content_policy(connect_src="ws:"))
_TYPES = {**PAGE_TYPES, **PLAY_TYPES}


@dataclass(slots=True)
class ServedState:
    """What is served now, and to whom. Only the thread that serves may touch it.

    Pages tell their number among `builds` when they call. Any other than the present one is an old
    page's, of this server or of one before it: hence the first number.
    """

    site: ServedSite
    host: str
    names: Collection[str] | None = None
    failure: Failure | None = None
    is_old: bool = False
    lines: set["ReloadSocket"] = field(default_factory=set)
    builds: int = field(default_factory=lambda: randbelow(10**8))

    def reload(self) -> None:
        """Count a build that went well, and have every page load itself."""
        self.failure, self.is_old = None, False
        self._next()

    def mend(self) -> None:
        """Do so only if that makes a difference to a page."""
        if self.failure or self.is_old:
            self.reload()

    def fail(self, failure: Failure, *, changed: bool) -> None:
        """Show what went wrong; once, however often it is tried again without a change."""
        if changed or failure != self.failure:
            self.failure = failure
            self._next()

    def adopt(self, site: ServedSite) -> None:
        """Serve another site from now on; pages load themselves when it is built."""
        self.is_old = self.is_old or site != self.site
        self.site = site

    def _next(self) -> None:
        self.builds += 1
        for line in self.lines.copy():
            line.reload()


class BaseHandler(RequestHandler):
    """What every answer has: our headers, and only for those who call us by our name."""

    @override
    def initialize(self, showing: ServedState) -> None:
        self.showing = showing
        self.site = showing.site  # the same to the end of the request

    @override
    def prepare(self) -> None:
        showing = self.showing
        if not is_ours(self.request.host_name, showing.host, showing.names):
            raise HTTPError(421, "this server answers to 127.0.0.1, localhost and its address only")

    @property
    def build(self) -> int:
        """Return the number of the page that asks; the newest if it does not say."""
        number = self.get_query_argument("build", "")
        return int(number) if _NUMBER.fullmatch(number) else self.showing.builds

    @override
    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")

    @override
    def compute_etag(self) -> None:
        """Leave naming a version to who knows it; tornado would digest what it sends."""


class FileHandler(BaseHandler):
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
                self._page("html", BARE_PAGE, self.showing.builds, self.showing.failure)

    head = get  # type: ignore[mutable-override]  # likewise

    async def _send(self, place: SiteFile) -> bool:
        """Send a file; return False where there is none."""
        # before it is read: rather load it twice than show an old one
        build, failure = self.showing.builds, self.showing.failure
        file = await asyncio.to_thread(place.open)
        if file is None:
            return False
        with file:
            if place.is_film:
                await self._film(place.path, file)
            else:
                content = await asyncio.to_thread(file.readall)
                self._page(place.path.rpartition(".")[2].lower(), content, build, failure)
        return True

    def _page(self, suffix: str, content: bytes, build: int, failure: Failure | None) -> None:
        name = _TYPES.get(suffix, "application/octet-stream")
        is_text = name.startswith("text/")
        self.set_header("Content-Type", f"{name}; charset=utf-8" if is_text else name)
        if name == PAGE_TYPES["html"]:
            style = style_link(self.site.base) if failure else b""
            content = self._with_script(content, build, style)
            content = laid_over(content, failure) if failure else content
        self.write(content)

    def _with_script(self, page: bytes, build: int, more: bytes) -> bytes:
        address = f"{self.site.base}{SCRIPT_ADDRESS}?build={build}"
        script = f'<script defer src="{address}"></script>'.encode()
        end = _HEAD_END.search(page)
        at = end.start() if end else len(page)
        return page[:at] + script + more + page[at:]

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


class ReloadScript(BaseHandler):
    """The script that pages load; it calls back with the page's number."""

    @override
    def get(self) -> None:  # type: ignore[mutable-override]  # likewise
        address = f"{self.site.base}{LINE_ADDRESS}?build={self.build}"
        called = f'window.location.host + "{address}";'.encode()
        self.set_header("Content-Type", PAGE_TYPES["js"])
        self.write(_LIVERELOAD.read_bytes().replace(_CALL, called))


class OverlayStyle(BaseHandler):
    """How a failure looks that lies over a page."""

    @override
    def get(self) -> None:  # type: ignore[mutable-override]  # likewise
        self.set_header("Content-Type", PAGE_TYPES["css"])
        self.write(STYLE)


class ReloadSocket(BaseHandler, LiveReloadHandler):  # type: ignore[misc]  # livereload has no types
    """The line to an open page, over which it is told to load itself again."""

    @override
    def check_origin(self, origin: str) -> bool:
        """Tell whether the page is ours: livereload would talk to any.

        A proxy that asks by a name of its own tells by which one it was asked; no page can have a
        browser say that.
        """
        asked = self.request.headers.get("X-Forwarded-Host", "").partition(",")[0].strip().lower()
        is_proxied = asked != "" and urlsplit(origin).netloc.lower() == asked
        return is_proxied or WebSocketHandler.check_origin(self, origin)

    @override
    def open(self) -> None:
        self.set_nodelay(True)  # or a second message soon after a first waits 40 ms
        self.told = self.build
        self.showing.lines.add(self)

    @override
    def on_close(self) -> None:
        self.showing.lines.discard(self)
        super().on_close()

    @override
    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.reload()

    def reload(self) -> None:
        """Tell the page of the last build, once; and not before it has said that it is a page."""
        if self in self.waiters and self.told != self.showing.builds:
            self.told = self.showing.builds
            self.send_message({"command": "reload", "path": "*", "liveCSS": False})

    def hang_up(self) -> None:
        """Close the line at once; to wait for a browser's goodbye may take long."""
        stream = self.ws_connection.stream
        self.close(1001)
        stream.close()
