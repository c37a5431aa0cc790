import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from cloud import KEYS, Aws, aws_server
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.adapters.s3 import bucket as bucket_module
from generator.adapters.s3.bucket import (
    ABSENT,
    ANY,
    IN_PARTS_FROM,
    Bucket,
    InvalidKeyError,
    ObjectRefusedError,
    PreconditionFailedError,
    StoredObject,
    check_key,
    part_bytes,
)
from generator.adapters.s3.cloudfront import Distribution
from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import PublishError

PAGE = ObjectHeaders("text/html; charset=utf-8", "public, max-age=0", "", "ab" * 16, "7@c")
MIB = 1 << 20


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as server:
        yield server


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the environment lead nowhere but where a test says."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def bucket(aws: Aws, away: pytest.MonkeyPatch) -> Bucket:
    """Return an empty bucket."""
    aws.reset()
    away.setenv("AWS_ENDPOINT_URL", aws.address)
    create("films")
    return Bucket("films")


def create(name: str, *, versioned: bool = False) -> None:
    client = boto3.session.Session().client("s3")
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    if versioned:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def when(bucket: Bucket, event: str, act: Callable[..., None]) -> None:
    bucket._client.meta.events.register(event, act)  # noqa: SLF001 (there is no other way in)


class Noted(dict[str, str]):
    """What remembers uploads, in a test."""

    def set(self, key: str, upload_id: str) -> None:
        self[key] = upload_id

    def drop(self, key: str) -> None:
        self.pop(key, None)


# -- one object


def test_what_was_put_is_there_with_all_that_was_told_of_it(bucket: Bucket) -> None:
    stored = bucket.put("a/b.html", b"<p>", PAGE, ABSENT)

    assert bucket.get("a/b.html") == (b"<p>", stored)
    assert bucket.head("a/b.html") == stored
    assert (stored.digest, stored.cursor, stored.size_bytes) == (PAGE.digest, PAGE.cursor, 3)
    assert list(bucket.listed()) == [StoredObject("a/b.html", stored.etag, 3)]
    told = boto3.session.Session().client("s3").head_object(Bucket="films", Key="a/b.html")
    assert (told["ContentType"], told["CacheControl"]) == (PAGE.content_type, PAGE.cache_control)
    assert "ContentEncoding" not in told


def test_what_was_never_put_is_not_there(bucket: Bucket) -> None:
    assert bucket.head("no") is None
    assert bucket.get("no") is None
    bucket.delete("no")
    bucket.delete("no", "0" * 32)


def test_compressed_bytes_stay_compressed(bucket: Bucket) -> None:
    headers = ObjectHeaders("text/html", "no-cache", "gzip")
    stored = bucket.put("a", b"\x1f\x8bnot really", headers)

    found = bucket.get("a")

    assert found == (b"\x1f\x8bnot really", stored)


def test_an_etag_has_no_quotes_wherever_it_comes_from(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    etags = {
        bucket.put("a", b"x", PAGE).etag,
        bucket.put_file("a", tmp_path / "f", PAGE, ANY, Noted()).etag,
        *(one.etag for one in bucket.listed()),
    }
    head, got = bucket.head("a"), bucket.get("a")
    assert head is not None
    assert got is not None

    assert etags | {head.etag, got[1].etag} == {hashlib.md5(b"x").hexdigest()}


@pytest.mark.parametrize("quoted", ["{}", '"{}"', 'W/"{}"'])
def test_an_etag_counts_however_it_is_quoted(bucket: Bucket, quoted: str) -> None:
    etag = bucket.put("a", b"1", PAGE).etag

    assert bucket.put("a", b"2", PAGE, quoted.format(etag)).etag != etag


def test_who_comes_late_overwrites_nothing(bucket: Bucket) -> None:
    old = bucket.put("a", b"old", PAGE, ABSENT)
    new = bucket.put("a", b"new", PAGE, old.etag)

    for late in (old.etag, ABSENT):
        with pytest.raises(PreconditionFailedError):
            bucket.put("a", b"late", PAGE, late)
    with pytest.raises(PreconditionFailedError):
        bucket.delete("a", old.etag)
    assert bucket.get("a") == (b"new", new)
    bucket.delete("a", new.etag)
    assert bucket.head("a") is None
    with pytest.raises(PreconditionFailedError):
        bucket.put("a", b"late", PAGE, new.etag)  # to what is gone


def test_of_many_at_once_one_puts_what_was_not_there(bucket: Bucket) -> None:
    def put(number: int) -> bool:
        with suppress(PreconditionFailedError):
            bucket.put("one", str(number).encode(), PAGE, ABSENT)
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(8))) == 1
    assert bucket.requests["PutObject"] == 8


KEYS_OF_ANY_KIND = st.text(  # moto's server is deaf to names with line breaks
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"), min_size=1, max_size=60
).filter(lambda key: not any(part in {"", ".", ".."} for part in key.split("/")))


@settings(
    max_examples=examples(8, thorough=25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(key=KEYS_OF_ANY_KIND)
def test_every_name_that_is_text_comes_back_as_it_went(bucket: Bucket, key: str) -> None:
    bucket.put(key, b"x", PAGE)

    head = bucket.head(key)
    assert head is not None
    assert head.key == key
    assert [one.key for one in bucket.listed()] == [key]
    bucket.delete(key, head.etag)
    assert bucket.head(key) is None


@pytest.mark.parametrize("key", ["a b.mp4", "a+b.mp4", "Ä/日本 %20?#&.mp4", "e\u0301.mp4", "é.mp4"])
def test_names_that_are_escaped_in_addresses_are_keys_as_they_stand(
    bucket: Bucket, key: str
) -> None:
    bucket.put(key, b"x", PAGE)

    assert [one.key for one in bucket.listed()] == [key]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (os.fsdecode(b"video/caf\xe9.mp4"), "not UTF-8"),
        (os.fsdecode(b"a\x1b[1m\n\xff.mp4"), "not UTF-8"),
        ("ä" * 513, "1026 bytes"),
        ("", "0 bytes"),
    ],
)
def test_a_name_that_no_object_can_have_is_refused_and_shown(
    bucket: Bucket, tmp_path: Path, key: str, why: str
) -> None:
    (tmp_path / "f").write_bytes(b"x")

    with pytest.raises(InvalidKeyError, match=why) as caught:
        bucket.put_file(key, tmp_path / "f", PAGE, ANY, Noted())
    assert str(caught.value).isprintable()
    assert caught.value.hint
    assert not bucket.requests
    check_key("ä" * 512)


# -- large files


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Return a file of three parts."""
    file = tmp_path / "film.mp4"
    file.write_bytes(os.urandom(MIB) * 20)
    return file


@given(size=st.integers(IN_PARTS_FROM, 5 << 40))
def test_parts_are_as_many_and_as_long_as_s3_takes(size: int) -> None:
    length = part_bytes(size)
    count = -(-size // length)

    assert count <= 10_000
    assert 8 * MIB <= length <= 5 << 30


def test_a_large_file_goes_up_in_parts(bucket: Bucket, film: Path) -> None:
    parts = Noted()

    stored = bucket.put_file("video/film.mp4", film, PAGE, ABSENT, parts)

    uploaded = bucket.get("video/film.mp4")
    assert uploaded is not None
    assert uploaded[0] == film.read_bytes()
    assert uploaded[1] == stored
    assert stored.etag.endswith("-3")
    assert bucket.requests["UploadPart"] == 3
    assert parts == {}


def test_an_upload_that_was_cut_off_goes_on_where_it_was(bucket: Bucket, film: Path) -> None:
    parts = Noted()
    cut_off(bucket, film, parts, after=2)
    again = Bucket("films")

    again.put_file("film", film, PAGE, ANY, parts)

    assert again.requests["UploadPart"] == 1
    found = again.get("film")
    assert found is not None
    assert found[0] == film.read_bytes()
    assert parts == {}
    assert again.abort_uploads(0) == 0


def cut_off(bucket: Bucket, film: Path, parts: Noted, after: int) -> None:
    """Put a file, and lose the network after so many parts."""
    sent = []

    def fail(request: object, **_: object) -> None:
        sent.append(request)
        if len(sent) > after:
            raise PublishError("the network went away")

    when(bucket, "before-send.s3.UploadPart", fail)
    with pytest.raises(PublishError, match="went away"):
        bucket.put_file("film", film, PAGE, ANY, parts)
    bucket._client.meta.events.unregister("before-send.s3.UploadPart", fail)  # noqa: SLF001


def test_parts_of_another_content_are_sent_again(bucket: Bucket, film: Path) -> None:
    parts = Noted()
    cut_off(bucket, film, parts, after=2)
    film.write_bytes(film.read_bytes()[: 8 * MIB] + os.urandom(12 * MIB))

    bucket.put_file("film", film, PAGE, ANY, parts)

    found = bucket.get("film")
    assert found is not None
    assert found[0] == film.read_bytes()


def test_an_upload_with_other_headers_begins_anew(bucket: Bucket, film: Path) -> None:
    parts = Noted()
    cut_off(bucket, film, parts, after=2)

    stored = bucket.put_file("film", film, replace(PAGE, digest="cd"), ANY, parts)

    assert stored.digest == "cd"
    assert bucket.head("film") == stored
    assert bucket.abort_uploads(0) == 0


def test_an_upload_that_somebody_gave_up_begins_anew(bucket: Bucket, film: Path) -> None:
    parts = Noted()
    cut_off(bucket, film, parts, after=1)
    assert bucket.abort_uploads(10**9) == 0  # moto's began in 2010
    assert bucket.abort_uploads(0) == 1

    bucket.put_file("film", film, PAGE, ANY, parts)

    assert bucket.head("film") is not None


def test_a_large_file_overwrites_nothing_either(bucket: Bucket, film: Path) -> None:
    bucket.put("film", b"small", PAGE)
    for match in (ABSENT, "0" * 32):
        with pytest.raises(PreconditionFailedError):
            bucket.put_file("film", film, PAGE, match, Noted())
    with pytest.raises(PreconditionFailedError):
        bucket.put_file("gone", film, PAGE, "0" * 32, Noted())

    assert not bucket.requests["CreateMultipartUpload"]  # it was seen before anything was sent


def test_what_came_while_a_large_file_was_sent_stays(bucket: Bucket, film: Path) -> None:
    parts = Noted()
    came: list[StoredObject] = []

    def come(**_: object) -> None:
        if not came:
            came.append(Bucket("films").put("film", b"of another", PAGE))

    when(bucket, "before-send.s3.UploadPart", come)
    with pytest.raises(PreconditionFailedError):
        bucket.put_file("film", film, PAGE, ABSENT, parts)
    assert bucket.get("film") == (b"of another", came[0])
    assert parts == {}
    assert bucket.abort_uploads(0) == 0


def test_the_condition_goes_with_the_end_of_an_upload(bucket: Bucket, film: Path) -> None:
    """moto minds no If-Match there; S3 does."""
    there = bucket.put("film", b"small", PAGE)
    sent: list[str] = []
    when(
        bucket,
        "before-send.s3.CompleteMultipartUpload",
        lambda request, **_: sent.append(request.headers["If-Match"].decode()),
    )

    bucket.put_file("film", film, PAGE, there.etag, Noted())

    assert sent == [f'"{there.etag}"']


def test_an_upload_whose_last_answer_was_lost_is_found_done(bucket: Bucket, film: Path) -> None:
    parts = Noted()

    def complete(**_: object) -> None:
        (note,) = parts.values()
        monkey = boto3.session.Session().client("s3")
        upload = {"Bucket": "films", "Key": "film", "UploadId": note.partition(".")[2]}
        there = monkey.list_parts(**upload)["Parts"]
        told = [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in there]
        monkey.complete_multipart_upload(**upload, MultipartUpload={"Parts": told})

    when(bucket, "before-send.s3.CompleteMultipartUpload", complete)

    stored = bucket.put_file("film", film, PAGE, ABSENT, parts)

    assert bucket.head("film") == stored
    assert parts == {}


def test_a_file_that_changes_on_its_way_is_not_put(bucket: Bucket, film: Path) -> None:
    def touch(**_: object) -> None:
        with film.open("ab") as content:
            content.write(b"more")

    when(bucket, "before-send.s3.UploadPart", touch)
    with pytest.raises(PublishError, match="changed meanwhile"):
        bucket.put_file("film", film, PAGE, ANY, Noted())
    assert bucket.head("film") is None


# -- the bucket


def test_a_listing_goes_on_over_its_pages(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bucket.put(f"k/{number:04}", b"", PAGE), range(60)))
    bucket.put("l", b"", PAGE)
    client = bucket._client  # noqa: SLF001 (so that a thousand need not be put)
    whole = client.list_objects_v2
    monkeypatch.setattr(client, "list_objects_v2", lambda **asked: whole(**asked, MaxKeys=25))

    assert [one.key for one in bucket.listed("k/")] == [f"k/{number:04}" for number in range(60)]
    assert bucket.requests["ListObjectsV2"] == 3


def test_a_store_that_minds_conditions_is_told_from_one_that_does_not(bucket: Bucket) -> None:
    assert bucket.has_conditions()
    assert list(bucket.listed()) == []
    with store([(200, "")]) as address:
        assert not Bucket("films", endpoint=address).has_conditions()
    with store([(200, ""), (412, error_with("PreconditionFailed")), (200, "")]) as address:
        assert not Bucket("films", endpoint=address).has_conditions()  # it minds but one kind
    with store([(501, error_with("NotImplemented"))]) as address:
        assert not Bucket("films", endpoint=address).has_conditions()
    with store([(403, error_with("AccessDenied"))]) as address, pytest.raises(PublishError):
        Bucket("films", endpoint=address).has_conditions()


def test_a_former_version_comes_back_with_its_headers(bucket: Bucket) -> None:
    create("versioned", versioned=True)
    versioned = Bucket("versioned")
    assert not bucket.is_versioned()
    assert versioned.is_versioned()
    first = versioned.put("a", b"1", PAGE)
    second = versioned.put("a", b"2", ObjectHeaders("text/plain", "no-store", "gzip"))

    assert first.version != second.version
    assert versioned.former("a", first.version) == (b"1", PAGE)
    assert versioned.former("a", second.version)[1].encoding == "gzip"
    with pytest.raises(PublishError, match="get a former version of a"):
        versioned.former("a", "no-such-version")


# -- what goes wrong


def error_with(code: str, message: str = "As the server says.") -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


@contextmanager
def store(answers: list[tuple[int, str]]) -> Iterator[str]:
    """Lend a store that answers so, the last answer for ever; "@AUTH@" is what it was sent."""
    left = list(answers)

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = left.pop(0) if len(left) > 1 else left[0]
            body = text.replace("@AUTH@", self.headers.get("Authorization", "")).encode()
            self.send_response(status)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (404, "NoSuchBucket", "no such bucket"),
        (403, "AccessDenied", "access is denied"),
        (403, "InvalidAccessKeyId", "access key is not known"),
        (403, "SignatureDoesNotMatch", "secret key does not match"),
        (403, "RequestTimeTooSkewed", "clock of this machine"),
        (400, "EntityTooLarge", "larger than the store takes"),
        (400, "ExpiredToken", "expired"),
        (301, "PermanentRedirect", "another region"),
        (400, "AuthorizationHeaderMalformed", "another region"),
        (507, "", "the store is full"),
        (507, "XMinioStorageFull", "the store is full"),
        (403, "QuotaExceeded", "the store is full"),
        (418, "Teapot", "Teapot: As the server says."),
    ],
)
def test_a_refusal_says_what_why_and_what_to_do(status: int, code: str, why: str) -> None:
    with store([(status, error_with(code) if code else "")]) as address:
        bucket = Bucket("films", endpoint=address)
        with pytest.raises(PublishError, match=why) as caught:
            bucket.put("a.html", b"", PAGE, "0" * 32)
    assert not isinstance(caught.value, PreconditionFailedError)
    assert str(caught.value).startswith("cannot put a.html in the bucket films: ")
    assert "\n" not in str(caught.value)
    assert bool(caught.value.hint) == (code != "Teapot")


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "Conflict")])
def test_what_changed_is_told_from_what_is_refused(status: int, code: str) -> None:
    with store([(status, error_with(code))]) as address:
        bucket = Bucket("films", endpoint=address)
        with pytest.raises(PreconditionFailedError):
            bucket.put("a.html", b"", PAGE, ABSENT)
        with pytest.raises(PublishError) as caught:
            bucket.put("a.html", b"", PAGE)
    assert not isinstance(caught.value, PreconditionFailedError)


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("code", ["NoSuchKey", "NotFound", ""])
def test_not_found_means_changed_only_where_something_was_expected(code: str) -> None:
    with store([(404, error_with(code) if code else "")]) as address:
        bucket = Bucket("films", endpoint=address)
        with pytest.raises(PreconditionFailedError):
            bucket.put("new\nline.html", b"", PAGE, "0" * 32)
        with pytest.raises(ObjectRefusedError) as caught:
            bucket.put("new\nline.html", b"", PAGE, ABSENT)
    assert str(caught.value).startswith("cannot put new line.html in the bucket films: ")


def test_a_store_that_is_busy_is_asked_again_and_then_told_of(away: pytest.MonkeyPatch) -> None:
    away.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with store([(503, error_with("SlowDown"))] * 2 + [(200, "")]) as address:
        bucket = Bucket("films", endpoint=address)
        bucket.put("a", b"", PAGE)
        assert bucket.requests["PutObject"] == 3
    with store([(503, error_with("SlowDown"))]) as address:
        bucket = Bucket("films", endpoint=address)
        with pytest.raises(PublishError, match="throttles"):
            bucket.put("a", b"", PAGE)
        assert bucket.requests["PutObject"] == 6


def test_no_error_tells_a_secret(away: pytest.MonkeyPatch) -> None:
    key, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    away.setenv("AWS_ACCESS_KEY_ID", key)
    away.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with store([(418, error_with("Teapot", "you sent @AUTH@, AWSAccessKeyId=other"))]) as address:
        with pytest.raises(PublishError) as caught:
            Bucket("films", endpoint=address).put("a", b"", PAGE)
        with pytest.raises(PublishError) as other:
            Distribution("E1", endpoint=address).invalidate(["/a"])
    for error in (caught.value, other.value):
        text = str(error) + error.hint
        assert "you sent" in text
        assert not any(part in text for part in (key, secret, "Signature=", "other"))


def test_without_credentials_it_is_said_which_are_missing(away: pytest.MonkeyPatch) -> None:
    away.delenv("AWS_ACCESS_KEY_ID")
    away.delenv("AWS_SECRET_ACCESS_KEY")
    with store([(200, "")]) as address, pytest.raises(PublishError, match="no cred") as caught:
        Bucket("films", endpoint=address).head("a")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_store_that_cannot_be_reached_is_told_of(away: pytest.MonkeyPatch) -> None:
    away.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with store([(200, "")]) as address:
        pass
    with pytest.raises(PublishError, match="cannot be reached"):
        Bucket("films", endpoint=address).head("a")
    with pytest.raises(PublishError, match="not a URL"):
        Bucket("films", endpoint="nonsense")
    with pytest.raises(PublishError, match="not a valid bucket name"):
        Bucket("no such name").head("a")


def test_nobody_pays_for_boto3_who_opens_no_bucket() -> None:
    program = (
        "import sys; from generator.adapters.s3 import bucket, cloudfront;"
        " print('boto3' in sys.modules)"
    )

    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    assert answer.stdout == b"False\n"


def test_only_aws_is_sent_checksums_that_others_may_not_know(
    bucket: Bucket, away: pytest.MonkeyPatch
) -> None:
    away.delenv("AWS_ENDPOINT_URL")

    assert Bucket("films")._sums  # noqa: SLF001 (nothing may be sent to AWS from here)
    assert not bucket._sums  # noqa: SLF001
    assert not Bucket("films", endpoint="https://s3.example.org")._sums  # noqa: SLF001
    assert bucket_module.IN_PARTS_FROM == 16 * MIB


# -- the CDN


@pytest.fixture
def cdn(bucket: Bucket) -> Distribution:  # noqa: ARG001 (an account that is empty)
    """Return a distribution."""
    client = boto3.session.Session().client("cloudfront")
    origin = {
        "Id": "o",
        "DomainName": "films.s3.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    made = client.create_distribution(
        DistributionConfig={
            "CallerReference": "1",
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "o",
                "ViewerProtocolPolicy": "https-only",
                "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
                "MinTTL": 0,
            },
        }
    )
    return Distribution(made["Distribution"]["Id"])


def invalidated(cdn: Distribution) -> list[tuple[str, list[str]]]:
    client = boto3.session.Session().client("cloudfront")
    listed = client.list_invalidations(DistributionId=cdn.distribution)["InvalidationList"]
    batches = []
    for one in listed["Items"]:
        batch = client.get_invalidation(DistributionId=cdn.distribution, Id=one["Id"])
        told = batch["Invalidation"]["InvalidationBatch"]
        batches.append((told["CallerReference"], told["Paths"]["Items"]))
    return batches


def test_paths_are_invalidated_in_batches_each_with_its_own_reference(cdn: Distribution) -> None:
    paths = [f"/{number}" for number in range(3005)] + ["/tag/*"]

    reference = cdn.invalidate(paths)

    batches = invalidated(cdn)
    assert sorted(path for _, some in batches for path in some) == sorted(paths)
    assert max(len(some) for _, some in batches) <= 3000
    assert len({name for name, _ in batches}) == len(batches) == 3
    assert all(name.startswith(reference) for name, _ in batches)
    assert reference != cdn.invalidate(["/a"])


def test_nothing_is_sent_for_no_paths_and_never_everything(cdn: Distribution) -> None:
    assert cdn.invalidate([]) == ""
    for paths in (["/*"], ["*"], ["no-slash"]):
        with pytest.raises(ValueError, match="cannot be invalidated"):
            cdn.invalidate(paths)
    assert not cdn.requests


@pytest.mark.usefixtures("away")
def test_too_many_at_once_are_waited_for_but_not_for_ever() -> None:
    waited: list[float] = []
    full = (
        400,
        error_with("TooManyInvalidationsInProgress")
        .replace("<Error>", "<ErrorResponse><Error>")
        .replace("</Error>", "</Error></ErrorResponse>"),
    )
    done = (201, "<Invalidation><Id>I1</Id></Invalidation>")
    with store([full, full, done]) as address:
        Distribution("E1", endpoint=address, wait=waited.append).invalidate(["/a"])
    assert len(waited) == 2
    waited.clear()
    with store([full]) as address, pytest.raises(PublishError, match="too many inval") as caught:
        Distribution("E1", endpoint=address, wait=waited.append).invalidate(["/a"])
    assert 60 <= sum(waited) <= 600
    assert "the pages are published" in caught.value.hint
