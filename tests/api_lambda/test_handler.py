"""The Lambda before SQS, under Amazon's runtime client: secrets in SSM, a queue that is away."""

import asyncio
import base64
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from asking import Asker, Tray
from cloud import Aws, aws_server
from runtime import Runtime, event_of, lambda_running

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import digest
from api_lambda.owner_secrets import EnvSecrets, key_ring
from generator.core.errors import QueueError

OWNERS = ("rs_the-token-of-the-owner", "rs_the-token-after-it")
SECRET = "5e" * 32
NAME = "/reelshelf/films/api"
FAR = ("192.0.2.7", 5000)


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as running:
        yield running


@pytest.fixture
def ssm(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    aws.reset()
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    with closing(boto3.client("ssm")) as client:
        yield client


def put(ssm: Any, secret: str, value: object = None) -> None:  # noqa: ANN401 (boto3 has no types)
    told = {"digests": [digest(secret)], "secret": SECRET} if value is None else value
    ssm.put_parameter(Name=NAME, Value=json.dumps(told), Type="SecureString", Overwrite=True)


def test_secrets_come_from_a_parameter_and_again_after_five_minutes(
    ssm: Any,  # noqa: ANN401 (as above)
    tmp_path: Path,
) -> None:
    put(ssm, OWNERS[0])
    now = 1000.0
    config = ApiConfig(tmp_path, secrets=EnvSecrets(parameter=NAME), clock=lambda: now)
    app = create_app(config, Tray())

    def statuses() -> list[int]:
        return [
            Asker(app, FAR)(
                "GET", "/api/session", headers={"authorization": f"Bearer {one}"}
            ).status
            for one in OWNERS
        ]

    assert statuses() == [200, 401]
    put(ssm, OWNERS[1])
    assert statuses() == [200, 401]
    now += 301
    assert statuses() == [401, 200]
    ssm.delete_parameter(Name=NAME)
    now += 301
    assert statuses() == [401, 200]  # the last ones are better than none
    app.state.close()


@pytest.mark.parametrize("value", [[], {"digests": []}, {"digests": ["x"], "secret": SECRET}, 5])
def test_a_parameter_that_makes_no_sense_is_told_without_what_it_says(
    ssm: Any,  # noqa: ANN401 (as above)
    value: object,
) -> None:
    put(ssm, OWNERS[0], value)
    ring = key_ring(EnvSecrets(parameter=NAME), None)

    with pytest.raises(QueueError, match="makes no sense") as caught:
        asyncio.run(ring.refresh(5.0))
    assert SECRET not in str(caught.value)


def test_a_parameter_that_is_missing_lets_nobody_in_until_it_is_there(
    ssm: Any,  # noqa: ANN401 (as above)
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_app(ApiConfig(tmp_path, secrets=EnvSecrets(parameter=NAME)), Tray())
    asker = Asker(app, FAR)

    with caplog.at_level(logging.WARNING):
        early = asker("GET", "/api/session")
    put(ssm, OWNERS[0])
    later = asker("GET", "/api/session")
    app.state.close()

    assert (early.status, later.status) == (503, 200)
    assert NAME in caplog.text
    assert NAME not in early.json["detail"]  # that is for us to know


def call(runtime: Runtime, method: str, path: str, **headers: str) -> tuple[int, Any]:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = runtime.call(event_of(method, path, {"Host": "x.example.org", **told}, b""))
    assert not answer["failed"], answer
    body = answer["body"]
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body
    return answer["statusCode"], json.loads(content)


def test_what_the_lambda_accepts_is_in_the_queue_and_a_queue_that_is_gone_is_told(
    aws: Aws,
    ssm: Any,  # noqa: ANN401 (as above)
    tmp_path: Path,
) -> None:
    put(ssm, OWNERS[0])
    with closing(boto3.client("sqs")) as sqs:
        queue = sqs.create_queue(QueueName="events")["QueueUrl"]
        settings = {
            **aws.environment,
            "REELSHELF_QUEUE": queue,
            "REELSHELF_SECRETS": NAME,
            "REELSHELF_ORIGIN_SECRETS": "only-the-cdn-knows",
        }
        owner = {
            "authorization": f"Bearer {OWNERS[0]}",
            "x_origin_verify": "only-the-cdn-knows",
            "idempotency_key": "key-00000001",
        }
        with lambda_running(tmp_path / "nowhere", **settings) as runtime:
            bare, _ = call(runtime, "PUT", "/api/videos/3/favorite")
            done, body = call(runtime, "PUT", "/api/videos/3/favorite", **owner)
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
            sqs.delete_queue(QueueUrl=queue)
            away, why = call(runtime, "PUT", "/api/videos/3/favorite", **owner)

    assert (bare, done, away) == (403, 202, 503)
    assert body["event"] == "key-00000001" == json.loads(messages[0]["Body"])["id"]
    assert len(messages) == 1
    assert why["title"] == "Service Unavailable"
    assert queue not in why["detail"]
    assert not (tmp_path / "nowhere").exists()
