"""Publishing a site of so many objects: fresh, with nothing changed, and with ten pages changed.

The store is moto's server in a process of its own; it is what takes most of the time, so requests
and bytes count for more than seconds. Requests are counted by the server's own log, of everyone
alike. With `--aws PATH` the same is done by `aws s3 sync` into another bucket of the same server;
its seconds hold the start of the program, which is told, too.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from benchmarks import trial
from generator.adapters.output import digest_of
from generator.adapters.s3.bucket import Bucket
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import OutPath, Video
from generator.core.site import urls
from generator.publish import Publisher

OBJECTS = 20_000
A_VIDEO = 5.3  # objects that a video brings: a page, three stills, and its share of shelves
CHANGED = 10  # pages
_STILL = 4_000  # bytes
_LINE = re.compile(r'"(?:\x1b\[[0-9;]*m)*(GET|HEAD|PUT|POST|DELETE) /([a-z]+)(\S*) HTTP')
_SENT = re.compile(r"upload: (.+) to s3://")
_KEYS = {
    "AWS_ACCESS_KEY_ID": "trial",
    "AWS_SECRET_ACCESS_KEY": "trial",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def run(objects: int | None, folder: Path, *, aws: str = "") -> dict[str, object]:
    """Return the figures; `aws` is the path of the AWS command line, "" to leave it out."""
    site = trial.settings(folder, bucket="ours", publish_media=False)
    with store(folder) as (address, log), Engine(site, shipped("templates")) as engine:
        os.environ.update({**_KEYS, "AWS_ENDPOINT_URL": address})
        for name in ("ours", "theirs"):
            _create(name)
        prepare(engine, round((objects or OBJECTS) / A_VIDEO))
        count = sum(1 for _ in engine.output.files())
        figures: dict[str, object] = {"objects": count}
        publisher = Publisher(engine, Bucket("ours"))
        rounds: dict[str, Callable[[], None]] = {
            "fresh": lambda: None,
            "unchanged": lambda: None,
            "changed": lambda: change(engine, CHANGED),
        }
        for name, before in rounds.items():
            before()
            figures[name] = measure(log, "ours", lambda: publisher.publish().bytes)
            if aws:
                figures[f"{name}_aws_sync"] = measure(log, "theirs", lambda: sync(aws, site))
        if aws:
            start = time.perf_counter()
            subprocess.run([aws, "--version"], check=True, capture_output=True)
            figures["aws_start_s"] = round(time.perf_counter() - start, 2)
    return figures


def prepare(engine: Engine, videos: int) -> None:
    """Build a site of so many videos, with a file for each still."""
    trial.fill(engine.catalogue, videos)
    engine.refresh(trial.NOW)
    for video in engine.catalogue.shown():
        for still in _stills(video):
            engine.output.write(still, still.encode().ljust(_STILL, b"."), owned=True)


def change(engine: Engine, pages: int) -> None:
    """Change so many pages, as a build would have left them."""
    paths = engine.ledger.paths_like("watch/")[:pages]
    rows = []
    for path in paths:
        row, content = engine.ledger.page(path), engine.output.read(path)
        assert row is not None
        assert content is not None
        content += b"<!-- another -->\n"
        engine.output.write(path, content, owned=True)
        rows.append(replace(row, digest=digest_of(content), size=len(content)))
    with engine.ledger.transaction():
        engine.ledger.put_pages(rows)


def sync(aws: str, site: Settings) -> int:
    """Let the AWS command line do it; return how many bytes it put."""
    command = [aws, "s3", "sync", ".", "s3://theirs", "--delete", "--exclude", ".*"]
    done = subprocess.run(
        [*command, "--no-progress"], check=True, capture_output=True, text=True, cwd=site.out
    )
    sent = _SENT.findall(done.stdout)
    return sum((site.out / path).stat().st_size for path in sent)


def measure(log: Path, bucket: str, act: Callable[[], int]) -> dict[str, object]:
    """Return requests, bytes and seconds of something that returns how many bytes it put."""
    offset = log.stat().st_size
    start = time.perf_counter()
    size = act()
    seconds = time.perf_counter() - start
    with log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(offset)
        found = [one for one in map(_LINE.search, lines) if one and one[2] == bucket]
    kinds = Counter(one[1] if "list-type" not in one[3] else "LIST" for one in found)
    return {
        "requests": sum(kinds.values()),
        "of": dict(sorted(kinds.items())),
        "bytes": size,
        "seconds": round(seconds, 2),
    }


@contextmanager
def store(folder: Path) -> Iterator[tuple[str, Path]]:
    """Lend moto's server: its address, and the file in which it notes every request."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "requests.log"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=lines, env={**os.environ, **_KEYS}
        ) as child,
    ):
        try:
            _wait(port, child)
            yield f"http://127.0.0.1:{port}", log
        finally:
            child.kill()


def _wait(port: int, child: "subprocess.Popen[bytes]") -> None:
    for _ in range(3000):
        assert child.poll() is None, "the server ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("the server does not listen")


def _create(name: str) -> None:
    import boto3.session  # noqa: PLC0415 (for this benchmark alone)

    where = {"LocationConstraint": _KEYS["AWS_DEFAULT_REGION"]}
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket=name, CreateBucketConfiguration=where)


def _stills(video: Video) -> tuple[OutPath, ...]:
    return urls.still_files(video.id, video.poster) if video.poster else ()
