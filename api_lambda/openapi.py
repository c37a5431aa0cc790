"""The OpenAPI document: every operation with every response it can give, errors too."""

import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api_lambda.credentials import SESSION_COOKIE
from api_lambda.dispatch import Operation
from api_lambda.old_forms import FORM_TYPES
from api_lambda.problems import PROBLEM_TYPE
from api_lambda.schemas import ProblemDetails

_WHY = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON in UTF-8.",
    HTTPStatus.UNAUTHORIZED: "The token is unknown or revoked.",
    HTTPStatus.FORBIDDEN: "A visitor may not do this, or it is a cross-site request.",
    HTTPStatus.NOT_FOUND: "There is no such resource.",
    HTTPStatus.CONFLICT: "The Idempotency-Key was used for another request before.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body has more than 16 KiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The Content-Type is not application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body, the query or the Idempotency-Key is invalid.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests; Retry-After says when to retry.",
    HTTPStatus.NOT_IMPLEMENTED: "File names are not known here: send the number of the video.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The catalogue is out of reach, or the disk is full;"
    " nothing was recorded.",
}
_NOT_QUEUED = {
    HTTPStatus.SERVICE_UNAVAILABLE: "The queue is unavailable, or the owner is not known yet;"
    " a write may have been recorded, and counts once when it is sent again with its"
    " Idempotency-Key.",
    HTTPStatus.NOT_FOUND: "There is no such resource, for certain.",
}
_WAITING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def declare(app: FastAPI, operation: Operation, *, is_queued: bool = False) -> None:
    """Declare an operation to FastAPI, which only documents it: the dispatcher serves it.

    Args:
        app: the application with the OpenAPI document.
        operation: what to declare.
        is_queued: whether events go into a queue, which detects no conflicts.
    """
    refusals = _refusals(operation) - ({HTTPStatus.CONFLICT} if is_queued else set())
    if is_queued and operation.is_old:
        refusals.add(HTTPStatus.NOT_IMPLEMENTED)
    why = _WHY | _NOT_QUEUED if is_queued else _WHY
    app.add_api_route(
        operation.path,
        operation.endpoint,
        methods=[operation.method],
        operation_id=_camel(operation.endpoint.__name__),
        status_code=operation.status,
        response_model=operation.response_model,
        response_description=HTTPStatus(operation.status).phrase,
        deprecated=operation.is_old or None,
        responses={int(status): _problem(status, why[status]) for status in sorted(refusals)},
    )


def openapi(app: FastAPI) -> bytes:
    """Return the OpenAPI document as JSON."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "`reelshelf token new`"},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": SESSION_COOKIE,
            "description": "set by POST /api/session",
        },
    }
    document["security"] = [{}, {"token": []}, {"session": []}]  # without either: a visitor
    for path in document["paths"].values():
        for method in path.values():
            _correct(method)
            if method.get("deprecated") and "requestBody" in method:
                content = method["requestBody"]["content"]
                content |= dict.fromkeys(FORM_TYPES, content["application/json"])
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _refusals(operation: Operation) -> set[HTTPStatus]:
    # Repeated wrong tokens are rate limited at every operation.
    statuses = {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
    is_write = operation.method != "GET"
    if is_write or operation.action is not None:
        statuses.add(HTTPStatus.FORBIDDEN)
    if "{" in operation.path or operation.path.endswith("/random") or operation.is_old:
        statuses.add(HTTPStatus.NOT_FOUND)
    if is_write and operation.action is not None:
        statuses |= {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
    if operation.query is not None:
        statuses.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if operation.body is not None:
        statuses |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        }
    return statuses


def _problem(status: HTTPStatus, why: str) -> dict[str, Any]:
    response: dict[str, Any] = {"model": ProblemDetails, "description": why}
    if status in _WAITING:
        response["headers"] = {
            "Retry-After": {
                "description": "seconds",
                "schema": {"type": "integer", "minimum": 1},
                "required": True,
            }
        }
    return response


def _correct(method: dict[str, Any]) -> None:
    """Correct what FastAPI writes: errors have their own media type, and inputs are never null."""
    for status, response in method["responses"].items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            response["content"] = {PROBLEM_TYPE: response["content"].pop("application/json")}
    inputs = list(method.get("parameters", ()))
    inputs += method.get("requestBody", {}).get("content", {}).values()
    for parameter in inputs:
        choices = parameter["schema"].pop("anyOf", [])
        parameter["schema"] |= next(
            (choice for choice in choices if choice.get("type") != "null"), {}
        )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
