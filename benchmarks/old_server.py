"""A small video server as people have it, the same with its cache, and this site behind nginx.

333 videos, four pages, one run: milliseconds of single requests over one connection, in turns;
then wrk: requests a second, and how many connections at once are answered within 200 ms. The old
server runs under uvicorn, in one process; nginx with the shipped configuration, in one, too.
"""

import os
import random
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks import trial
from benchmarks.old_design import write_library
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.delivery.nginx import config
from generator.core.model import EventKind
from generator.core.site import urls
from generator.core.site.scopes import FAVORITES, Scope, ScopeKind

VIDEOS = 333
TIMES = 100
ROUND_S = 4
CONNECTIONS = 8
LIMIT_MS = 200
_MOST = 2048
_START_S = 20.0
_SERVERS = ("old", "cached", "ours")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return the figures of all three servers, and the ratios to ours."""
    size = videos or VIDEOS
    library = folder / "old"
    library.mkdir()
    pages = _prepare(folder, library, size)
    figures: dict[str, object] = {"videos": size}
    with ExitStack() as stack:
        servers = {
            "old": stack.enter_context(_old(library)),
            "cached": stack.enter_context(_old(library, "cached")),
            "ours": stack.enter_context(_nginx(folder, library / "videos")),
        }
        for page, addresses in pages.items():
            figures |= _latencies(page, addresses, servers)
        for page in pages:
            figures |= _throughputs(page, pages[page], servers)
        for name, (port, pid) in servers.items():
            figures |= {f"{name}_{what}": value for what, value in _memory(pid).items()}
            figures[f"{name}_connections_within_{LIMIT_MS}_ms"] = _at_once(
                port, pages["home"][name]
            )
    return figures


def _prepare(folder: Path, library: Path, size: int) -> dict[str, dict[str, str]]:
    """Fill both libraries alike; return the addresses of each page at each server."""
    chance = random.Random(trial.SEED)
    names: dict[str, dict[str, Any]] = {}
    events = []
    for number in range(1, size + 1):
        found = trial.found(number, chance)
        name = f"{found.value['title']}.mp4".replace(" ", chance.choice(" _-"))
        tags = [trial.tag_name(tag) for tag in chance.sample(range(trial.TAGS), 3)]
        facts = {
            "stars": chance.randint(0, 5),
            "views": chance.randrange(50),
            "tags": tags,
            "favorite": chance.random() < 0.3,
        }
        names[name] = facts
        events += [replace(found, value={**found.value, "path": name}), trial.poster(number)]
        events += _opinions(number, facts)
    write_library(library, names)
    with Engine(trial.settings(folder, library=(library / "videos",)), shipped("templates")) as e:
        e.catalogue.append(events)
        e.refresh(trial.NOW)
        middle = next(v for v in e.catalogue.shown() if v.id == size // 2)
    name = middle.place.path
    tag = names[name]["tags"][0]
    old_home = {"old": "/", "cached": "/"}
    watch, tagged = f"/watch/{quote(name)}", f"/tag/{quote(tag)}"
    return {
        "home": {**old_home, "ours": "/"},
        "home_24": {"old": "/?limit=24", "cached": "/?limit=24", "ours": "/"},
        "watch": {"old": watch, "cached": watch, "ours": f"/{urls.watch_path_of(middle)}"},
        "favorites": {
            "old": "/favorites",
            "cached": "/favorites",
            "ours": f"/{urls.scope_path(FAVORITES)}",
        },
        "tag": {
            "old": tagged,
            "cached": tagged,
            "ours": f"/{urls.scope_path(Scope(ScopeKind.TAG, tag))}",
        },
    }


def _opinions(number: int, facts: dict[str, Any]) -> Iterator[Any]:
    found = trial.poster(number)

    def event(kind: EventKind, **value: object) -> Any:  # noqa: ANN401 (an event)
        return replace(found, id=f"{kind}-{number}", kind=kind, value=value)

    yield event(EventKind.RETAGGED, names=facts["tags"])
    if facts["stars"]:
        yield event(EventKind.RATED, stars=facts["stars"])
    if facts["views"]:
        yield event(EventKind.VIEWED, count=facts["views"])
    if facts["favorite"]:
        yield event(EventKind.FAVORITED)


def _latencies(
    page: str, addresses: dict[str, str], servers: dict[str, tuple[int, int]]
) -> dict[str, object]:
    """Return milliseconds, and what was read for a request; servers take turns."""
    times: dict[str, list[float]] = {name: [] for name in servers}
    read: dict[str, int] = {}
    sizes: dict[str, int] = {}
    with ExitStack() as stack:
        lines = {
            name: stack.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=_START_S)))
            for name, (port, _) in servers.items()
        }
        for name in servers:
            _ask(lines[name], addresses[name])  # the cache is warm, the connection open
        before = {name: _bytes_read(pid) for name, (_, pid) in servers.items()}
        cpu = {name: _cpu_ms(pid) for name, (_, pid) in servers.items()}
        for _ in range(TIMES):
            for name in servers:
                begun = time.perf_counter()
                sizes[name] = len(_ask(lines[name], addresses[name]))
                times[name].append((time.perf_counter() - begun) * 1000)
        for name, (_, pid) in servers.items():
            read[name] = (_bytes_read(pid) - before[name]) // TIMES
            cpu[name] = (_cpu_ms(pid) - cpu[name]) / TIMES
    ours = statistics.median(times["ours"])
    figures: dict[str, object] = {}
    for name in servers:
        p50 = statistics.median(times[name])
        figures[f"{page}_{name}_p50_ms"] = round(p50, 3)
        figures[f"{page}_{name}_p95_ms"] = round(statistics.quantiles(times[name], n=20)[-1], 3)
        figures[f"{page}_{name}_cpu_ms"] = round(cpu[name], 3)
        figures[f"{page}_{name}_bytes"] = sizes[name]
        figures[f"{page}_{name}_read_bytes"] = read[name]
        if name != "ours":
            figures[f"{page}_{name}_ratio"] = round(p50 / ours, 1)
            figures[f"{page}_{name}_cpu_ratio"] = round(cpu[name] / cpu["ours"], 1)
    return figures


def _ask(line: HTTPConnection, address: str) -> bytes:
    line.request("GET", address)
    answer = line.getresponse()
    content = answer.read()
    assert answer.status == 200, address
    return content


def _throughputs(
    page: str, addresses: dict[str, str], servers: dict[str, tuple[int, int]]
) -> dict[str, object]:
    rates = {
        name: _loaded(port, addresses[name], CONNECTIONS, ROUND_S)[0]
        for name, (port, _) in servers.items()
    }
    figures: dict[str, object] = {f"{page}_{n}_per_s": round(rate, 1) for n, rate in rates.items()}
    for name in _SERVERS[:2]:
        figures[f"{page}_{name}_per_s_ratio"] = round(
            rates["ours"] / max(rates[name], 1 / ROUND_S), 1
        )
    return figures


def _at_once(port: int, address: str) -> int:
    """Return how many connections, doubled each time, get 99 of 100 answers within the limit."""
    connections, reached = 1, 0
    while connections <= _MOST:
        rate, p99_ms = _loaded(port, address, connections, 1)
        if not rate or p99_ms > LIMIT_MS:
            break
        reached = connections
        connections *= 2
    return reached


def _loaded(port: int, address: str, connections: int, seconds: int) -> tuple[float, float]:
    """Return requests a second and p99 in milliseconds, by wrk."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "20s", "--latency"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{address}"], capture_output=True, text=True, check=True
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", done.stdout)
    assert rate is not None, done.stdout
    assert slow is not None, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    return float(rate[1]), float(slow[1]) * _UNITS[slow[2]]


def _memory(pid: int) -> dict[str, float]:
    """Return MiB of a process and its children: resident, and with shared pages divided."""
    totals = {"Rss": 0, "Pss": 0}
    for one in _family(pid):
        text = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
        for name in totals:
            amount = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
            totals[name] += int(amount[1]) if amount else 0
    return {f"{name.lower()}_mib": round(kib / 1024, 1) for name, kib in totals.items()}


def _bytes_read(pid: int) -> int:
    """Return what a process and its children read from files so far, from the page cache, too."""
    texts = (Path(f"/proc/{one}/io").read_text(encoding="ascii") for one in _family(pid))
    return sum(int(text.partition("rchar: ")[2].split()[0]) for text in texts)


def _cpu_ms(pid: int) -> float:
    """Return the processor time of a process and its children."""
    tasks = (task for one in _family(pid) for task in Path(f"/proc/{one}/task").iterdir())
    spent = (int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)
    return sum(spent) / 1e6


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *map(int, children)]


@contextmanager
def _old(library: Path, *options: str) -> Iterator[tuple[int, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.old_design", str(library), str(port), *options]
    with _running(command, port) as pid:
        yield port, pid


@contextmanager
def _nginx(folder: Path, library: Path) -> Iterator[tuple[int, int]]:
    port, place = _free_port(), folder / "nginx"
    place.mkdir()
    site = config(
        (shipped("deploy") / "nginx.conf").read_text(encoding="utf-8"),
        out=str(folder / "out"),
        roots={"": str(library)},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
    )
    (place / "site.conf").write_text(site, encoding="utf-8")
    scratch = "".join(
        f"{kind}_temp_path {place}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (place / "main.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; worker_processes 1;"
        f" pid {place}/pid; error_log {place}/error.log; events {{ worker_connections 4096; }}"
        f" http {{ {scratch} access_log off; include {place}/site.conf; }}",
        encoding="utf-8",
    )
    command = ["nginx", "-p", str(place), "-e", f"{place}/error.log", "-c", f"{place}/main.conf"]
    with _running(command, port) as pid:
        yield port, pid


@contextmanager
def _running(command: list[str], port: int) -> Iterator[int]:
    with subprocess.Popen(command) as server:
        try:
            end = time.monotonic() + _START_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    assert server.poll() is None, f"{command[0]} ended"
                    assert time.monotonic() < end, f"{command[0]} does not listen"
                    time.sleep(0.02)
            yield server.pid
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
