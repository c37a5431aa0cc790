"""The catalogue backed up continuously by Litestream, as the how-to says, and restored."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cloud import aws_server

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId

LIMIT_S = 60.0


@pytest.fixture
def litestream() -> str:
    beside = Path(sys.executable).parent / "litestream"
    program = str(beside) if beside.is_file() else shutil.which("litestream")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("litestream is not installed, and under CI=true every test runs")
        pytest.skip("litestream is not installed")
    return program


@contextmanager
def replicating(
    litestream: str, config: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [litestream, "replicate", "-config", str(config)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def restored(
    litestream: str, config: Path, environment: Mapping[str, str], database: Path
) -> dict[str, int]:
    """Restore into a file beside, have it checked, and count what is in it."""
    target = config.parent / "restored.db"
    for rest in config.parent.glob("restored.db*"):
        rest.unlink()
    done = subprocess.run(
        [
            *(litestream, "restore", "-config", str(config), "-integrity-check", "full"),
            *("-o", str(target), str(database)),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        return {}
    with sqlite3.connect(target) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Catalogue(target) as catalogue:
        return catalogue.counts()


@pytest.mark.parametrize("where", ["file", "s3"])
def test_what_was_recorded_a_moment_ago_is_in_the_replica_after_a_kill(
    tmp_path: Path, litestream: str, where: str
) -> None:
    database = tmp_path / "state" / "catalogue.db"
    with aws_server() as aws:
        environment = {**os.environ, **aws.environment}
        environment.pop("AWS_CA_BUNDLE", None)  # Litestream 0.5.17 cannot begin with it
        replica = {"type": "file", "path": str(tmp_path / "replica")}
        if where == "s3":
            made_bucket(aws.address)
            replica = {
                "type": "s3",
                "bucket": "backup",
                "path": "catalogue",
                "region": "eu-central-1",
                "endpoint": aws.address,
                "force-path-style": "true",
            }
        config = tmp_path / "litestream.yml"
        lines = [f"      {name}: {value}" for name, value in replica.items()]
        config.write_text(
            "\n".join(["dbs:", f"  - path: {database}", "    replica:", *lines, ""]),
            encoding="utf-8",
        )
        with Catalogue(database) as catalogue:
            trial.fill(catalogue, 50)
            with replicating(litestream, config, environment) as child:
                views = [
                    Event(f"view-{n}", EventKind.VIEWED, trial.NOW, "visitor", VideoId(1))
                    for n in range(100)
                ]
                for one in views:
                    catalogue.append([one])
                expected = catalogue.counts()
                end_s = time.monotonic() + LIMIT_S
                while restored(litestream, config, environment, database) != expected:
                    assert time.monotonic() < end_s
                child.send_signal(signal.SIGKILL)

        assert restored(litestream, config, environment, database) == expected


def made_bucket(address: str) -> None:
    import boto3  # noqa: PLC0415 (a second)

    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    where = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket="backup", CreateBucketConfiguration=where)
    client.close()
