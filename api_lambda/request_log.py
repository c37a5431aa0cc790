"""The id of a request, from nginx to the pages, and a log of one JSON object a line.

nginx makes the id ($request_id) and logs it; the API logs it, answers with it, and stores it with
the event, and the receipt of the refresh that shows the event has it. The log has no addresses, no
queries and no headers: nothing of who asked.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

from typing_extensions import override

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
HEADER = "x-request-id"
_VALID = re.compile("[A-Za-z0-9_-]{8,64}")
_RANDOM_BYTES = 16  # as many as nginx takes
access_log = logging.getLogger("api_lambda.access")
access_log.setLevel(logging.WARNING)  # until `start_json_log`


def begin_request(headers: Mapping[str, str]) -> str:
    """Return the id of a request, its own or a new one; everything logged from here on has it."""
    request_id = headers.get(HEADER, "")
    if not _VALID.fullmatch(request_id):
        request_id = os.urandom(_RANDOM_BYTES).hex()
    REQUEST_ID.set(request_id)
    return request_id


def log_request(method: str, path: str, route: str, status: int, seconds: float) -> None:
    """Log a request, if requests are logged."""
    if access_log.isEnabledFor(logging.INFO):
        fields = {
            "method": method,
            "path": path,
            "route": route,
            "status": int(status),
            "ms": round(seconds * 1000, 3),
        }
        access_log.info("request", extra={"fields": fields})


def start_json_log(handlers: list[logging.Handler]) -> None:
    """Write one JSON object a line from now on, and one for each request."""
    for handler in handlers:
        handler.setFormatter(JsonLines())
    access_log.setLevel(logging.INFO)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object, with the id of the request that it is about."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if REQUEST_ID.get():
            line["request_id"] = REQUEST_ID.get()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)
