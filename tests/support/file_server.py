"""A server of files, by range."""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from generator.core.formatting import media_type


class Handing(BaseHTTPRequestHandler):
    """Hands out files by number, whole or in ranges."""

    protocol_version = "HTTP/1.1"
    files: tuple[Path, ...] = ()

    def do_GET(self) -> None:
        number = self.path.strip("/")
        if not number.isdigit():
            self._send(200, "text/html", b"<!doctype html><title>Films</title>", {})
            return
        file = self.files[int(number)]
        content = file.read_bytes()
        byte_range = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if byte_range is None:
            self._send(200, media_type(file.name), content, {})
            return
        first, last = (
            int(byte_range[1]),
            min(int(byte_range[2] or len(content) - 1), len(content) - 1),
        )
        span = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self._send(206, media_type(file.name), content[first : last + 1], span)

    def _send(self, status: int, kind: str, content: bytes, more: Mapping[str, str]) -> None:
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), **more}
        try:
            self.send_response(status)
            for name, value in {"Accept-Ranges": "bytes", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True  # a player has seen enough

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        assert isinstance(sys.exc_info()[1], ConnectionError)


@contextmanager
def served(files: list[Path]) -> Iterator[str]:
    handing = type("HandingThese", (Handing,), {"files": tuple(files)})
    with Server(("127.0.0.1", 0), handing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
