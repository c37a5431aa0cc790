"""The real nginx, started with the configuration that `reelshelf nginx` would print."""

import gzip
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest
from paths import NGINX_TEMPLATE

from generator.core.delivery.nginx import PLAY_TYPES

TEMPLATE = NGINX_TEMPLATE.read_text(encoding="utf-8")


START_S = 60.0


PAGE = b"<!DOCTYPE html><title>front</title>" + b"<p>line</p>" * 100


NEW_PAGE = b"<!DOCTYPE html><title>new</title>" + b"<p>no copies yet</p>" * 100


STYLE = b"body { color: #123 }" * 50


TEXT = "WEBVTT\n\n00:00.000 --> 00:01.000\nZoë\n".encode()


MISSING = b"<!DOCTYPE html><title>nothing here</title>"


FILM = bytes(range(256)) * 40


SECRET = b"not for you"


BROTLI_COPY = b"stands for brotli's bytes"  # nginx does not look into it


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return self.headers[name]


Ask = Callable[..., Answer]


def asker(port: int) -> Ask:
    def ask(
        path: str | bytes, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        address = path if isinstance(path, str) else quote(path, safe="/")
        with closing(HTTPConnection("127.0.0.1", port, timeout=START_S)) as connection:
            connection.request(method, address, headers=dict(headers or {}))
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())

    return ask


def write(file: Path | bytes, content: bytes) -> None:
    path = Path(os.fsdecode(file))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def make_site(out: Path) -> None:
    write(out / "index.html", PAGE)
    write(out / "index.html.gz", gzip.compress(PAGE, mtime=0))
    write(out / "index.html.br", BROTLI_COPY)
    write(out / "404.html", MISSING)
    write(out / "watch" / "new-1.html", NEW_PAGE)
    write(out / "atom.xml", b"<feed/>")
    write(out / "assets" / "style-0123456789.css", STYLE)
    write(out / "thumb" / "0" / "1-abc-320.webp", b"webp")
    write(out / "board" / "0" / "1-0a1b2c.webp", b"webp")
    write(out / "board" / "0" / "1-0a1b2c.vtt", TEXT)
    write(out / "board" / "0.json", b"{}")
    write(out / "text" / "0" / "1-0a1b2c.vtt", TEXT)
    write(out / "text" / "0" / "1-chapters.vtt", TEXT)
    for suffix in PLAY_TYPES:
        write(out / "play" / "0" / f"1-0a1b2c.{suffix}", FILM)
    write(out / "play" / "0" / ".half.mp4", SECRET)
    write(out / ".reelshelf", SECRET)
    write(out / ".tmp-1-0", SECRET)
    write(out / "watch" / ".half.html", SECRET)


def main_config(folder: Path, site: Path, modules: tuple[Path, ...]) -> str:
    """Return the least of a main configuration, with what Debian's has for `http`."""
    scratch = "".join(
        f'{kind}_temp_path "{folder}/{kind}";\n'
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    return f"""
        {"".join(f'load_module "{module}";' for module in modules)}
        {user}
        daemon off;
        worker_processes 1;
        pid "{folder}/nginx.pid";
        error_log "{folder}/error.log" info;
        events {{}}
        http {{
            {scratch}
            access_log off;
            types {{ text/html html htm mkv; }}
            default_type text/html;
            gzip on;
            include "{site}";
        }}
    """


def write_config(folder: Path, text: str, modules: tuple[Path, ...] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.conf").write_text(text, encoding="utf-8")
    (folder / "main.conf").write_text(
        main_config(folder, folder / "site.conf", modules), encoding="utf-8"
    )
    return folder / "main.conf"


def command(nginx: str, main: Path) -> list[str]:
    return [nginx, "-p", str(main.parent), "-e", f"{main.parent}/error.log", "-c", str(main)]


@contextmanager
def running(nginx: str, main: Path, port: int) -> Iterator[Ask]:
    """Run nginx until the block ends; it answers when the block begins."""
    with subprocess.Popen(command(nginx, main), stderr=subprocess.PIPE) as server:
        try:
            wait_for(server, port)
            yield asker(port)
        finally:
            server.terminate()
            server.communicate(timeout=START_S)


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START_S).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nginx does not listen"
        else:
            return
        try:
            server.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"nginx ended: {server.communicate()[1].decode()}")
