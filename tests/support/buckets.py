"""A store in front of moto's: it counts what it is asked for, and refuses what a test wants."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from cloud import KEYS, Aws

REGION = "eu-central-1"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and how many bytes of content it got."""

    method: str
    key: str
    query: str
    span: str
    status: int
    size: int


Refusal = tuple[int, str]  # a status, and S3's name for it


class Store:
    """What stands between a reader and moto. `refuse` may answer in its place.

    A listing has `page` keys at most, as S3 may end one early, where that is not 0.
    """

    def __init__(self, aws: Aws) -> None:
        self.aws, self.asked = aws, list[Asked]()
        self.refuse: Callable[[str, str, str], Refusal | None] = lambda *_: None
        self.before: Callable[[str, str], None] = lambda *_: None
        self.page = 0
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        with patch.dict(os.environ, KEYS):
            self.client: Any = boto3.client(
                "s3", endpoint_url=aws.address, region_name=REGION,
                config=Config(s3={"addressing_style": "path"}),
            )  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self) -> list[Asked]:
        """Return what was asked for since the last time."""
        with self._lock:
            asked, self.asked = self.asked, []
        return asked

    def create(self, bucket: str) -> None:
        self.client.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )

    def put(self, bucket: str, key: str, content: bytes = b"") -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def remove(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=key)

    def move(self, bucket: str, key: str, to: str) -> None:
        source = {"Bucket": bucket, "Key": key}
        self.client.copy_object(Bucket=bucket, Key=to, CopySource=source)
        self.remove(bucket, key)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                key = unquote(parts.path).partition("/")[2].partition("/")[2]
                span = self.headers.get("Range", "")
                store.before(key, span)
                refusal = store.refuse(key, parts.query, span)
                if refusal is None:
                    status, headers, content, length = self._asked()
                else:
                    status, headers = refusal[0], {"Content-Type": "application/xml"}
                    content = f"<Error><Code>{refusal[1]}</Code></Error>".encode()
                    length = "0"
                with store._lock:
                    store.asked.append(
                        Asked(self.command, key, parts.query, span, status, len(content))
                    )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if self.command == "HEAD":  # which says how long it would be
                    self.send_header("Content-Length", length)
                    self.end_headers()
                    return
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_PUT = do_HEAD = do_DELETE = do_POST = do_GET  # noqa: N815 (their names)

            def _asked(self) -> tuple[int, dict[str, str], bytes, str]:
                connection = HTTPConnection(urlsplit(store.aws.address).netloc, timeout=30)
                sent = {n: v for n, v in self.headers.items() if n.lower() != "connection"}
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = self.path
                if store.page and "list-type=" in path:
                    path += f"&max-keys={store.page}"
                connection.request(self.command, path, body=body, headers=sent)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                left_out = {"content-length", "connection", "transfer-encoding", "date", "server"}
                kept = {n: v for n, v in answer.getheaders() if n.lower() not in left_out}
                return answer.status, kept, content, answer.getheader("Content-Length") or "0"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


@contextmanager
def store_before(aws: Aws) -> Iterator[Store]:
    with patch.dict(os.environ, KEYS):
        store = Store(aws)
        try:
            yield store
        finally:
            store.close()
