"""Pages and posters through nginx, 64 clients at once: a site that is open, and a private one.

Both are served by the configuration of `reelshelf nginx`, in turns; the private one to a viewer
with a session. `answers_per_s` is what the API alone answers to the question who may pass, which
nginx asks once in five seconds for each viewer.
"""

import json
import os
import pwd
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from api_lambda.credentials import Cookies, kept_secret, new_viewer_token
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.delivery.nginx import config

CLIENTS = 64
ROUNDS = 5
ROUND_S = 3
_VIDEOS = 100
_PAGE = b"<!DOCTYPE html><title>A page</title>" + b"<p>Some text of a watch page.</p>" * 120  # 4 KB
_POSTER = bytes(range(256)) * 60  # 15 KB


def run(folder: Path) -> dict[str, object]:
    """Return requests a second of both, and how long an answer takes."""
    for place in (folder, *folder.parents):  # nginx's workers have another user
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o055)
    out, state = folder / "out", folder / "state"
    for path, content in {"watch/a-1.html": _PAGE, "thumb/0/1-a-320.webp": _POSTER}.items():
        (out / path).parent.mkdir(parents=True)
        (out / path).write_bytes(content)
    now = int(time.time())
    with Catalogue(state / "catalogue.db") as catalogue:
        trial.fill(catalogue, _VIDEOS)
        made, _, _ = new_viewer_token("benchmark", now, None)
        catalogue.tokens.add(made)
    figures: dict[str, list[float]] = {}
    with ExitStack() as stack:
        api = stack.enter_context(_api(state, out))
        open_port, private_port = _free_port(), _free_port()
        stack.enter_context(_nginx(folder, "open", open_port, api, is_private=False))
        stack.enter_context(_nginx(folder, "private", private_port, api, is_private=True))
        sites = {"open": open_port, "private": private_port}
        cookies = {
            name: Cookies(kept_secret(state)).session(made.id, now, f"-{port}").partition(";")[0]
            for name, port in {**sites, "api": api}.items()
        }
        for _ in range(ROUNDS):
            for what, path in (
                ("page", "/watch/a-1.html"),
                ("poster", "/thumb/0/1-a-320.webp"),
            ):
                for name, port in sites.items():
                    rate, p99_ms = _load(port, path, cookies[name])
                    figures.setdefault(f"{name}_{what}s_per_s", []).append(rate)
                    figures.setdefault(f"{name}_{what}_p99_ms", []).append(p99_ms)
            figures.setdefault("answers_per_s", []).append(
                _load(api, "/api/access", cookies["api"])[0]
            )
    medians = {name: statistics.median(values) for name, values in figures.items()}
    ratios = {
        f"{what}_ratio": round(
            statistics.median(
                ours / theirs
                for ours, theirs in zip(
                    figures[f"private_{what}s_per_s"], figures[f"open_{what}s_per_s"], strict=True
                )
            ),
            2,
        )
        for what in ("page", "poster")
    }
    return {**{name: round(value, 1) for name, value in medians.items()}, **ratios}


@contextmanager
def _api(state: Path, out: Path) -> Iterator[int]:
    """Run `reelshelf api` for a private site until the block ends, and lend its port."""
    environment = {
        **os.environ,
        "REELSHELF_STATE": str(state),
        "REELSHELF_OUT": str(out),
        "REELSHELF_PRIVATE": "true",
    }
    with subprocess.Popen(
        [Path(sys.executable).with_name("reelshelf"), "api", "--port", "0", "--json"],
        env=environment,
        cwd=state,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["address"]
            yield int(address.removesuffix("/api").rpartition(":")[2])
        finally:
            server.terminate()


@contextmanager
def _nginx(folder: Path, name: str, port: int, api: int, *, is_private: bool) -> Iterator[None]:
    """Run nginx until the block ends; it listens when the block begins."""
    place = folder / name
    place.mkdir()
    template = Path(__file__).parents[1] / "deploy" / "nginx.conf"
    site = config(
        template.read_text(encoding="utf-8"),
        out=str(folder / "out"),
        roots={},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
        api=str(api),
        private=is_private,
        origin=f"http://127.0.0.1:{port}",
        access_cache=str(place / "access"),
    )
    temporary = "".join(
        f'{kind}_temp_path "{place}/{kind}";\n'
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    main = place / "main.conf"
    main.write_text(
        f"{user}\ndaemon off;\nworker_processes 1;\npid {place}/pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{site}\n}}\n",
        encoding="utf-8",
    )
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    with subprocess.Popen([program, "-e", f"{place}/error.log", "-c", str(main)]) as server:
        try:
            _wait_for(port)
            yield
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _load(port: int, path: str, cookie: str) -> tuple[float, float]:
    """Return requests a second and the 99th percentile of the latency in ms, by wrk."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{ROUND_S}", "--latency", "-H", f"Cookie: {cookie}"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    rate = re.search(r"Requests/sec:\s*([0-9.]+)", done.stdout)
    p99 = re.search(r"99%\s*([0-9.]+)(us|ms|s)", done.stdout)
    assert rate is not None, done.stdout
    assert p99 is not None, done.stdout
    return float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[p99[2]]
