"""The dispatcher: routes, authorizes and validates every request, and calls the service.

An ASGI application in place of FastAPI's chain of middleware: bodies and queries are validated by
the models that the operations declare, without a request object, dependencies and exit stacks in
between, which cost four times as much as everything else (docs/adr/0008-the-door.md).
"""

import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Protocol, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from api_lambda.context import Authenticator, RequestContext, Response
from api_lambda.old_forms import form_fields, form_type
from api_lambda.permissions import (
    Action,
    Caller,
    Loopback,
    Role,
    Transport,
    client_of,
    is_cross_site,
    is_form_encoded,
    is_from_cdn,
    is_from_own_page,
    is_json,
    may,
    may_be_cross_site_form,
    role_of,
)
from api_lambda.problems import (
    PROBLEM_TYPE,
    Problem,
    not_allowed,
    session_expired,
    sign_in,
    too_many,
    wrong_token,
)
from api_lambda.request_log import HEADER, REQUEST_ID, begin_request, log_request
from api_lambda.schemas import HIGHEST_ID, KEY_PATTERN

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 16 * 1024
REQUEST_HEADER = HEADER.encode()
_KEY = re.compile(KEY_PATTERN)
_PARAMETERS = {"id": "[0-9]{1,19}", "tag": ".+", "event": "[A-Za-z0-9_-]{1,64}", "name": ".+"}
_UNSAFE = frozenset({"POST", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `action` is the permission it needs, None for none; `response_model` is the body that comes
    with `status`, None for no body. `is_old`: scripts of a former server call it, and may send a
    form instead of JSON. `is_open`: visitors of a private site may use it, too, as one has to who
    signs in. `is_form`: a page without scripts sends it, as a form.
    """

    method: str
    path: str
    endpoint: Callable[..., Awaitable[Response]]
    response_model: type[BaseModel] | None
    action: Action | None
    status: HTTPStatus
    body: type[BaseModel] | None = None
    needs_body: bool = False
    query: type[BaseModel] | None = None
    is_old: bool = False
    is_open: bool = False
    is_form: bool = False
    is_documented: bool = True  # in the OpenAPI document


def operation(  # noqa: PLR0913 (what an operation is, each by its name)
    method: str,
    path: str,
    endpoint: Callable[..., Awaitable[Response]],
    response_model: type[BaseModel] | None,
    action: Action | None = None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    is_open: bool = False,
    is_form: bool = False,
) -> Operation:
    """Return an operation, with the models that its endpoint declares for body and query."""
    parameters = inspect.signature(endpoint).parameters
    body, query = parameters.get("body"), parameters.get("query")
    needs_body = body is not None and body.default is inspect.Parameter.empty
    return Operation(
        method,
        path,
        endpoint,
        response_model,
        action,
        status,
        _model(body),
        needs_body,
        _model(query),
        is_open=is_open,
        is_form=is_form,
    )


def _model(parameter: inspect.Parameter | None) -> type[BaseModel] | None:
    if parameter is None:
        return None
    annotation = parameter.annotation
    while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        annotation = get_args(annotation)[0]
    return annotation


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The rules by which requests are authorized."""

    rule: Loopback
    origins: frozenset[str]
    visitors_may: frozenset[str]
    proxies: frozenset[str]
    clock: Callable[[], float]
    origin_secrets: tuple[str, ...] = ()  # (): requests need not come through a CDN
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class _Resource:
    pattern: re.Pattern[str]
    methods: dict[str, Operation] = field(default_factory=dict)


class Observer(Protocol):
    """Counts requests, and logs them."""

    def observe(self, route: "Operation | None", seconds: float, status: int) -> None:
        """Count a request; `route` is None where there was none."""


class Dispatcher:
    """The ASGI application."""

    def __init__(
        self,
        service: Authenticator,
        policy: AccessPolicy,
        operations: Sequence[Operation],
        local_only: Sequence[str] = (),
        observer: Observer | None = None,
    ) -> None:
        """Route to `operations`; paths in `local_only` get 501 here."""
        self._service = service
        self.observer = observer
        self._policy = policy
        self._local_only = tuple(_pattern(path) for path in local_only)
        resources: dict[str, _Resource] = {}
        for route in operations:
            resource = resources.setdefault(route.path, _Resource(_pattern(route.path)))
            resource.methods[route.method] = route
        self._resources = tuple(resources.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        request: RequestContext | None = None
        route: Operation | None = None
        begun_s = time.perf_counter()
        try:
            caller = self._caller(scope)
            route, values = self._route(scope)
            request = await self._authorize(caller, route)
            if route.query is not None:
                values["query"] = _query(route.query, scope["query_string"])
            if route.body is not None:
                values["body"] = await _body(route, request.caller, receive)
            response = await route.endpoint(request, **values)
        except Problem as problem:
            response = _problem_response(problem)
        except Exception as error:  # noqa: BLE001 (the outermost: every error becomes a response)
            response = _problem_response(
                self._service.problem_of(error) or _internal_error(scope, error)
            )
        await _send(response, request, scope, send)
        seconds = time.perf_counter() - begun_s
        if self.observer is not None:
            self.observer.observe(route, seconds, response.status)
        template = route.path if route is not None else ""
        log_request(scope["method"], scope["path"], template, response.status, seconds)

    def _route(self, scope: Scope) -> tuple[Operation, dict[str, Any]]:
        path, method = scope["path"], scope["method"]
        for resource in self._resources:
            match = resource.pattern.fullmatch(path)
            if match is None:
                continue
            route = resource.methods.get("GET" if method == "HEAD" else method)
            if route is None:
                raise not_allowed([*resource.methods, *(["HEAD"] * ("GET" in resource.methods))])
            values: dict[str, Any] = match.groupdict()
            if "id" in values:
                values["id"] = int(values["id"])
                if values["id"] > HIGHEST_ID:
                    raise Problem(HTTPStatus.NOT_FOUND, "there is no such video")
            return route, values
        if any(pattern.fullmatch(path) for pattern in self._local_only):
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "this needs an API with a catalogue")
        raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this path")

    def _caller(self, scope: Scope) -> Caller:
        caller, expected = _caller(scope), self._policy.origin_secrets
        begin_request(caller.headers)
        if not expected:
            return caller
        if not is_from_cdn(caller.headers, expected):
            raise Problem(HTTPStatus.FORBIDDEN, "use the address of the site, not of the API")
        return replace(caller, by_cdn=True)

    async def _authorize(self, caller: Caller, route: Operation) -> RequestContext:
        policy, now = self._policy, self._policy.clock()
        if is_cross_site(caller, policy.origins):
            raise Problem(HTTPStatus.FORBIDDEN, "cross-site requests may not do this")
        if route.is_form and not is_from_own_page(caller, policy.origins):
            raise Problem(HTTPStatus.FORBIDDEN, "only the site's own page may send this")
        proofs = await self._service.proofs(caller, int(now))
        if proofs.wrong_bearer:
            raise wrong_token()
        role = role_of(caller, proofs, policy.rule, self._service.had_token)
        if policy.is_private and role is Role.VISITOR and not route.is_open:
            raise sign_in()
        if route.action is not None:
            if role is not Role.OWNER and caller.headers.get("reelshelf-as") == Role.OWNER:
                raise session_expired()
            if route.action not in may(role, policy.visitors_may):
                raise Problem(
                    HTTPStatus.FORBIDDEN,
                    "only the owner may do this: sign in (`reelshelf token new` makes a token)",
                )
            if role is not Role.OWNER:
                wait_s = await self._service.wait_s(client_of(caller, policy.proxies), now)
                if wait_s:
                    raise too_many(wait_s)
        viewer = proofs.viewer if role is Role.VIEWER else ""
        return RequestContext(caller, role, int(now), _key(caller), viewer)


def _pattern(path: str) -> re.Pattern[str]:
    parameters = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{_PARAMETERS[m[1]]})", path)
    return re.compile(parameters, re.DOTALL)


def _caller(scope: Scope) -> Caller:
    """Return the caller of a request; ASGI guarantees lower-case header names."""
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
        raise _invalid("invalid Idempotency-Key", [("Idempotency-Key", why)])
    return key


def _query(model: type[BaseModel], query: bytes) -> BaseModel:
    parameters: dict[str, object] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in parameters:
            raise _invalid("invalid query", [(name, "is there twice")])
        parameters[name] = value
    try:
        return model.model_validate(parameters)
    except ValidationError as error:
        raise _invalid("invalid query", _errors(error)) from error


async def _body(route: Operation, caller: Caller, receive: Receive) -> BaseModel | None:
    assert route.body is not None
    content = await _content(caller.headers, receive)
    if not content and not route.needs_body:
        return None
    if route.is_form:
        if not is_form_encoded(caller.headers.get("content-type")):
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send a form")
        return _query(route.body, content)
    content_type = caller.headers.get("content-type", "")
    if route.is_old and form_type(content_type):
        if may_be_cross_site_form(caller):
            raise Problem(HTTPStatus.FORBIDDEN, "cross-site requests may not do this")
        try:
            return route.body.model_validate(form_fields(content_type, content))
        except ValidationError as error:
            raise _invalid("invalid body", _errors(error)) from error
    if not is_json(content_type):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
    try:
        return route.body.model_validate_json(content)
    except ValidationError as error:
        if any(detail["type"] == "json_invalid" for detail in error.errors()):
            raise Problem(HTTPStatus.BAD_REQUEST, "the body is not JSON in UTF-8") from error
        raise _invalid("invalid body", _errors(error)) from error


async def _content(headers: Mapping[str, str], receive: Receive) -> bytes:
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        raise _too_long()
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "the body ended early")
        content += message.get("body", b"")
        if len(content) > MAX_BODY:
            raise _too_long()
        if not message.get("more_body", False):
            return bytes(content)


def _too_long() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY} bytes")


def _invalid(detail: str, errors: Sequence[tuple[str, str]]) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, {}, errors)


def _errors(error: ValidationError) -> list[tuple[str, str]]:
    return [
        (".".join(map(str, detail["loc"])), detail["msg"].removeprefix("Value error, "))
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _internal_error(scope: Scope, error: Exception) -> Problem:
    log.error("internal error at %s %s", scope["method"], scope["path"], exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error of reelshelf; see its log")


def _problem_response(problem: Problem) -> Response:
    headers = {**problem.headers, "Content-Type": PROBLEM_TYPE}
    return Response(problem.body(REQUEST_ID.get()), problem.status, headers)


async def _send(
    response: Response, request: RequestContext | None, scope: Scope, send: Send
) -> None:
    headers = [(b"cache-control", b"no-store")]
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", b"%d" % len(response.body)))
    if response.body and "Content-Type" not in response.headers:
        headers.append((b"content-type", b"application/json"))
    for name, value in response.headers.items():
        headers.append((name.lower().encode(), value.encode("latin-1")))
    headers.append((REQUEST_HEADER, REQUEST_ID.get().encode()))
    if request is not None:
        headers += [(b"set-cookie", cookie.encode()) for cookie in request.cookies]
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})
