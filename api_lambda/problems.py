"""Error responses: `application/problem+json` for every refused request (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

# As RFC 9110 has them; Python's own changed with it in 3.13.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}
PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it so)
    """Why a request is refused. `errors` are (field, message) of a body or a query."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors

    def body(self, request_id: str = "") -> bytes:
        """Return the response body, with the id of the request by which the log has it."""
        members: dict[str, object] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, self.status.phrase),
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            members["errors"] = [{"field": name, "message": why} for name, why in self.errors]
        if request_id:
            members["request_id"] = request_id
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def not_allowed(methods: Sequence[str]) -> Problem:
    """Return the problem of a method that a path does not have."""
    allow = ", ".join(methods)
    return Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"this path allows {allow}", {"Allow": allow})


def too_many(wait_s: int) -> Problem:
    """Return the problem of a client over its rate limit."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"too many requests; retry in {wait_s} s",
        {"Retry-After": str(wait_s)},
    )


def unavailable(detail: str, what: str = "nothing was recorded", wait_s: int = 5) -> Problem:
    """Return the problem of a backend that is out of reach; `what` says what that means."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, f"{detail}; {what}", {"Retry-After": str(wait_s)}
    )


def session_expired() -> Problem:
    """Return the problem of an owner's request whose session is over."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "this needs the owner, and the session is over: sign in again",
        {"WWW-Authenticate": "Bearer"},
    )


def sign_in() -> Problem:
    """Return the problem of a visitor on a private site."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "this site is private: sign in with the token that its owner gave you",
        {"WWW-Authenticate": "Bearer"},
    )


def wrong_token() -> Problem:
    """Return the problem of an invalid token."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unknown, expired or revoked token",
        {"WWW-Authenticate": "Bearer"},
    )


def failing_site(failing: Mapping[str, str], wait_s: int = 30) -> Problem:
    """Return the problem of a site that is not healthy, with the reason of each failing check."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "; ".join(failing.values()),
        {"Retry-After": str(wait_s)},
        list(failing.items()),
    )
