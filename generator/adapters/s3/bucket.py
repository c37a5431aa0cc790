"""The bucket: S3, or a compatible store, through boto3.

Writes and deletions may be conditional, so that a late one does not overwrite anything newer. Large
files are sent as multipart uploads, which are resumed after an interruption. ETags here have no
quotes, whatever the store sends; they identify versions and are not digests.
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

ANY: Final = ""  # as `match`: no condition
ABSENT: Final = "*"  # as `match`: the object must not exist
IN_PARTS_FROM = 16 << 20  # bytes
_PART = 8 << 20  # bytes
_MAX_PARTS = 10_000
_MIB = 1 << 20
_MAX_KEY = 1024  # bytes
_DIGEST, _CURSOR, _KEY = "reelshelf-digest", "reelshelf-cursor", "reelshelf-key"
_PROBE = "_reelshelf/probe-"
_CHANGED_STATUS = frozenset({409, 412})
_MAX_CLOCK_SKEW_S = 900  # S3 refuses requests whose clock differs by more
_ABSENT_CODES = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})
_UNSUPPORTED_CODES = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is in the bucket.

    `digest` and `cursor` are from its metadata: a listing has neither, and those of a copy within
    the store, which has the metadata of the original, are ignored. `version` is "" if the bucket is
    not versioned.
    """

    key: str
    etag: str
    size_bytes: int
    digest: str = ""
    cursor: str = ""
    version: str = ""


class PreconditionFailedError(PublishError):
    """The object is not what the condition expects; the bucket is as it was.

    `refusal` says what it means if the object is what the condition expects after all.
    """

    def __init__(self, message: str, *, hint: str = "", refusal: str = "") -> None:
        super().__init__(message, hint=hint)
        self.refusal = refusal or message


class InvalidKeyError(PublishError):
    """No object can have this key; the bucket is as it was, and others can be put."""


class ObjectRefusedError(PublishError):
    """The store refuses to put or delete this object; it may accept others."""


class FileChangedError(PublishError):
    """A file changed while it was sent; the bucket is as it was."""


class MultipartUploads(Protocol):
    """Stores the ids of uploads in progress, so that they can be resumed after a restart."""

    def get(self, key: str) -> str | None:
        """Return the stored id of a key's upload."""

    def set(self, key: str, upload_id: str) -> None:
        """Store the id of a key's upload."""

    def drop(self, key: str) -> None:
        """Forget the upload of a key."""


class Bucket:
    """One bucket, for any number of threads; opening it sends nothing.

    Every method raises PublishError if the store refuses or cannot be reached: the request is then
    not done, or, if there was no answer, perhaps done.

    Args:
        name: its name.
        endpoint: the URL of an S3-compatible store; "": from the environment, or AWS.
        region: of the bucket; "": from the environment.
        threads: how many threads use it at once.
    """

    def __init__(
        self, name: str, *, endpoint: str = "", region: str = "", threads: int = 16
    ) -> None:
        self.name = name
        self.requests: Counter[str] = Counter()
        self._counting = Lock()
        with self._translate_errors("open"):
            self._client = _client(endpoint, region, threads)
        self._client.meta.events.register("before-send.s3", self._count)
        host = urlsplit(str(self._client.meta.endpoint_url)).hostname or ""
        # Not every store supports checksums; all support Content-MD5.
        self._sums = {"ChecksumAlgorithm": "CRC32"} if host.endswith(_AWS_HOSTS) else {}

    # -- one object

    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str = ANY) -> StoredObject:
        """Put an object, and return it as it is now.

        Raises:
            PreconditionFailedError: `match` does not hold; if an answer was lost, by our own write.
            InvalidKeyError: no object can have this key.
        """
        check_key(key)
        with self._translate_errors("put", key, match):
            answer = self._client.put_object(
                Bucket=self.name, Key=key, Body=body, ContentMD5=_md5(body),
                **_put_arguments(key, headers), **_condition(match), **self._sums,
            )  # fmt: skip
        return _stored(key, answer, len(body), headers)

    def put_file(
        self, key: str, file: Path, headers: ObjectHeaders, match: str, parts: MultipartUploads
    ) -> StoredObject:
        """Put a file, by multipart upload if it is large; parts sent by an earlier try are skipped.

        A failed upload stays in progress, with its id in `parts`. If the store encrypts with KMS,
        ETags of parts are not their MD5, and all parts are sent again.

        Raises:
            PreconditionFailedError: `match` does not hold.
            InvalidKeyError: no object can have this key.
            PublishError: also if the file changes meanwhile.
            OSError: the file cannot be read.
        """
        check_key(key)
        before = file.stat()
        if before.st_size < IN_PARTS_FROM:
            return self.put(key, file.read_bytes(), headers, match)
        if match:
            self._expect(key, match)  # before gigabytes are sent for nothing
        upload = self._begin_upload(key, headers, parts)
        with file.open("rb") as content:
            sent = self._send(key, upload, content, before.st_size)
        now = file.stat()
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FileChangedError(
                f"cannot put {_shown(key)}: the file changed meanwhile",
                hint="the next publish uploads it, once it is complete",
            )
        return self._complete(key, upload, sent, headers, match, parts, before.st_size)

    def delete(self, key: str, match: str = ANY) -> None:
        """Delete an object; it is no error if there is none.

        Raises:
            PreconditionFailedError: `match` does not hold.
        """
        try:
            with self._translate_errors("delete", key, match):
                self._client.delete_object(Bucket=self.name, Key=key, **_condition(match))
        except PreconditionFailedError:
            if self.head(key) is not None:
                raise

    def head(self, key: str) -> StoredObject | None:
        """Return an object without its content, None if there is none."""
        with self._translate_errors("look for", key), _absent():
            answer = self._client.head_object(Bucket=self.name, Key=key)
            return _stored(key, answer, int(answer["ContentLength"]))
        return None

    def get(self, key: str) -> tuple[bytes, StoredObject] | None:
        """Return (content, object), without decoding; None if there is none."""
        with self._translate_errors("get", key), _absent():
            answer = self._client.get_object(Bucket=self.name, Key=key)
            content: bytes = answer["Body"].read()
            return content, _stored(key, answer, len(content))
        return None

    def former(self, key: str, version: str) -> tuple[bytes, ObjectHeaders]:
        """Return (content, headers) of a previous version of an object."""
        with self._translate_errors("get a former version of", key):
            answer = self._client.get_object(Bucket=self.name, Key=key, VersionId=version)
            content: bytes = answer["Body"].read()
        metadata = _metadata(key, answer)
        return content, ObjectHeaders(
            content_type=answer.get("ContentType", ""),
            cache_control=answer.get("CacheControl", ""),
            encoding=_encoding(answer.get("ContentEncoding", "")),
            digest=metadata.get(_DIGEST, ""),
            cursor=metadata.get(_CURSOR, ""),
        )

    # -- the bucket

    def listed(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object with a key prefix, in the byte order of the keys."""
        parameters = {"Bucket": self.name, "Prefix": prefix}
        while True:
            with self._translate_errors("list"):
                answer = self._client.list_objects_v2(**parameters)
            for item in answer.get("Contents", ()):
                yield StoredObject(item["Key"], _bare(item.get("ETag", "")), int(item["Size"]))
            if not answer.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = answer["NextContinuationToken"]

    def has_conditions(self) -> bool:
        """Return whether the store supports conditional writes, by writing a small object."""
        key = f"{_PROBE}{uuid4().hex}"
        headers = ObjectHeaders("text/plain", "no-store")
        try:
            return self._checks_conditions(key, headers)
        finally:
            with suppress(PublishError):
                self.delete(key)

    def has_conditional_deletes(self) -> bool:
        """Return whether the store supports conditional deletions, by deleting a small object."""
        key = f"{_PROBE}{uuid4().hex}"
        self.put(key, b"1", ObjectHeaders("text/plain", "no-store"))
        try:
            self.delete(key, "0" * 32)
        except PreconditionFailedError:
            return True
        except PublishError as error:
            if _code(error.__cause__) not in _UNSUPPORTED_CODES:
                raise
        finally:
            with suppress(PublishError):
                self.delete(key)
        return False

    def probe(self, *, deletes: bool = False) -> None:
        """Check that the store accepts any put of ours, or any deletion."""
        key = f"{_PROBE}{uuid4().hex}"
        if deletes:
            self.delete(key)
            return
        self.put(key, b"1", ObjectHeaders("text/plain", "no-store"))
        with suppress(PublishError):
            self.delete(key)

    def _checks_conditions(self, key: str, headers: ObjectHeaders) -> bool:
        try:
            first = self.put(key, b"1", headers, ABSENT)
        except PublishError as error:
            if (
                isinstance(error.__cause__, Exception)
                and _code(error.__cause__) in _UNSUPPORTED_CODES
            ):
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
        """Return whether the bucket is versioned."""
        with self._translate_errors("ask for versions of"):
            try:
                answer = self._client.get_bucket_versioning(Bucket=self.name)
            except Exception as error:
                if _code(error) in _UNSUPPORTED_CODES:
                    return False
                raise
        return bool(answer.get("Status") == "Enabled")

    def abort_uploads(
        self, older_than_s: float, prefix: str = "", ours: Mapping[str, str] | None = None
    ) -> int:
        """Abort old multipart uploads, which cost money; return how many.

        Args:
            older_than_s: least age in seconds.
            prefix: of their keys.
            ours: the ids that `MultipartUploads` has stored, by key: no others are aborted. None:
                all are.
        """
        before = time.time() - older_than_s
        parameters = {"Bucket": self.name, "Prefix": prefix}
        count = 0
        while True:
            with self._translate_errors("list uploads to"):
                answer = self._client.list_multipart_uploads(**parameters)
            for upload in answer.get("Uploads", ()):
                is_ours = ours is None or _id_of(ours.get(upload["Key"], "")) == upload["UploadId"]
                if is_ours and upload["Initiated"].timestamp() <= before:
                    self._abort(upload["Key"], upload["UploadId"])
                    count += 1
            if not answer.get("IsTruncated"):
                return count
            parameters["KeyMarker"] = answer["NextKeyMarker"]
            parameters["UploadIdMarker"] = answer["NextUploadIdMarker"]

    # -- multipart uploads

    def _expect(self, key: str, match: str) -> None:
        current = self.head(key)
        if (current is None) if match != ABSENT else (current is not None):
            raise _changed(key)
        if current is not None and current.etag != match:
            raise _changed(key)

    def _begin_upload(
        self, key: str, headers: ObjectHeaders, parts: MultipartUploads
    ) -> "_MultipartUpload":
        """Return the upload of a key in progress with the same headers, or start one."""
        kind = hashlib.blake2b(
            repr((headers.content_type, headers.cache_control, headers.encoding, headers.digest))
            .encode(),
            digest_size=8,
        ).hexdigest()  # fmt: skip
        stored = parts.get(key) or ""
        previous_kind, upload_id = stored.partition(".")[0], _id_of(stored)
        if previous_kind == kind:
            parts_sent = self._parts_of(key, upload_id)
            if parts_sent is not None:
                return _MultipartUpload(upload_id, parts_sent)
        elif upload_id:
            self._abort(key, upload_id)
        with self._translate_errors("put", key):
            answer = self._client.create_multipart_upload(
                Bucket=self.name, Key=key, **_put_arguments(key, headers)
            )
        upload_id = answer["UploadId"]
        parts.set(key, f"{kind}.{upload_id}")
        return _MultipartUpload(upload_id, {})

    def _parts_of(self, key: str, upload_id: str) -> dict[int, tuple[int, str]] | None:
        """Return (size, ETag) of the parts that were sent, None if there is no such upload."""
        parts: dict[int, tuple[int, str]] = {}
        parameters: dict[str, object] = {"Bucket": self.name, "Key": key, "UploadId": upload_id}
        while True:
            with self._translate_errors("resume", key):
                try:
                    answer = self._client.list_parts(**parameters)
                except Exception as error:
                    if _code(error) in {"NoSuchUpload", "404"}:
                        return None
                    raise
            for part in answer.get("Parts", ()):
                parts[int(part["PartNumber"])] = int(part["Size"]), _bare(part["ETag"])
            if not answer.get("IsTruncated"):
                return parts
            parameters["PartNumberMarker"] = int(answer["NextPartNumberMarker"])

    def _send(
        self, key: str, upload: "_MultipartUpload", content: BinaryIO, size: int
    ) -> list[str]:
        """Send the missing parts; return the ETags of all parts."""
        etags: list[str] = []
        length = part_bytes(size)
        for number in range(1, -(-size // length) + 1):
            part = content.read(length)
            sum_ = hashlib.md5(part, usedforsecurity=False)
            if upload.sent.get(number) == (len(part), sum_.hexdigest()):
                etags.append(sum_.hexdigest())
                continue
            with self._translate_errors("put a part of", key):
                answer = self._client.upload_part(
                    Bucket=self.name, Key=key, UploadId=upload.id, PartNumber=number, Body=part,
                    ContentMD5=b64encode(sum_.digest()).decode("ascii"),
                )  # fmt: skip
            etags.append(_bare(answer["ETag"]))
        return etags

    def _complete(  # noqa: PLR0913, PLR0917 (what one request needs)
        self,
        key: str,
        upload: "_MultipartUpload",
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
            with self._translate_errors("put", key, match):
                answer = self._client.complete_multipart_upload(
                    Bucket=self.name, Key=key, UploadId=upload.id,
                    MultipartUpload={"Parts": numbered}, **_condition(match),
                )  # fmt: skip
        except PreconditionFailedError:
            parts.drop(key)
            self._abort(key, upload.id)
            raise
        except PublishError as error:
            if _code(error.__cause__) != "NoSuchUpload":
                raise
            parts.drop(key)
            current = self.head(key)  # a first answer may have been lost
            if current is None or current.digest != headers.digest or current.size_bytes != size:
                raise
            return current
        parts.drop(key)
        return _stored(key, answer, size, headers)

    def _abort(self, key: str, upload_id: str) -> None:
        with suppress(PublishError), self._translate_errors("give up an upload of", key):
            self._client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)

    # -- counting and errors

    def _count(self, event_name: str, **_rest: object) -> None:
        with self._counting:
            self.requests[event_name.rpartition(".")[2]] += 1

    def _translate_errors(self, doing: str, key: str = "", match: str = ANY) -> "_ErrorTranslator":
        return _ErrorTranslator(self.name, doing, key, match)


def check_key(key: str) -> None:
    """Check that an object can have this key.

    Raises:
        InvalidKeyError: it is empty, longer than 1,024 bytes, or from a file name that is not
            UTF-8.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKeyError(
            f"cannot put {_shown(key)}: its name is not UTF-8, so it cannot be an object key",
            hint="rename the file; what people did with the video stays with it",
        ) from None
    if not 0 < size <= _MAX_KEY:
        raise InvalidKeyError(
            f"cannot put {_shown(key[:80])}…: its name has {size} bytes, and the maximum is 1,024",
            hint="give the file, or a folder above it, a shorter name",
        )


def part_bytes(size: int) -> int:
    """Return the length of all parts but the last one, for a file of `size` bytes."""
    least = -(-size // _MAX_PARTS)
    return max(_PART, -(-least // _MIB) * _MIB)


def _id_of(stored: str) -> str:
    """Return the id of an upload from the text in `MultipartUploads`."""
    return stored.partition(".")[2]


@dataclass(frozen=True, slots=True)
class _MultipartUpload:
    id: str
    sent: Mapping[int, tuple[int, str]]  # size and ETag by number


class _ErrorTranslator:
    """Raises errors of boto3 in a block as PublishError, with a hint."""

    def __init__(self, bucket: str, doing: str, key: str, match: str) -> None:
        self._bucket, self._doing, self._key = bucket, doing, key
        self._match = match

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, PublishError):
            return
        if not _is_boto_error(error):
            return
        code, status = _code(error), _status(error)
        response = getattr(error, "response", {})
        if status == HTTPStatus.FORBIDDEN and _is_clock_off(response):
            code = "RequestTimeTooSkewed"  # not every refusal says so: one of HEAD has no body
        why, hint = explain_refusal(code, status, str(response.get("Error", {}).get("Message", "")))
        what = f"{_shown(self._key)} in the bucket" if self._key else "the bucket"
        message = f"cannot {self._doing} {what} {self._bucket}: {why}"
        if self._is_changed(code, status):
            raise _changed(self._key, message) from error
        kind = ObjectRefusedError if self._key and is_of_one_object(code, status) else PublishError
        raise kind(message, hint=hint) from error

    def _is_changed(self, code: str, status: int) -> bool:
        """Return whether the condition did not hold; what must be absent cannot be missing."""
        if self._match == ANY:
            return False
        return status in _CHANGED_STATUS or (self._match != ABSENT and code in _ABSENT_CODES)


class _absent:  # noqa: N801 (reads as a word of the language, as `suppress` does)
    """Suppresses the error that the object does not exist."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return _code(error) in _ABSENT_CODES


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


def _put_arguments(key: str, headers: ObjectHeaders) -> dict[str, object]:
    arguments: dict[str, object] = {
        "ContentType": headers.content_type,
        "CacheControl": headers.cache_control,
    }
    if headers.encoding:
        arguments["ContentEncoding"] = headers.encoding
    key_digest = _key_digest(key) if headers.cursor else ""
    metadata = {_DIGEST: headers.digest, _CURSOR: headers.cursor, _KEY: key_digest}
    arguments["Metadata"] = {name: value for name, value in metadata.items() if value}
    return arguments


def _metadata(key: str, answer: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the metadata of an object; none if it was copied from another key."""
    metadata: Mapping[str, str] = answer.get("Metadata", {})
    return metadata if not metadata.get(_CURSOR) or metadata.get(_KEY) == _key_digest(key) else {}


def _key_digest(key: str) -> str:
    """Return a digest of a key, in characters that a header may have."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _condition(match: str) -> dict[str, str]:
    if match == ANY:
        return {}
    return {"IfNoneMatch": "*"} if match == ABSENT else {"IfMatch": _quoted(match)}


def _stored(
    key: str, answer: Mapping[str, Any], size: int, headers: ObjectHeaders | None = None
) -> StoredObject:
    metadata = _metadata(key, answer)
    return StoredObject(
        key,
        _bare(answer.get("ETag", "")),
        size,
        headers.digest if headers else metadata.get(_DIGEST, ""),
        headers.cursor if headers else metadata.get(_CURSOR, ""),
        "" if answer.get("VersionId") == "null" else answer.get("VersionId", ""),
    )


def _encoding(header: str) -> str:
    return ",".join(
        encoding for encoding in header.replace(" ", "").split(",") if encoding != "aws-chunked"
    )


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _quoted(etag: str) -> str:
    return f'"{_bare(etag)}"'


def _md5(body: bytes) -> str:
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")


def _shown(key: str) -> str:
    return readable(key)  # names may have control characters


def _changed(key: str, refusal: str = "") -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{_shown(key)} in the bucket has changed",
        hint="publish again: the bucket will be checked",
        refusal=refusal,
    )


def _is_boto_error(error: Exception) -> bool:
    # boto3 follows a redirect loop until the stack overflows.
    return isinstance(error, ValueError | RecursionError) or type(error).__module__.startswith(
        ("botocore", "boto3", "s3transfer")
    )


def _is_clock_off(response: Mapping[str, Any]) -> bool:
    """Return whether our clock differs from the Date header of the store's answer."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        theirs_s = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return False
    return abs(theirs_s - time.time()) > _MAX_CLOCK_SKEW_S


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
