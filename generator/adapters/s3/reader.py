"""Reads buckets, by listings and byte ranges, through boto3; it writes nothing.

Errors of boto3 are translated here: StoreUnavailableError is about the whole bucket, ForbiddenError
about an object that may not be read, ObjectChangedError about one that changed since the listing.
"""

import errno
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from generator.adapters.s3 import session
from generator.core.library.bucket_listing import (
    ForbiddenError,
    ListingPart,
    ObjectChangedError,
    StoreUnavailableError,
    time_of,
)

_URL_LIFETIME_S = 3600
_CHANGED_CODES = {"404", "NoSuchKey", "412", "PreconditionFailed", "416", "InvalidRange"}
_BUSY_CODES = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"}
_DENIED_CODES = {"403", "AccessDenied", "AllAccessDisabled", "AccountProblem"}
_ARCHIVED = "is archived, and cannot be read until it is restored"
_SERVER_ERROR = 500  # from this HTTP status on, the store is to blame


class S3Reader:
    """A bucket, read-only. It is thread-safe; connections are opened on first use, and shared.

    Args:
        bucket: its name.
        endpoint: the URL of an S3-compatible store; "": from the environment, or AWS.
        region: of the bucket; "": from the environment.
    """

    def __init__(self, bucket: str, endpoint: str = "", region: str = "") -> None:
        self._bucket, self._endpoint, self._region = bucket, endpoint, region

    def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
        """Yield the objects whose keys begin with `front`, in pages: all, or those of one level.

        With `most`, only the first `most`.

        Raises:
            StoreUnavailableError: the bucket cannot be listed, or not to the end.
        """
        parameters: dict[str, object] = {"Bucket": self._bucket, "Prefix": front}
        if not deep:
            parameters["Delimiter"] = "/"
        if most:
            parameters["MaxKeys"] = most
        while True:
            try:
                answer = self._client.list_objects_v2(**parameters)
            except Exception as error:
                raise StoreUnavailableError(_errno(error), _reason(error)) from error
            yield ListingPart(
                tuple(
                    (
                        item["Key"],
                        item["Size"],
                        time_of(int(item["LastModified"].timestamp()), item.get("ETag", "")),
                    )
                    for item in answer.get("Contents", ())
                ),
                tuple(common["Prefix"] for common in answer.get("CommonPrefixes", ())),
            )
            if most or not answer.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = answer["NextContinuationToken"]

    def reader(self, key: str, size_bytes: int) -> "ObjectReader":
        """Return a reader of an object that was listed with this size; nothing is requested yet."""
        return ObjectReader(self, key, size_bytes)

    def get(self, key: str, start: int, length: int, etag: str = "") -> tuple[bytes, str, int]:
        """Return bytes of an object, its ETag, and its size.

        Args:
            key: of the object.
            start: offset of the first byte.
            length: number of bytes at most, at least 1.
            etag: the expected ETag; "": any.

        Raises:
            StoreUnavailableError: the bucket cannot be reached, or access is denied.
            ObjectChangedError: it does not exist, is shorter, or has another ETag.
            ForbiddenError: it may not be read, or is archived.
        """
        parameters = {
            "Bucket": self._bucket,
            "Key": key,
            "Range": f"bytes={start}-{start + length - 1}",
        }
        if etag:
            parameters["IfMatch"] = etag
        try:
            answer = self._client.get_object(**parameters)
            content = answer["Body"].read(length + 1)
            answer["Body"].close()
        except Exception as error:
            raise _translate(error, key) from error
        total = answer.get("ContentRange", "").rpartition("/")[2]
        size_bytes = int(total) if total.isdigit() else int(answer["ContentLength"])
        return content, answer.get("ETag", ""), size_bytes

    def url(self, key: str) -> str:
        """Return a presigned URL that is valid for an hour; nothing is requested."""
        parameters = {"Bucket": self._bucket, "Key": key}
        try:
            return str(
                self._client.generate_presigned_url(
                    "get_object", parameters, ExpiresIn=_URL_LIFETIME_S
                )
            )
        except Exception as error:  # no credentials, or another local problem
            raise StoreUnavailableError(_errno(error), _reason(error)) from error

    @property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 has no types)
        try:
            return _client(self._endpoint, self._region)
        except Exception as error:  # a missing profile, or an endpoint that is not a URL
            raise StoreUnavailableError(_errno(error), _reason(error)) from error


class ObjectReader:
    """An object, read in ranges that are all of one version of it."""

    def __init__(self, bucket: S3Reader, key: str, size_bytes: int) -> None:
        self._bucket, self._key, self._size_bytes, self._etag = bucket, key, size_bytes, ""

    def read(self, start: int, length: int) -> bytes:
        """Return exactly `length` bytes.

        Raises:
            OSError: as `S3Reader.get`.
        """
        if length == 0:
            return b""
        content, self._etag, size = self._bucket.get(self._key, start, length, self._etag)
        if size != self._size_bytes or len(content) != length:
            raise ObjectChangedError(
                errno.EAGAIN, "changed its size since it was listed", self._key
            )
        return content


@lru_cache(maxsize=8)
def _client(endpoint: str, region: str) -> Any:  # noqa: ANN401 (boto3 has no types)
    from botocore.config import Config  # noqa: PLC0415 (slow to import)

    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=16,
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    return session.session().client(
        "s3", endpoint_url=endpoint or None, region_name=region or None, config=config
    )


def _translate(error: Exception, key: str) -> OSError:
    """Return the error to raise for one that boto3 raised about an object."""
    code, status = _code(error)
    if code == "InvalidObjectState":
        return ForbiddenError(errno.EACCES, _ARCHIVED, key)
    if code in _CHANGED_CODES:
        return ObjectChangedError(errno.EAGAIN, "was replaced or removed while it was read", key)
    if code in _DENIED_CODES and status < _SERVER_ERROR:
        return ForbiddenError(errno.EACCES, "may not be read with these credentials", key)
    return StoreUnavailableError(_errno(error), _reason(error), key)


def _code(error: Exception) -> tuple[str, int]:
    """Return the error code and HTTP status of the answer, "" and 0 without an answer."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return "", 0
    error_fields = answer.get("Error", {})
    return str(error_fields.get("Code", "")), int(
        answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    )


def _errno(error: Exception) -> int:
    return errno.EACCES if _code(error)[0] in _DENIED_CODES else errno.EIO


def _reason(error: Exception) -> str:
    """Return why a bucket cannot be read, as part of a message."""
    code, status = _code(error)
    if code in _DENIED_CODES:
        return "access is denied"
    if code == "NoSuchBucket":
        return "there is no such bucket"
    if code in _BUSY_CODES or status >= _SERVER_ERROR:
        return f"the store is busy or has an internal error ({code or status})"
    if code:
        return f"the store refuses ({code})"
    return _CLIENT_REASONS.get(type(error).__name__, f"it cannot be reached ({_one_line(error)})")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


_CLIENT_REASONS = {
    "NoCredentialsError": "there are no credentials",
    "PartialCredentialsError": "the credentials are incomplete",
    "ProfileNotFound": "the AWS profile does not exist",
    "NoRegionError": "no region is set",
    "EndpointConnectionError": "the store cannot be reached",
    "ConnectTimeoutError": "the store cannot be reached in time",
    "ReadTimeoutError": "the store did not answer in time",
    "ConnectionClosedError": "the store closed the connection",
}
