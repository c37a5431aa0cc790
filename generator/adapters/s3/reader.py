"""Remote: buckets are read, by listings and by ranges, through boto3; nothing is written there.

What boto3 raises stays here. AwayError tells of the bucket as a whole, BarredError of an
object that may not be read, ShiftedError of one that is not what was listed.
"""

import errno
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from generator.adapters.s3 import session
from generator.core.library.bucket_objects import (
    ForbiddenError,
    ListingPart,
    ObjectChangedError,
    StoreUnavailableError,
    time_of,
)

_URL_LASTS_S = 3600
_SHIFTED = {"404", "NoSuchKey", "412", "PreconditionFailed", "416", "InvalidRange"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"}
_DENIED = {"403", "AccessDenied", "AllAccessDisabled", "AccountProblem"}
_ARCHIVED = "is archived, and cannot be read until it is restored"
_FAULTY = 500  # from this status on, the store is to blame


class S3Reader:
    """A bucket, read. Any thread may ask; connections are opened when first needed, and shared.

    Args:
        bucket: its name.
        endpoint: the address of a store that speaks S3; "" for what the environment says, or AWS.
        region: where the bucket is; "" for what the environment says.
    """

    def __init__(self, bucket: str, endpoint: str = "", region: str = "") -> None:
        self._bucket, self._endpoint, self._region = bucket, endpoint, region

    def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
        """Yield the objects whose keys begin with `front`: all, or those of one level, in parts.

        With `most`, only the first so many.

        Raises:
            AwayError: the bucket cannot be listed, or not to the end.
        """
        asked: dict[str, object] = {"Bucket": self._bucket, "Prefix": front}
        if not deep:
            asked["Delimiter"] = "/"
        if most:
            asked["MaxKeys"] = most
        while True:
            try:
                told = self._client.list_objects_v2(**asked)
            except Exception as error:
                raise StoreUnavailableError(_errno(error), _reason(error)) from error
            yield ListingPart(
                tuple(
                    (
                        one["Key"],
                        one["Size"],
                        time_of(int(one["LastModified"].timestamp()), one.get("ETag", "")),
                    )
                    for one in told.get("Contents", ())
                ),
                tuple(one["Prefix"] for one in told.get("CommonPrefixes", ())),
            )
            if most or not told.get("IsTruncated"):
                return
            asked["ContinuationToken"] = told["NextContinuationToken"]

    def reader(self, key: str, size_bytes: int) -> "ObjectReader":
        """Return what reads an object that was listed with this size; nothing is asked for yet."""
        return ObjectReader(self, key, size_bytes)

    def get(self, key: str, start: int, length: int, etag: str = "") -> tuple[bytes, str, int]:
        """Return bytes of an object, its ETag, and its size.

        Args:
            key: of the object.
            start: where to begin.
            length: how much at most, at least 1.
            etag: what it has to be; "" for anything.

        Raises:
            AwayError: the bucket cannot be reached, or lets nobody in.
            ShiftedError: it is not there, shorter, or another one.
            BarredError: it may not be read, or not now.
        """
        asked = {"Bucket": self._bucket, "Key": key, "Range": f"bytes={start}-{start + length - 1}"}
        if etag:
            asked["IfMatch"] = etag
        try:
            told = self._client.get_object(**asked)
            content = told["Body"].read(length + 1)
            told["Body"].close()
        except Exception as error:
            raise _told(error, key) from error
        whole = told.get("ContentRange", "").rpartition("/")[2]
        size_bytes = int(whole) if whole.isdigit() else int(told["ContentLength"])
        return content, told.get("ETag", ""), size_bytes

    def url(self, key: str) -> str:
        """Return an address at which anybody can read an object for an hour; nothing is asked."""
        asked = {"Bucket": self._bucket, "Key": key}
        try:
            return str(
                self._client.generate_presigned_url("get_object", asked, ExpiresIn=_URL_LASTS_S)
            )
        except Exception as error:  # no credentials, and whatever else the machine lacks
            raise StoreUnavailableError(_errno(error), _reason(error)) from error

    @property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 has no types)
        try:
            return _client(self._endpoint, self._region)
        except Exception as error:  # a profile that is not there, an endpoint that is no address
            raise StoreUnavailableError(_errno(error), _reason(error)) from error


class ObjectReader:
    """An object, read in parts that are all of one version of it."""

    def __init__(self, remote: S3Reader, key: str, size_bytes: int) -> None:
        self._remote, self._key, self._size_bytes, self._etag = remote, key, size_bytes, ""

    def read(self, start: int, length: int) -> bytes:
        """Return exactly so many bytes.

        Raises:
            OSError: as of `S3Reader.get`.
        """
        if length == 0:
            return b""
        content, self._etag, size = self._remote.get(self._key, start, length, self._etag)
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


def _told(error: Exception, key: str) -> OSError:
    """Return what boto3 raised about one object in the words of this house."""
    code, status = _code(error)
    if code == "InvalidObjectState":
        return ForbiddenError(errno.EACCES, _ARCHIVED, key)
    if code in _SHIFTED:
        return ObjectChangedError(errno.EAGAIN, "was replaced or removed while it was read", key)
    if code in _DENIED and status < _FAULTY:
        return ForbiddenError(errno.EACCES, "may not be read with these credentials", key)
    return StoreUnavailableError(_errno(error), _reason(error), key)


def _code(error: Exception) -> tuple[str, int]:
    """Return the store's name of a mistake and the status of its answer, "" and 0 without one."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return "", 0
    told = answer.get("Error", {})
    return str(told.get("Code", "")), int(
        answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    )


def _errno(error: Exception) -> int:
    return errno.EACCES if _code(error)[0] in _DENIED else errno.EIO


def _reason(error: Exception) -> str:
    """Return why a bucket cannot be read, to a person."""
    code, status = _code(error)
    if code in _DENIED:
        return "access is denied"
    if code == "NoSuchBucket":
        return "there is no such bucket"
    if code in _BUSY or status >= _FAULTY:
        return f"the store is busy or out of order ({code or status})"
    if code:
        return f"the store refuses ({code})"
    return _OWN_REASONS.get(type(error).__name__, f"it cannot be reached ({_words(error)})")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


_OWN_REASONS = {
    "NoCredentialsError": "there are no credentials",
    "PartialCredentialsError": "the credentials are not whole",
    "ProfileNotFound": "the profile of AWS's settings is not there",
    "NoRegionError": "no region is named",
    "EndpointConnectionError": "the store cannot be reached",
    "ConnectTimeoutError": "the store cannot be reached in time",
    "ReadTimeoutError": "the store did not answer in time",
    "ConnectionClosedError": "the store broke off",
}
