"""The bridge to the API: an ASGI application that runs in this server, on the same port.

It sees requests as behind a proxy that strips the base of the site; responses are sent when they
are complete. Exceptions that it does not catch are logged here, and reported without details.
"""

import asyncio
import json
from collections.abc import Iterable
from http import HTTPStatus

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import HTTPError
from typing_extensions import override

from generator.core.site import old_addresses as old
from generator.devserver.files import Message
from generator.devserver.handlers import BaseHandler, ServedState, scope_of

_MAX_BYTES = 16 * 1024
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class IsForApi(Matcher):
    """Matches paths of the API, if there is one."""

    def __init__(self, state: ServedState) -> None:
        self._state = state

    @override
    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        site = self._state.site
        front, path = f"{site.base}/", request.path.removeprefix(site.base)
        is_old_call = site.old_addresses and path in old.CALLS
        is_ours = path.startswith(("/api/", "/admin/")) or path == "/metrics" or is_old_call
        return {} if site.api and request.path.startswith(front) and is_ours else None


class ApiBridge(BaseHandler):
    """One request to the API, and its response."""

    @override
    def initialize(self, state: ServedState) -> None:
        super().initialize(state)
        self._is_body_sent = self._begun = False
        self._closed = asyncio.Event()
        self._response: asyncio.Future[None] | None = None

    @override
    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._closed.set()
        if self._response is not None and self.request.method in {"GET", "HEAD"}:
            self._response.cancel()  # it may wait for long, and changes nothing

    @override
    async def get(self) -> None:  # type: ignore[mutable-override]  # typed as an attribute
        if self.site.api is None:
            raise HTTPError(404, "the API is not running")  # the site was replaced meanwhile
        if len(self.request.body) > _MAX_BYTES:
            raise HTTPError(413, f"a body has at most {_MAX_BYTES} bytes")
        answer = self.site.api(self._scope(), self._receive, self._take)
        self._response = asyncio.ensure_future(answer)
        try:
            await self._response
        except asyncio.CancelledError:
            if not self._closed.is_set():
                raise
        if not self._begun and not self._closed.is_set():
            raise HTTPError(500, "the API gave no answer")

    head = post = put = patch = delete = options = get  # type: ignore[mutable-override]  # likewise

    def _scope(self) -> Message:
        request = self.request
        path = request.path.removeprefix(self.site.base)
        return scope_of(request, request.method or "GET", path)

    async def _receive(self) -> Message:
        if not self._is_body_sent:
            self._is_body_sent = True
            return {"type": "http.request", "body": self.request.body, "more_body": False}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
        elif message.get("body"):
            self.write(bytes(message["body"]))

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._begun = True
        self.set_status(status)
        self.clear_header("Content-Type")
        names_sent: set[str] = set()
        for name, value in ((name.decode("latin-1").lower(), value) for name, value in headers):
            if name not in _HOP_BY_HOP:
                (self.add_header if name in names_sent else self.set_header)(name, value)
                names_sent.add(name)

    @override
    def write_error(self, status_code: int, **more: object) -> None:
        """Send a problem as the API does (RFC 9457)."""
        self.set_header("Content-Type", "application/problem+json")
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(status_code).phrase,
            "status": status_code,
            "detail": _detail(more.get("exc_info")),
        }
        self.finish(json.dumps(problem))


def _detail(raised: object) -> str:
    error = raised[1] if isinstance(raised, tuple) else None
    message = error.log_message if isinstance(error, HTTPError) else None
    return message or "the log of the dev server has the reason"
