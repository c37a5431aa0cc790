"""The door: every request is looked at here, and either refused or handed to the desk.

An ASGI application that stands where FastAPI has its chain of middleware: what the operations
declare is checked by the models that they declare, without a request object, dependencies and exit
stacks in between, which cost four times as much as everything else (docs/adr/0008-the-door.md).
"""

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from api_lambda.context import Authenticator, RequestContext, Response
from api_lambda.permissions import (
    Action,
    Caller,
    Loopback,
    Role,
    Transport,
    client_of,
    is_by_cdn,
    is_cross_site,
    is_json,
    may,
    role_of,
)
from api_lambda.problems import (
    PROBLEM_TYPE,
    Problem,
    meant_as_owner,
    not_allowed,
    too_many,
    wrong_token,
)
from api_lambda.schemas import HIGHEST_ID, KEY_PATTERN

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LONGEST_BODY = 16 * 1024
_KEY = re.compile(KEY_PATTERN)
_PARAMETERS = {"id": "[0-9]{1,19}", "tag": ".+", "event": "[A-Za-z0-9_-]{1,64}"}
_UNSAFE = frozenset({"POST", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that can be asked for.

    `action` is what one has to be allowed to do, None for what everybody may; `answers` is what
    comes back with `status`, None for nothing.
    """

    method: str
    path: str
    endpoint: Callable[..., Awaitable[Response]]
    answers: type[BaseModel] | None
    action: Action | None
    status: HTTPStatus
    body: type[BaseModel] | None = None
    needs_body: bool = False
    query: type[BaseModel] | None = None


def operation(
    method: str,
    path: str,
    endpoint: Callable[..., Awaitable[Response]],
    answers: type[BaseModel] | None,
    action: Action | None = None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
) -> Operation:
    """Return an operation, with the models that its endpoint declares for body and query."""
    parameters = inspect.signature(endpoint).parameters
    body, query = parameters.get("body"), parameters.get("query")
    needs_body = body is not None and body.default is inspect.Parameter.empty
    return Operation(
        method, path, endpoint, answers, action, status, _model(body), needs_body, _model(query)
    )


def _model(parameter: inspect.Parameter | None) -> type[BaseModel] | None:
    if parameter is None:
        return None
    found = parameter.annotation
    while not (isinstance(found, type) and issubclass(found, BaseModel)):
        found = get_args(found)[0]
    return found


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What the door goes by."""

    rule: Loopback
    origins: frozenset[str]
    visitors_may: frozenset[str]
    proxies: frozenset[str]
    clock: Callable[[], float]
    origin_secrets: tuple[str, ...] = ()  # none: whoever comes to the door may knock


@dataclass(frozen=True, slots=True)
class _Address:
    pattern: re.Pattern[str]
    methods: dict[str, Operation] = field(default_factory=dict)


class Dispatcher:
    """The ASGI application."""

    def __init__(
        self,
        desk: Authenticator,
        guard: AccessPolicy,
        operations: Sequence[Operation],
        elsewhere: Sequence[str] = (),
    ) -> None:
        """Lead to the operations, and say of what is `elsewhere` that it is not to be had here."""
        self._desk = desk
        self._guard = guard
        self._elsewhere = tuple(_pattern(path) for path in elsewhere)
        addresses: dict[str, _Address] = {}
        for one in operations:
            address = addresses.setdefault(one.path, _Address(_pattern(one.path)))
            address.methods[one.method] = one
        self._addresses = tuple(addresses.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asking: RequestContext | None = None
        try:
            caller = self._caller(scope)
            found, values = self._found(scope)
            asking = await self._let_in(caller, found)
            if found.query is not None:
                values["query"] = _query(found.query, scope["query_string"])
            if found.body is not None:
                values["body"] = await _body(found, asking.caller, receive)
            answer = await found.endpoint(asking, **values)
        except Problem as problem:
            answer = _refusal(problem)
        except Exception as error:  # noqa: BLE001 (the one place where nothing may pass through)
            answer = _refusal(self._desk.refusal_of(error) or _fault(scope, error))
        await _send(answer, asking, scope, send)

    def _found(self, scope: Scope) -> tuple[Operation, dict[str, Any]]:
        path, method = scope["path"], scope["method"]
        for address in self._addresses:
            match = address.pattern.fullmatch(path)
            if match is None:
                continue
            found = address.methods.get("GET" if method == "HEAD" else method)
            if found is None:
                raise not_allowed([*address.methods, *(["HEAD"] * ("GET" in address.methods))])
            values: dict[str, Any] = match.groupdict()
            if "id" in values:
                values["id"] = int(values["id"])
                if values["id"] > HIGHEST_ID:
                    raise Problem(HTTPStatus.NOT_FOUND, "there is no such video")
            return found, values
        if any(pattern.fullmatch(path) for pattern in self._elsewhere):
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "only an API beside the catalogue knows this")
        raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this address")

    def _caller(self, scope: Scope) -> Caller:
        caller, expected = _caller(scope), self._guard.origin_secrets
        if not expected:
            return caller
        if not is_by_cdn(caller.headers, expected):
            raise Problem(HTTPStatus.FORBIDDEN, "ask at the address of the site")
        return replace(caller, by_cdn=True)

    async def _let_in(self, caller: Caller, found: Operation) -> RequestContext:
        guard, now = self._guard, self._guard.clock()
        if is_cross_site(caller, guard.origins):
            raise Problem(HTTPStatus.FORBIDDEN, "pages of other sites may not do this")
        proofs = await self._desk.proofs(caller, int(now))
        if proofs.wrong_bearer:
            raise wrong_token()
        role = role_of(caller, proofs, guard.rule, self._desk.had_token)
        if found.action is not None:
            if role is Role.VISITOR and caller.headers.get("reelshelf-as") == Role.OWNER:
                raise meant_as_owner()
            if found.action not in may(role, guard.visitors_may):
                raise Problem(
                    HTTPStatus.FORBIDDEN,
                    "only the owner may do this: sign in (`reelshelf token new` makes a token)",
                )
            if role is Role.VISITOR:
                wait_s = await self._desk.wait_s(client_of(caller, guard.proxies), now)
                if wait_s:
                    raise too_many(wait_s)
        return RequestContext(caller, role, int(now), _key(caller))


def _pattern(path: str) -> re.Pattern[str]:
    parameters = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{_PARAMETERS[m[1]]})", path)
    return re.compile(parameters, re.DOTALL)


def _caller(scope: Scope) -> Caller:
    """Return who asks; ASGI promises that names of headers are lower-case."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    client = scope.get("client")
    transport = Transport.TCP if client else Transport.SOCKET
    if "aws.event" in scope:
        transport = Transport.LAMBDA
    peer = str(client[0]) if client else ""
    scheme = scope.get("scheme", "http")
    return Caller(transport, peer, scope["http_version"], scope["method"], headers, scheme)


def _key(caller: Caller) -> str:
    key = caller.headers.get("idempotency-key")
    if key is None:
        return ""
    if caller.method in _UNSAFE and not _KEY.fullmatch(key):
        why = "8 to 64 letters, digits, - and _"
        raise _invalid("the Idempotency-Key cannot be taken", [("Idempotency-Key", why)])
    return key


def _query(model: type[BaseModel], query: bytes) -> BaseModel:
    given: dict[str, object] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in given:
            raise _invalid("the question cannot be taken", [(name, "is there twice")])
        given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid("the question cannot be taken", _errors(error)) from error


async def _body(found: Operation, caller: Caller, receive: Receive) -> BaseModel | None:
    assert found.body is not None
    content = await _content(caller.headers, receive)
    if not content and not found.needs_body:
        return None
    if not is_json(caller.headers.get("content-type")):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
    try:
        return found.body.model_validate_json(content)
    except ValidationError as error:
        if any(one["type"] == "json_invalid" for one in error.errors()):
            raise Problem(HTTPStatus.BAD_REQUEST, "the body is no JSON in UTF-8") from error
        raise _invalid("the body cannot be taken", _errors(error)) from error


async def _content(headers: Mapping[str, str], receive: Receive) -> bytes:
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > LONGEST_BODY:
        raise _too_long()
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "the body ended early")
        content += message.get("body", b"")
        if len(content) > LONGEST_BODY:
            raise _too_long()
        if not message.get("more_body", False):
            return bytes(content)


def _too_long() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {LONGEST_BODY} bytes")


def _invalid(detail: str, errors: Sequence[tuple[str, str]]) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, {}, errors)


def _errors(error: ValidationError) -> list[tuple[str, str]]:
    return [
        (".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _fault(scope: Scope, error: Exception) -> Problem:
    log.error("cannot answer %s %s", scope["method"], scope["path"], exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of reelshelf's")


def _refusal(problem: Problem) -> Response:
    headers = {**problem.headers, "Content-Type": PROBLEM_TYPE}
    return Response(problem.body(), problem.status, headers)


async def _send(answer: Response, asking: RequestContext | None, scope: Scope, send: Send) -> None:
    headers = [(b"cache-control", b"no-store")]
    if answer.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    if answer.body and "Content-Type" not in answer.headers:
        headers.append((b"content-type", b"application/json"))
    for name, value in answer.headers.items():
        headers.append((name.lower().encode(), value.encode("latin-1")))
    if asking is not None:
        headers += [(b"set-cookie", cookie.encode()) for cookie in asking.cookies]
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})
