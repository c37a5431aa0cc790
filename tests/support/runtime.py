"""The least of AWS Lambda's runtime API: hands events to awslambdaric, and takes its answers."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from paths import ROOT
from typing_extensions import override

LIMIT_S = 60.0
Event = dict[str, Any]


class Runtime(ThreadingHTTPServer):
    """Events in, answers out, one at a time, as Lambda does it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Side)
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.answers: SimpleQueue[Event] = SimpleQueue()

    def call(self, event: Event) -> Event:
        self.events.put(event)
        return self.answers.get(timeout=LIMIT_S)


class _Side(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits for an acknowledgement: 88 ms a call
    wbufsize = -1  # and leaves in one piece
    server: Runtime

    def do_GET(self) -> None:
        content = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "one")
        self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::function:api")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.answers.put({**told, "failed": not self.path.endswith("/response")})
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def handle_one_request(self) -> None:
        with suppress(ConnectionResetError):  # how a runtime ends that is killed
            super().handle_one_request()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def lambda_running(state: Path, **settings: str) -> Iterator[Runtime]:
    """Run the real handler under awslambdaric."""
    runtime = Runtime()
    Thread(target=runtime.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        **settings,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime.server_port}",
        "REELSHELF_STATE": str(state),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "awslambdaric", "api_lambda.handler.handler"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    ) as running:
        try:
            yield runtime
        finally:
            running.kill()
            runtime.shutdown()
            runtime.server_close()


def event_of(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Event:
    """Return a request as an HTTP API of API Gateway hands it on, payload 2.0."""
    address, _, query = path.partition("?")
    others = {name.lower(): value for name, value in headers.items() if name.lower() != "cookie"}
    cookies = [
        one for name, value in headers.items() if name.lower() == "cookie" for one in [value]
    ]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": address,
        "rawQueryString": query,
        "headers": {
            "x-forwarded-proto": "http",  # as nginx says it in these tests
            **others,
            **({"content-length": str(len(body))} if body else {}),
        },
        **({"cookies": cookies} if cookies else {}),
        "requestContext": {
            "http": {"method": method, "path": address, "sourceIp": "192.0.2.7",
                     "protocol": "HTTP/1.1", "userAgent": "test"},
            "requestId": "one", "stage": "$default", "timeEpoch": 0,
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }  # fmt: skip
