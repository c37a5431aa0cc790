"""The bucket: S3, or a store that speaks it, through boto3.

Writes and deletions may have a condition, so that one who comes late overwrites nothing that is
newer. Large files go up in parts, and an upload that was cut off goes on where it was. ETags here
have no quotes, whatever the store writes around them; they tell versions apart and are no digest.
"""

import hashlib
import os
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from generator.adapters.s3 import session
from generator.core.delivery.aws_errors import explain_refusal, is_of_one_object
from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import PublishError
from generator.core.formatting import readable

ANY: Final = ""  # as `match`: whatever is there
ABSENT: Final = "*"  # as `match`: nothing is there
IN_PARTS_FROM = 16 << 20  # bytes
_PART = 8 << 20  # bytes
_MOST_PARTS = 10_000
_MIB = 1 << 20
_LONGEST_KEY = 1024  # bytes
_DIGEST, _CURSOR, _KEY = "reelshelf-digest", "reelshelf-cursor", "reelshelf-key"
_PROBE = "_reelshelf/probe-"
_CHANGED_STATUS = frozenset({409, 412})
_CLOCKS_APART_S = 900  # S3 refuses what was signed so long ago, or so much too early
_NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})
_NOT_ABLE = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the bucket has it.

    `digest` and `cursor` are what was noted on it; a listing tells neither, and a copy of it within
    the store, which takes all that is noted along, has none. `version` is "" where
    the bucket keeps none.
    """

    key: str
    etag: str
    size_bytes: int
    digest: str = ""
    cursor: str = ""
    version: str = ""


class PreconditionFailedError(PublishError):
    """Something else is there than was expected; the bucket is as it was."""


class InvalidKeyError(PublishError):
    """No object can be called so; the bucket is as it was, and all others can be put."""


class ObjectRefusedError(PublishError):
    """The store does not take, or does not delete, this object; it may well do so with others."""


class FileChangedError(PublishError):
    """A file changed while it was sent; the bucket is as it was."""


class MultipartUploads(Protocol):
    """Remembers uploads that are under way, so that they can be resumed after a restart."""

    def get(self, key: str) -> str | None:
        """Return what was noted for a key."""

    def set(self, key: str, upload_id: str) -> None:
        """Note the upload of a key."""

    def drop(self, key: str) -> None:
        """Forget the upload of a key."""


class Bucket:
    """One bucket, for any number of threads; opening it sends nothing.

    Every method raises PublishError where the store refuses or cannot be reached: what it was
    asked to do is then not done, or, if no answer came, perhaps done.

    Args:
        name: its name.
        endpoint: the address of a store that speaks S3; "" for what the environment says, or AWS.
        region: where it is; "" for what the environment says.
        threads: how many threads use it at once.
    """

    def __init__(
        self, name: str, *, endpoint: str = "", region: str = "", threads: int = 16
    ) -> None:
        self.name = name
        self.requests: Counter[str] = Counter()
        self._counting = Lock()
        with self._telling("open"):
            self._client = _client(endpoint, region, threads)
        self._client.meta.events.register("before-send.s3", self._count)
        host = urlsplit(str(self._client.meta.endpoint_url)).hostname or ""
        # Not every store knows checksums; every one knows Content-MD5.
        self._sums = {"ChecksumAlgorithm": "CRC32"} if host.endswith(_AWS_HOSTS) else {}

    # -- one object

    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str = ANY) -> StoredObject:
        """Put an object, and return it as it is now.

        Raises:
            ChangedError: `match` does not hold. After an answer that was lost this may be our own.
            UnfitKeyError: no object can be called so.
        """
        check_key(key)
        with self._telling("put", key, conditional=bool(match)):
            answer = self._client.put_object(
                Bucket=self.name, Key=key, Body=body, ContentMD5=_md5(body),
                **_told(key, headers), **_condition(match), **self._sums,
            )  # fmt: skip
        return _stored(key, answer, len(body), headers)

    def put_file(
        self, key: str, file: Path, headers: ObjectHeaders, match: str, parts: MultipartUploads
    ) -> StoredObject:
        """Put a file, in parts if it is large: what an earlier try has sent is not sent again.

        An upload that fails stays under way, noted in `parts`.
        Where the store encrypts by keys of KMS, its ETags do not tell what it has, and all is sent
        again.

        Raises:
            ChangedError: `match` does not hold.
            UnfitKeyError: no object can be called so.
            PublishError: also, where the file changes meanwhile.
            OSError: the file cannot be read.
        """
        check_key(key)
        before = file.stat()
        if before.st_size < IN_PARTS_FROM:
            return self.put(key, file.read_bytes(), headers, match)
        if match:
            self._expect(key, match)  # before gigabytes are sent for nothing
        upload = self._begun(key, headers, parts)
        with file.open("rb") as content:
            sent = self._send(key, upload, content, before.st_size)
        now = file.stat()
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FileChangedError(
                f"cannot put {_shown(key)}: the file changed meanwhile",
                hint="it is put by the next publish, once it is whole",
            )
        return self._complete(key, upload, sent, headers, match, parts, before.st_size)

    def delete(self, key: str, match: str = ANY) -> None:
        """Delete an object; one that is not there is no error.

        Raises:
            ChangedError: `match` does not hold.
        """
        try:
            with self._telling("delete", key, conditional=bool(match)):
                self._client.delete_object(Bucket=self.name, Key=key, **_condition(match))
        except PreconditionFailedError:
            if self.head(key) is not None:
                raise

    def head(self, key: str) -> StoredObject | None:
        """Return what is known of an object, None if there is none."""
        with self._telling("look for", key), _absent():
            answer = self._client.head_object(Bucket=self.name, Key=key)
            return _stored(key, answer, int(answer["ContentLength"]))
        return None

    def get(self, key: str) -> tuple[bytes, StoredObject] | None:
        """Return an object with its bytes as they lie there, None if there is none."""
        with self._telling("get", key), _absent():
            answer = self._client.get_object(Bucket=self.name, Key=key)
            content: bytes = answer["Body"].read()
            return content, _stored(key, answer, len(content))
        return None

    def former(self, key: str, version: str) -> tuple[bytes, ObjectHeaders]:
        """Return a former version of an object, and with which headers it was put."""
        with self._telling("get a former version of", key):
            answer = self._client.get_object(Bucket=self.name, Key=key, VersionId=version)
            content: bytes = answer["Body"].read()
        noted = _noted(key, answer)
        return content, ObjectHeaders(
            content_type=answer.get("ContentType", ""),
            cache_control=answer.get("CacheControl", ""),
            encoding=_encoding(answer.get("ContentEncoding", "")),
            digest=noted.get(_DIGEST, ""),
            cursor=noted.get(_CURSOR, ""),
        )

    # -- the bucket

    def listed(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object whose key begins so, in the order of the keys' bytes."""
        asked = {"Bucket": self.name, "Prefix": prefix}
        while True:
            with self._telling("list"):
                answer = self._client.list_objects_v2(**asked)
            for one in answer.get("Contents", ()):
                yield StoredObject(one["Key"], _bare(one.get("ETag", "")), int(one["Size"]))
            if not answer.get("IsTruncated"):
                return
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def has_conditions(self) -> bool:
        """Tell whether the store minds conditions on writes, by writing a small object."""
        key = f"{_PROBE}{uuid4().hex}"
        headers = ObjectHeaders("text/plain", "no-store")
        try:
            return self._refuses(key, headers)
        finally:
            with suppress(PublishError):
                self.delete(key)

    def has_conditional_deletes(self) -> bool:
        """Tell whether the store minds conditions on deletions, by a small object likewise."""
        key = f"{_PROBE}{uuid4().hex}"
        self.put(key, b"1", ObjectHeaders("text/plain", "no-store"))
        try:
            self.delete(key, "0" * 32)
        except PreconditionFailedError:
            return True
        except PublishError as error:
            if _code(error.__cause__) not in _NOT_ABLE:
                raise
        finally:
            with suppress(PublishError):
                self.delete(key)
        return False

    def probe(self, *, deletes: bool = False) -> None:
        """See whether the store takes any object of ours, or deletes any."""
        key = f"{_PROBE}{uuid4().hex}"
        if deletes:
            self.delete(key)
            return
        self.put(key, b"1", ObjectHeaders("text/plain", "no-store"))
        with suppress(PublishError):
            self.delete(key)

    def _refuses(self, key: str, headers: ObjectHeaders) -> bool:
        try:
            first = self.put(key, b"1", headers, ABSENT)
        except PublishError as error:
            if isinstance(error.__cause__, Exception) and _code(error.__cause__) in _NOT_ABLE:
                return False
            raise
        for match in (ABSENT, "0" * 32):
            try:
                self.put(key, b"2", headers, match)
            except PreconditionFailedError:
                continue
            return False
        self.put(key, b"3", headers, first.etag)
        return True

    def is_versioned(self) -> bool:
        """Tell whether the bucket keeps former versions of objects."""
        with self._telling("ask for versions of"):
            try:
                answer = self._client.get_bucket_versioning(Bucket=self.name)
            except Exception as error:
                if _code(error) in _NOT_ABLE:
                    return False
                raise
        return bool(answer.get("Status") == "Enabled")

    def abort_uploads(
        self, older_than_s: float, prefix: str = "", ours: Mapping[str, str] | None = None
    ) -> int:
        """Give up uploads in parts that began so long ago; return how many: they cost money.

        Args:
            older_than_s: how long ago they began, in seconds, at least.
            prefix: what their keys begin with.
            ours: what `MultipartUploads` has noted by keys: no other is touched. None: all are.
        """
        before = time.time() - older_than_s
        asked = {"Bucket": self.name, "Prefix": prefix}
        count = 0
        while True:
            with self._telling("list uploads to"):
                answer = self._client.list_multipart_uploads(**asked)
            for one in answer.get("Uploads", ()):
                noted = ours is None or _id_of(ours.get(one["Key"], "")) == one["UploadId"]
                if noted and one["Initiated"].timestamp() <= before:
                    self._abort(one["Key"], one["UploadId"])
                    count += 1
            if not answer.get("IsTruncated"):
                return count
            asked["KeyMarker"] = answer["NextKeyMarker"]
            asked["UploadIdMarker"] = answer["NextUploadIdMarker"]

    # -- uploads in parts

    def _expect(self, key: str, match: str) -> None:
        there = self.head(key)
        if (there is None) if match != ABSENT else (there is not None):
            raise _changed(key)
        if there is not None and there.etag != match:
            raise _changed(key)

    def _begun(self, key: str, headers: ObjectHeaders, parts: MultipartUploads) -> "_Upload":
        """Return the upload of a key that is under way with the same headers, or begin one."""
        kind = hashlib.blake2b(
            repr((headers.content_type, headers.cache_control, headers.encoding, headers.digest))
            .encode(),
            digest_size=8,
        ).hexdigest()  # fmt: skip
        noted = parts.get(key) or ""
        former, upload_id = noted.partition(".")[0], _id_of(noted)
        if former == kind:
            there = self._parts_of(key, upload_id)
            if there is not None:
                return _Upload(upload_id, there)
        elif upload_id:
            self._abort(key, upload_id)
        with self._telling("put", key):
            answer = self._client.create_multipart_upload(
                Bucket=self.name, Key=key, **_told(key, headers)
            )
        upload_id = answer["UploadId"]
        parts.set(key, f"{kind}.{upload_id}")
        return _Upload(upload_id, {})

    def _parts_of(self, key: str, upload_id: str) -> dict[int, tuple[int, str]] | None:
        """Return size and ETag of the parts that are there, None if there is no such upload."""
        there: dict[int, tuple[int, str]] = {}
        asked: dict[str, object] = {"Bucket": self.name, "Key": key, "UploadId": upload_id}
        while True:
            with self._telling("resume", key):
                try:
                    answer = self._client.list_parts(**asked)
                except Exception as error:
                    if _code(error) in {"NoSuchUpload", "404"}:
                        return None
                    raise
            for one in answer.get("MultipartUploads", ()):
                there[int(one["PartNumber"])] = int(one["Size"]), _bare(one["ETag"])
            if not answer.get("IsTruncated"):
                return there
            asked["PartNumberMarker"] = int(answer["NextPartNumberMarker"])

    def _send(self, key: str, upload: "_Upload", content: BinaryIO, size: int) -> list[str]:
        """Send the parts that are not there yet; return the ETags of all."""
        etags: list[str] = []
        length = part_bytes(size)
        for number in range(1, -(-size // length) + 1):
            part = content.read(length)
            sum_ = hashlib.md5(part, usedforsecurity=False)
            if upload.there.get(number) == (len(part), sum_.hexdigest()):
                etags.append(sum_.hexdigest())
                continue
            with self._telling("put a part of", key):
                answer = self._client.upload_part(
                    Bucket=self.name, Key=key, UploadId=upload.id, PartNumber=number, Body=part,
                    ContentMD5=b64encode(sum_.digest()).decode("ascii"),
                )  # fmt: skip
            etags.append(_bare(answer["ETag"]))
        return etags

    def _complete(  # noqa: PLR0913, PLR0917 (what one request needs)
        self,
        key: str,
        upload: "_Upload",
        etags: list[str],
        headers: ObjectHeaders,
        match: str,
        parts: MultipartUploads,
        size: int,
    ) -> StoredObject:
        numbered = [
            {"PartNumber": number, "ETag": _quoted(etag)} for number, etag in enumerate(etags, 1)
        ]
        try:
            with self._telling("put", key, conditional=bool(match)):
                answer = self._client.complete_multipart_upload(
                    Bucket=self.name, Key=key, UploadId=upload.id,
                    MultipartUpload={"MultipartUploads": numbered}, **_condition(match),
                )  # fmt: skip
        except PreconditionFailedError:
            parts.drop(key)
            self._abort(key, upload.id)
            raise
        except PublishError as error:
            if _code(error.__cause__) != "NoSuchUpload":
                raise
            parts.drop(key)
            there = self.head(key)  # a first answer may have been lost
            if there is None or there.digest != headers.digest or there.size_bytes != size:
                raise
            return there
        parts.drop(key)
        return _stored(key, answer, size, headers)

    def _abort(self, key: str, upload_id: str) -> None:
        with suppress(PublishError), self._telling("give up an upload of", key):
            self._client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)

    # -- telling

    def _count(self, event_name: str, **_rest: object) -> None:
        with self._counting:
            self.requests[event_name.rpartition(".")[2]] += 1

    def _telling(self, doing: str, key: str = "", *, conditional: bool = False) -> "_Telling":
        return _Telling(self.name, doing, key, conditional=conditional)


def check_key(key: str) -> None:
    """Accept a key that an object can have.

    Raises:
        UnfitKeyError: it is empty, longer than 1,024 bytes, or, coming from a file name that is no
            UTF-8, no text.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKeyError(
            f"cannot put {_shown(key)}: its name is no UTF-8, and no object can be called so",
            hint="rename the file; what people did with the video stays with it",
        ) from None
    if not 0 < size <= _LONGEST_KEY:
        raise InvalidKeyError(
            f"cannot put {_shown(key[:80])}…: its name has {size} bytes, and 1,024 are the most",
            hint="give the file, or a folder above it, a shorter name",
        )


def part_bytes(size: int) -> int:
    """Return how long the parts of a file of `size` bytes are: all but the last one."""
    least = -(-size // _MOST_PARTS)
    return max(_PART, -(-least // _MIB) * _MIB)


def _id_of(noted: str) -> str:
    """Return the id of an upload from what `MultipartUploads` has noted of it."""
    return noted.partition(".")[2]


@dataclass(frozen=True, slots=True)
class _Upload:
    id: str
    there: Mapping[int, tuple[int, str]]  # size and ETag by number


class _Telling:
    """Turns what boto3 raises in a block into what people are told."""

    def __init__(self, bucket: str, doing: str, key: str, *, conditional: bool) -> None:
        self._bucket, self._doing, self._key = bucket, doing, key
        self._conditional = conditional

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, PublishError):
            return
        if not _is_botos(error):
            return
        code, status = _code(error), _status(error)
        if self._conditional and (status in _CHANGED_STATUS or code in _NOT_THERE):
            raise _changed(self._key) from error
        response = getattr(error, "response", {})
        if status == HTTPStatus.FORBIDDEN and _is_clock_off(response):
            code = "RequestTimeTooSkewed"  # not every refusal says so: one of HEAD says nothing
        why, hint = explain_refusal(code, status, str(response.get("Error", {}).get("Message", "")))
        what = f"{_shown(self._key)} in the bucket" if self._key else "the bucket"
        kind = ObjectRefusedError if self._key and is_of_one_object(code, status) else PublishError
        raise kind(f"cannot {self._doing} {what} {self._bucket}: {why}", hint=hint) from error


class _absent:  # noqa: N801 (reads as a word of the language, as `suppress` does)
    """Leaves a block where the object is not there."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return _code(error) in _NOT_THERE


def _client(endpoint: str, region: str, threads: int) -> Any:  # noqa: ANN401 (boto3 has no types)
    from botocore.config import Config  # noqa: PLC0415 (slow to import)

    elsewhere = endpoint or os.environ.get(
        "AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL")
    )
    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=threads,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if elsewhere else None,
    )
    return session.session().client(
        "s3", endpoint_url=endpoint or None, region_name=region or None, config=config
    )


def _told(key: str, headers: ObjectHeaders) -> dict[str, object]:
    told: dict[str, object] = {
        "ContentType": headers.content_type,
        "CacheControl": headers.cache_control,
    }
    if headers.encoding:
        told["ContentEncoding"] = headers.encoding
    key_sign = _sign(key) if headers.cursor else ""
    noted = {_DIGEST: headers.digest, _CURSOR: headers.cursor, _KEY: key_sign}
    told["Metadata"] = {name: value for name, value in noted.items() if value}
    return told


def _noted(key: str, answer: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what was noted on an object when it was put; nothing where it is a copy of another."""
    noted: Mapping[str, str] = answer.get("Metadata", {})
    return noted if not noted.get(_CURSOR) or noted.get(_KEY) == _sign(key) else {}


def _sign(key: str) -> str:
    """Return what tells a key from others, in letters that a header may have."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _condition(match: str) -> dict[str, str]:
    if match == ANY:
        return {}
    return {"IfNoneMatch": "*"} if match == ABSENT else {"IfMatch": _quoted(match)}


def _stored(
    key: str, answer: Mapping[str, Any], size: int, headers: ObjectHeaders | None = None
) -> StoredObject:
    noted = _noted(key, answer)
    return StoredObject(
        key,
        _bare(answer.get("ETag", "")),
        size,
        headers.digest if headers else noted.get(_DIGEST, ""),
        headers.cursor if headers else noted.get(_CURSOR, ""),
        "" if answer.get("VersionId") == "null" else answer.get("VersionId", ""),
    )


def _encoding(told: str) -> str:
    return ",".join(one for one in told.replace(" ", "").split(",") if one != "aws-chunked")


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _quoted(etag: str) -> str:
    return f'"{_bare(etag)}"'


def _md5(body: bytes) -> str:
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")


def _shown(key: str) -> str:
    return readable(key)  # what a name may hold does not belong on a screen


def _changed(key: str) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{_shown(key)} in the bucket is not what it was", hint="publish again: it is looked at"
    )


def _is_botos(error: Exception) -> bool:
    # boto3 follows a server that leads everything elsewhere until it has no stack left.
    return isinstance(error, ValueError | RecursionError) or type(error).__module__.startswith(
        ("botocore", "boto3", "s3transfer")
    )


def _is_clock_off(response: Mapping[str, Any]) -> bool:
    """Tell whether the store's clock, by the date of its answer, is another one than ours."""
    told = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        theirs_s = parsedate_to_datetime(told).timestamp()
    except (TypeError, ValueError):
        return False
    return abs(theirs_s - time.time()) > _CLOCKS_APART_S


def _code(error: object) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    if isinstance(error, ValueError):
        return "InvalidEndpoint"
    return type(error).__name__


def _status(error: object) -> int:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return 0
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
