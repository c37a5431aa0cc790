"""Ratings through HTTP, 32 clients at once, each answered when it is on the disk; and the Lambda.

Beside them, in the same run and on the same disk: a bare SQLite loop that appends and folds as
many, commits them one by one, and is as durable.
"""

import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from api_lambda.credentials import new_token
from benchmarks import trial
from generator.adapters.catalogue import Catalogue

CLIENTS = 32
ROUNDS = 5
ROUND_S = 3
_TIMES = 5
_LOAD = """
local requests, number = {{}}, 0
init = function()
  for one = 1, 5000 do  -- made beforehand: the load is not to be what is measured
    local path = "/api/videos/" .. (one * 7919 % {videos} + 1) .. "/rating"
    requests[one] = wrk.format("PUT", path, {{["Content-Type"] = "application/json",
      ["Authorization"] = "Bearer {secret}"}}, '{{"stars":' .. (one % 5 + 1) .. '}}')
  end
end
request = function()
  number = number % 5000 + 1
  return requests[number]
end
done = function(summary, latency)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.timeout
  io.write(string.format("requests %d us %d wrong %d p50 %d p99 %d\\n", summary.requests,
    summary.duration, wrong, latency:percentile(50), latency:percentile(99)))
end
"""
_COLD = """
import json, sys, time
start = time.perf_counter()
from api_lambda.handler import handler
imported = time.perf_counter() - start
event = {"version": "2.0", "rawQueryString": "", "headers": {"host": "x"},
         "requestContext": {"http": {"method": "GET", "path": "/api/videos/1",
                                     "sourceIp": "192.0.2.1"}}, "isBase64Encoded": False}
assert handler(event, None)["statusCode"] == 200
memory = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print(json.dumps([imported * 1000, int(memory) / 1024]))
"""


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return writes a second, those of the bare loop, how long an answer takes, and the Lambda."""
    videos = videos or 10_000
    state = folder / "state"
    with Catalogue(state / "catalogue.db") as catalogue:
        trial.fill(catalogue, videos)
        made, secret = new_token("benchmark", trial.NOW)
        catalogue.tokens.add(made)
    shutil.copytree(state, folder / "bare")
    load = folder / "load.lua"
    load.write_text(_LOAD.format(videos=videos, secret=secret), encoding="utf-8")
    writes, bare, p50, p99 = [], [], [], []
    with (
        _served(state) as address,
        closing(sqlite3.connect(folder / "bare" / "catalogue.db", isolation_level=None)) as file,
    ):
        for number in range(ROUNDS):
            bare.append(_bare(file, videos, number))
            told = _loaded(address, load)
            writes.append(told["requests"] / told["us"] * 1e6)
            p50.append(told["p50"] / 1000)
            p99.append(told["p99"] / 1000)
    ratios = [ours / theirs for ours, theirs in zip(writes, bare, strict=True)]
    return {
        "writes_per_s": round(statistics.median(writes)),
        "bare_per_s": round(statistics.median(bare)),
        "ratio": round(statistics.median(ratios), 2),
        "p50_ms": round(statistics.median(p50), 2),
        "p99_ms": round(statistics.median(p99), 2),
        **_cold(state),
    }


@contextmanager
def _served(state: Path) -> Iterator[str]:
    """Run `reelshelf api` until the block ends, and lend its address."""
    command = Path(sys.executable).with_name("reelshelf")
    environment = {**os.environ, "REELSHELF_STATE": str(state)}
    with subprocess.Popen(
        [command, "api", "--port", "0", "--json"],
        env=environment,
        cwd=state,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["address"].removesuffix("/api")
        finally:
            server.terminate()


def _loaded(address: str, load: Path) -> dict[str, int]:
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{ROUND_S}", "-s", str(load), address]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = re.search(r"^requests .*$", done.stdout, re.MULTILINE)
    assert told is not None, done.stdout
    words = told[0].split()
    found = {name: int(count) for name, count in zip(words[::2], words[1::2], strict=True)}
    assert not found["wrong"], done.stdout
    return found


def _bare(file: sqlite3.Connection, videos: int, number: int) -> float:
    """Commit ratings one by one for a while; return how many a second."""
    file.execute("PRAGMA synchronous = FULL")
    start, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - start) < ROUND_S:
        video, key = count * 7919 % videos + 1, f"bare-{number}-{count}"
        file.execute("BEGIN IMMEDIATE")
        file.execute("INSERT OR REPLACE INTO rating VALUES (?, ?, ?)", (video, count % 5 + 1, 5))
        file.execute(
            "INSERT INTO event (id, kind, video, value, at, source) VALUES (?, ?, ?, ?, ?, ?)",
            (key, "Rated", video, '{"stars":4}', 5, "owner"),
        )
        file.execute("COMMIT")
        count += 1
    return count / taken


def _cold(state: Path) -> dict[str, object]:
    """Return what a new Lambda needs before and after its first answer."""
    environment = {**os.environ, "REELSHELF_STATE": str(state)}
    told = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", _COLD],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for _ in range(_TIMES)
    ]
    return {
        "handler_import_ms": round(statistics.median(one[0] for one in told)),
        "handler_memory_mb": round(statistics.median(one[1] for one in told)),
    }
