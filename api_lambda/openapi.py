"""What OpenAPI tells: every operation with every answer that it can give, refusals too."""

import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api_lambda.credentials import SESSION_COOKIE
from api_lambda.dispatch import Operation
from api_lambda.problems import PROBLEM_TYPE
from api_lambda.schemas import ProblemDetails

_WHY = {
    HTTPStatus.BAD_REQUEST: "The body is no JSON in UTF-8.",
    HTTPStatus.UNAUTHORIZED: "The token is none, or was revoked.",
    HTTPStatus.FORBIDDEN: "A visitor may not do this, or a page of another site sent it.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.CONFLICT: "The Idempotency-Key was sent with something else before.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body has more than 16 KiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body does not say that it is JSON.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body, the question or the Idempotency-Key is wrong.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests; Retry-After says when to come again.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The catalogue is out of reach, or the disk full;"
    " nothing was recorded.",
}
_NOT_QUEUED = {
    HTTPStatus.SERVICE_UNAVAILABLE: "The queue is out of reach, or who the owner is not known yet;"
    " a write may have been recorded, and counts once when it is sent again with its"
    " Idempotency-Key.",
    HTTPStatus.NOT_FOUND: "There is no such thing, for certain.",
}
_WAITING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def declare(app: FastAPI, one: Operation, *, is_queued: bool = False) -> None:
    """Let FastAPI know an operation. The door answers it; FastAPI tells of it.

    Args:
        app: what tells the contract.
        one: the operation.
        is_queued: whether events go into a queue, which knows of no conflicts.
    """
    refusals = _refusals(one) - ({HTTPStatus.CONFLICT} if is_queued else set())
    why = _WHY | _NOT_QUEUED if is_queued else _WHY
    app.add_api_route(
        one.path,
        one.endpoint,
        methods=[one.method],
        operation_id=_camel(one.endpoint.__name__),
        status_code=one.status,
        response_model=one.answers,
        response_description=HTTPStatus(one.status).phrase,
        responses={int(status): _problem(status, why[status]) for status in sorted(refusals)},
    )


def openapi(app: FastAPI) -> bytes:
    """Return the contract as JSON."""
    told = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    told["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "`reelshelf token new`"},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": SESSION_COOKIE,
            "description": "set by POST /api/session",
        },
    }
    told["security"] = [{}, {"token": []}, {"session": []}]  # who brings neither is a visitor
    for path in told["paths"].values():
        for method in path.values():
            _mend(method)
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _refusals(one: Operation) -> set[HTTPStatus]:
    # Whoever brings one wrong token after the other is made to wait, whatever it was for.
    found = {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
    is_write = one.method != "GET"
    if is_write or one.action is not None:
        found.add(HTTPStatus.FORBIDDEN)
    if "{" in one.path or one.path.endswith("/random"):
        found.add(HTTPStatus.NOT_FOUND)
    if is_write and one.action is not None:
        found |= {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
    if one.query is not None:
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if one.body is not None:
        found |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        }
    return found


def _problem(status: HTTPStatus, why: str) -> dict[str, Any]:
    told: dict[str, Any] = {"model": ProblemDetails, "description": why}
    if status in _WAITING:
        told["headers"] = {
            "Retry-After": {
                "description": "seconds",
                "schema": {"type": "integer", "minimum": 1},
                "required": True,
            }
        }
    return told


def _mend(method: dict[str, Any]) -> None:
    """Tell what FastAPI does not: refusals have their own media type, nothing taken is null."""
    for status, answer in method["responses"].items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            answer["content"] = {PROBLEM_TYPE: answer["content"].pop("application/json")}
    taken = list(method.get("parameters", ()))
    taken += method.get("requestBody", {}).get("content", {}).values()
    for one in taken:
        choices = one["schema"].pop("anyOf", [])
        one["schema"] |= next((choice for choice in choices if choice.get("type") != "null"), {})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
