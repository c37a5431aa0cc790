"""Engines that the tests start on loopback: moto's server in place of AWS, and a real Redis."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_until_open(port: int, child: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if child.poll() is not None:
            raise AssertionError(f"the server ended with {child.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("the server does not listen")


@dataclass(frozen=True, slots=True)
class Aws:
    """What stands for AWS: `address` is for every service; `environment` leads clients there."""

    address: str

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.address}

    def reset(self) -> None:
        request = urllib.request.Request(f"{self.address}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass


_resting: list[tuple[subprocess.Popen[bytes], Aws]] = []  # begun, and lent to nobody


@contextmanager
def aws_server() -> Iterator[Aws]:
    """Lend moto's server, in a process of its own: empty, though it may have served others."""
    child, aws = _server()
    try:
        yield aws
    except BaseException:
        child.kill()
        raise
    finally:
        _resting.append((child, aws))


def _server() -> tuple[subprocess.Popen[bytes], Aws]:
    """Return one that rests, for to begin one takes a second of the processor, or a new one."""
    while _resting:
        child, aws = _resting.pop()
        if child.poll() is None:
            with suppress(OSError):
                aws.reset()
                return child, aws
        _end(child)
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("moto_server.py"), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **KEYS},
    )
    try:
        wait_until_open(port, child)
    except BaseException:
        _end(child)
        raise
    return child, Aws(f"http://127.0.0.1:{port}")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


@atexit.register
def end_resting() -> None:
    """End the servers that are lent to nobody."""
    while _resting:
        _end(_resting.pop()[0])


class Redis:
    """A Redis that can be killed and started again over the same append-only file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._child = subprocess.Popen(
            [
                shutil.which("redis-server") or "redis-server",
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_open(self.port, self._child)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """Lend a Redis that keeps every write at once."""
    redis = Redis(folder)
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()
