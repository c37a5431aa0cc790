"""One API: through nginx and uvicorn, and as a Lambda, the same requests get the same answers."""

import base64
import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
import pytest
from asking import LIMIT_S, fill, serving, until
from cloud import KEYS, Aws, aws_server
from paths import NGINX_TEMPLATE
from runtime import Runtime, event_of, lambda_running

from api_lambda.credentials import digest, kept_secret, new_token
from generator.adapters.catalogue import Catalogue
from generator.core.delivery.nginx import config
from generator.core.model import Event, EventKind

TEMPLATE = NGINX_TEMPLATE.read_text(encoding="utf-8")
BASE = "/films"
PLACE = {"root": "", "path": "50%25%20of%20%FF.mp4"}
SETTINGS = {
    "REELSHELF_SITE_URL": f"https://videos.example.org{BASE}",
    "REELSHELF_VISITORS_MAY": "view:rate:favorite",
}
REQUEST_ID = re.compile(rb'"request_id":"[0-9a-f]{32}"')  # each has its own
MATTER = {"content-type", "cache-control", "allow", "retry-after", "www-authenticate", "set-cookie"}
SESSION_END = re.compile(r"(?<=\|)[0-9]{10}\|[0-9a-f]{12}\.[^;]+")
AT = re.compile(rb'"at":"[^"]+"')


@dataclass(frozen=True)
class Sent:
    method: str
    path: str
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()


Told = tuple[int, list[tuple[str, str]], bytes]


def requests(secret: str) -> list[Sent]:
    owner = {"Authorization": f"Bearer {secret}"}
    json_ = {"Content-Type": "application/json"}
    video = "/api/videos/3"
    cross = {"Sec-Fetch-Site": "cross-site"}
    return [
        Sent("PUT", f"{video}/rating", {"stars": 4}, json_ | owner),
        Sent("PUT", f"{video}/rating", {"stars": 2}, json_),
        Sent("PUT", f"{video}/favorite", None, owner),
        Sent("POST", f"{video}/views"),
        Sent("POST", f"{video}/views", {"visit": "visit-of-one"}, json_),
        Sent(
            "PUT", f"{video}/tags", {"tags": ["Ærø", "日本", "a/b", "50%", 'q"\\']}, json_ | owner
        ),
        Sent("DELETE", f"{video}/tags/a%2Fb", None, owner),
        Sent("DELETE", f"{video}/tags/%E6%97%A5%E6%9C%AC", None, owner),
        Sent("DELETE", f"{video}/tags/50%25", None, owner),
        Sent("DELETE", f"{video}/tags/%FF%FE", None, owner),
        Sent("POST", "/api/rebuild", {"full": True}, json_ | owner),
        Sent("DELETE", f"{video}/rating", None, owner),
        Sent("GET", video, None, owner),
        Sent("GET", "/api/changes?since=100"),
        Sent("GET", "/api/changes?since=x%20%C3%A9"),
        Sent("GET", "/api/random?tag=%C3%A6r%C3%B8"),
        Sent("GET", "/api/health"),
        Sent("GET", "/api/session", None, owner),
        Sent("GET", "/api/openapi.json"),
        Sent("GET", "/api/receipts/key-00000000"),
        Sent("GET", "/api/receipts/none-at-all"),
        Sent("GET", "/api/nothing/%E2%82%AC"),
        Sent("GET", "/api/videos/99"),
        Sent("PATCH", f"{video}/rating"),
        Sent("PUT", f"{video}/tags", {"tags": ["x"]}, json_),
        Sent("PUT", f"{video}/rating", {"stars": 3}, json_ | cross),
        Sent("PUT", f"{video}/rating", {"stars": 9, "ö": 1}, json_),
        Sent("PUT", f"{video}/rating", b'{"stars": 4', json_),
        Sent("PUT", f"{video}/rating", b"\xff\xfe", json_),
        Sent("PUT", f"{video}/rating", b"stars=4", {"Content-Type": "text/plain"}),
        Sent("PUT", f"{video}/rating", b" " * 16385, json_),
        Sent("GET", video, None, {"Authorization": "Bearer nonsense"}),
        Sent("POST", "/api/session", {"token": "nonsense"}, json_),
        Sent("DELETE", "/api/session"),
        Sent("GET", "/api/problems", None, owner),
        Sent("GET", "/api/problems?after=_w", None, owner),
        Sent("GET", "/api/problems?after=%C3%A6", None, owner),
        Sent("GET", "/api/problems"),
        Sent("POST", "/api/problems/retry", {"places": [PLACE]}, json_ | owner),
        Sent("POST", "/api/problems/retry", {"all": True}, json_ | owner),
        Sent("POST", "/api/problems/retry", {"all": True}, json_),
        Sent("POST", "/api/problems/retry", {"places": []}, json_ | owner),
        Sent("GET", "/api/problems", None, owner),
    ]


def with_keys(sent: list[Sent]) -> list[Sent]:
    """Give every write the id of its event, so that it is the same on both sides."""
    return [
        Sent(one.method, one.path, one.body, one.headers | {"Idempotency-Key": f"key-{number:08}"})
        for number, one in enumerate(sent)
    ]


def by_nginx(port: int, sent: list[Sent]) -> list[Told]:
    responses = []
    for request in sent:
        with closing(HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as connection:
            headers = {"Host": "videos.example.org", **request.headers}
            connection.request(
                request.method, BASE + request.path, request.content or None, headers
            )
            with connection.getresponse() as answer:
                responses.append((answer.status, answer.getheaders(), answer.read()))
    return [
        (status, matter(headers, body), REQUEST_ID.sub(b'"request_id":""', body))
        for status, headers, body in responses
    ]


def by_lambda(runtime: Runtime, sent: list[Sent]) -> list[Told]:
    responses: list[Told] = []
    for one in sent:
        headers = {"Host": "videos.example.org", **one.headers}
        answer = runtime.call(event_of(one.method, one.path, headers, one.content))
        assert not answer["failed"], answer
        pairs = [
            *answer["headers"].items(),
            *(("set-cookie", c) for c in answer.get("cookies", ())),
        ]
        body = answer.get("body", "")
        content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
        shown = REQUEST_ID.sub(b'"request_id":""', content)
        responses.append((answer["statusCode"], matter(pairs, content), shown))
    return responses


def matter(headers: list[tuple[str, str]], body: bytes) -> list[tuple[str, str]]:
    """Return the headers that matter; API Gateway gives a type to nothing, too."""
    names = MATTER if body else MATTER - {"content-type"}
    return sorted((name.lower(), value) for name, value in headers if name.lower() in names)


@contextmanager
def nginx_running(nginx: str, folder: Path, port: int, api: str, *others: str) -> Iterator[None]:
    """Run nginx before an API, and others that it shares requests out among."""
    (folder / "site").mkdir(parents=True)
    site = config(
        TEMPLATE, out=str(folder / "site"), roots={}, listen=f"127.0.0.1:{port}",
        server_name="_", base=BASE, api=api,
    )  # fmt: skip
    for other in others:  # as docs/howto/several-machines.md says
        site = site.replace("    keepalive 16;", f"    server {other};\n    keepalive 16;", 1)
    scratch = "".join(
        f'{kind}_temp_path "{folder}/{kind}";'
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    main = folder / "main.conf"
    main.write_text(
        f'{user} daemon off; worker_processes 1; pid "{folder}/pid"; error_log "{folder}/log";'
        f"events {{}} http {{ access_log off; {scratch} {site} }}",
        encoding="utf-8",
    )
    with subprocess.Popen([nginx, "-p", str(folder), "-c", str(main)]) as server:
        try:
            until(lambda: answers(port))
            yield
        finally:
            server.terminate()


def answers(port: int) -> bool:
    try:
        return by_nginx(port, [Sent("GET", "/api/health")]) != []
    except OSError:
        return False


@pytest.mark.system("nginx")
def test_nginx_with_uvicorn_and_a_lambda_answer_the_same_to_the_byte(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    state, twin, later = (tmp_path / name for name in ("state", "twin", "later"))
    fill(state)
    kept_secret(state)
    value = {"root": "", "size_bytes": 0, "mtime_ns": 0, "stage": "probe", "reason": "is empty"}
    with Catalogue(state / "catalogue.db") as catalogue:
        made, secret = new_token("one", 5)
        catalogue.tokens.add(made)
        catalogue.append(
            Event(ascii(path), EventKind.FILE_REFUSED, 5, "test", None, value | {"path": path})
            for path in ("50% of \udcff.mp4", "æ & ø.mp4")
        )
    shutil.copytree(state, twin)
    sent, port, socket = with_keys(requests(secret)), free_port(), tmp_path / "api.sock"

    with (
        serving(state, "--socket", str(socket), **SETTINGS),
        nginx_running(program("nginx"), tmp_path / "nginx", port, f"unix:{socket}"),
    ):
        first = by_nginx(port, sent)
        with lambda_running(twin, **SETTINGS) as runtime:
            first_of_lambda = by_lambda(runtime, sent)
        with Catalogue(state / "catalogue.db") as catalogue:
            later.mkdir()
            catalogue._connection.execute("VACUUM INTO ?", (str(later / "catalogue.db"),))  # noqa: SLF001
        shutil.copy(state / "api-secret", later)
        again = by_nginx(port, sent)
        with lambda_running(later, **SETTINGS) as runtime:
            again_of_lambda = by_lambda(runtime, sent)

    for request, here, there in zip(sent, first, first_of_lambda, strict=True):
        assert without_time(here) == without_time(there), request
    for request, here, there in zip(sent, again, again_of_lambda, strict=True):
        assert here == there, request  # the times too, for these events were told before
    assert [status for status, *_ in first[:12]] == [200] * 10 + [202, 200]
    assert {status for status, *_ in first} == {
        200, 202, 204, 400, 401, 403, 404, 405, 413, 415, 422,
    }  # fmt: skip


def afar(secret: str) -> list[Sent]:
    """Return what an API before a queue is asked, and what only one beside a catalogue knows."""
    nobody = {"Authorization": f"Bearer {secret}", "Reelshelf-As": "owner"}
    signed_out = {"Reelshelf-As": "owner"}
    json_ = {"Content-Type": "application/json"}
    return [
        *requests(secret),
        Sent("DELETE", "/api/videos/3/tags", None, nobody),
        Sent("DELETE", "/api/videos/3/favorite", None, signed_out),
        Sent("POST", "/api/session", {"token": secret}, json_),
        Sent("GET", "/api/videos/99999999999999999999"),
    ]


@pytest.mark.system("nginx")
def test_before_a_queue_both_answer_the_same_too_and_send_the_same(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    port, socket, nowhere = free_port(), tmp_path / "api.sock", tmp_path / "nowhere"
    secret = "rs_the-token-of-the-owner"
    with aws_server() as aws:
        queues = [new_queue(aws, name) for name in ("home", "lambda")]
        settings = [
            {
                **SETTINGS,
                **aws.environment,
                "REELSHELF_QUEUE": queue,
                "REELSHELF_SECRET": "5e" * 32,
                "REELSHELF_OWNER_DIGESTS": digest(secret),
            }
            for queue in queues
        ]
        sent = with_keys(afar(secret))
        with (
            serving(nowhere, "--socket", str(socket), **settings[0]),
            nginx_running(program("nginx"), tmp_path / "nginx", port, f"unix:{socket}"),
        ):
            at_home = by_nginx(port, sent)
        with lambda_running(nowhere, **settings[1]) as runtime:
            on_lambda = by_lambda(runtime, sent)
        letters = [sorted(letters_in(aws, queue)) for queue in queues]

    for one, here, there in zip(sent, at_home, on_lambda, strict=True):
        assert without_end(without_time(here)) == without_end(without_time(there)), one
    assert letters[0] == letters[1]
    assert len(letters[0]) == [status for status, *_ in at_home].count(202) == 13
    assert {status for status, *_ in at_home} == {
        200, 202, 204, 400, 401, 403, 404, 405, 413, 415, 422, 501,
    }  # fmt: skip
    assert not nowhere.exists()


def without_end(told: Told) -> Told:
    """Leave out when a session ends, its number, and the signature that covers them."""
    status, headers, body = told
    return status, [(name, SESSION_END.sub("", value)) for name, value in headers], body


def new_queue(aws: Aws, name: str) -> str:
    with closing(client(aws)) as sqs:
        return str(sqs.create_queue(QueueName=name)["QueueUrl"])


def letters_in(aws: Aws, queue: str) -> Iterator[str]:
    """Yield what is in a queue, but for when it was told."""
    with closing(client(aws)) as sqs:
        while some := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in some:
                told = {**json.loads(message["Body"]), "at": 0, "occurred_at_us": 0}
                yield json.dumps(told)
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def client(aws: Aws) -> Any:  # noqa: ANN401 (boto3 has no types)
    return boto3.client(
        "sqs",
        endpoint_url=aws.address,
        region_name=KEYS["AWS_DEFAULT_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def without_time(told: Told) -> Told:
    status, headers, body = told
    return status, headers, AT.sub(b'"at":""', body)


@pytest.mark.system("nginx")
def test_nginx_without_an_api_behind_it_says_so_as_the_api_would(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    port = free_port()

    with nginx_running(program("nginx"), tmp_path / "nginx", port, f"unix:{tmp_path}/nobody.sock"):
        ((status, headers, body),) = by_nginx(port, [Sent("PUT", "/api/videos/3/favorite")])

    assert status == 503
    assert headers == [
        ("cache-control", "no-store"),
        ("content-type", "application/problem+json"),
        ("retry-after", "5"),
    ]
    assert json.loads(body)["detail"] == "the API is unavailable; retry with the same id"
