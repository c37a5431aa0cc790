"""What is refused, and why: `application/problem+json`, the same for every refusal (RFC 9457)."""

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

    def body(self) -> bytes:
        """Return the problem as it is sent."""
        told: dict[str, object] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, self.status.phrase),
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            told["errors"] = [{"field": name, "message": why} for name, why in self.errors]
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def not_allowed(methods: Sequence[str]) -> Problem:
    """Return that an address knows other methods."""
    allow = ", ".join(methods)
    return Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"this address knows {allow}", {"Allow": allow})


def too_many(wait_s: int) -> Problem:
    """Return that somebody asks too often."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"too many requests; come again in {wait_s} s",
        {"Retry-After": str(wait_s)},
    )


def unavailable(detail: str, what: str = "nothing was recorded", wait_s: int = 5) -> Problem:
    """Return that nothing can be done just now, and `what` became of it."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, f"{detail}; {what}", {"Retry-After": str(wait_s)}
    )


def meant_as_owner() -> Problem:
    """Return that somebody acted as the owner, whose session is over."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "this was done as the owner, and the session is over: sign in again",
        {"WWW-Authenticate": "Bearer"},
    )


def wrong_token() -> Problem:
    """Return that a token is none."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "this token is none, or was revoked",
        {"WWW-Authenticate": "Bearer"},
    )
