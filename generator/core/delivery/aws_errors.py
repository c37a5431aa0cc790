"""Errors of AWS and of other S3 stores, explained: why it failed, and what to do."""

import re

_SECRET = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{8,}|(?:Credential|Signature|AWSAccessKeyId|X-Amz-[A-Za-z-]+)=[^\s,&]+"
    r"|(?<=://)[^/@\s]+(?=@)"
)
_MAX_LENGTH = 200
_CLOCK = re.compile(r"expired|not yet current|too skewed|request time", re.IGNORECASE)
_SIGNED = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "AccessDenied"})

# Statuses with which a store may refuse one object and accept the next one,
_OF_ONE = frozenset({*range(400, 600)} - {401, 407, 429, 503, 507})
# unless the error code is about all of them.
_OF_ALL = frozenset({
    "NoCredentialsError", "PartialCredentialsError", "ExpiredToken", "InvalidAccessKeyId",
    "SignatureDoesNotMatch", "RequestTimeTooSkewed", "NoSuchBucket", "PermanentRedirect",
    "InvalidBucketName", "QuotaExceeded", "SlowDown",
})  # fmt: skip

# By error code, or by the name of the exception where no response came: why, and what to do.
_EXPLANATIONS: dict[str, tuple[str, str]] = {
    "NoCredentialsError": (
        "there are no credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    "PartialCredentialsError": (
        "the credentials are incomplete",
        "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    "ProfileNotFound": ("the profile in AWS_PROFILE does not exist", "check ~/.aws/config"),
    "ExpiredToken": ("the credentials have expired", "sign in again, as with `aws sso login`"),
    "InvalidAccessKeyId": (
        "the access key is not known there",
        "check AWS_ACCESS_KEY_ID and the setting `endpoint`",
    ),
    "SignatureDoesNotMatch": (
        "the secret key does not match the access key",
        "check AWS_SECRET_ACCESS_KEY and the setting `region`",
    ),
    "RequestTimeTooSkewed": (
        "the clock of this machine is wrong by many minutes",
        "set it (`timedatectl set-ntp true`); nothing is wrong with the keys",
    ),
    "NoSuchBucket": ("there is no such bucket", "check the setting `bucket`, or create the bucket"),
    "NoSuchDistribution": ("there is no such distribution", "check the setting `distribution`"),
    "AccessDenied": (
        "access is denied",
        "give these credentials the permissions in docs/howto/deploy-aws.md",
    ),
    "PermanentRedirect": (
        "the bucket is in another region, or at another address",
        "set `region` to that of the bucket, and check `endpoint` (https?)",
    ),
    "InvalidBucketName": ("that is not a valid bucket name", "check the setting `bucket`"),
    "EntityTooLarge": ("it is larger than the store takes", "set publish_media = false"),
    "QuotaExceeded": ("the store is full", "free some space there, and publish again"),
    "404": (
        "the store answers that it does not exist",
        "check the setting `bucket`; if that is right, give the file another name",
    ),
    "PreconditionFailed": (
        "the store says that it changed, but it did not",
        "publish again; if it persists, check the store's documentation of conditional writes",
    ),
    "KeyTooLongError": ("its key is longer than 1,024 bytes", "give the file a shorter name"),
    "InvalidURI": ("the store does not accept its key", "give the file another name"),
    "BadDigest": ("the bytes changed in transit", "publish again, or check the network"),
    "EndpointConnectionError": (
        "it cannot be reached",
        "check the network and the setting `endpoint`; the next publish resumes here",
    ),
    "ReadTimeoutError": ("the request timed out", "publish again; it resumes here"),
    "SSLError": (
        "its certificate is not trusted",
        "check the setting `endpoint`; set AWS_CA_BUNDLE for your own certificate",
    ),
    "InvalidEndpoint": ("that is not a URL", 'set `endpoint` to one like "https://s3.example.org"'),
    "SlowDown": ("it throttles requests", "wait a minute and publish again"),
    "InternalError": ("it had an internal error", "wait a minute and publish again"),
    "NoSuchVersion": ("that version is gone", "a lifecycle rule may have removed older versions"),
    "NotImplemented": (
        "the store does not support that",
        "see its documentation for the operation",
    ),
    "TooManyInvalidationsInProgress": (
        "too many invalidations are in progress",
        "the pages are published; caches show them when the old ones expire",
    ),
}  # fmt: skip

_SAME = {
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "TokenRetrievalError": "ExpiredToken",
    "SSOTokenLoadError": "ExpiredToken",
    "UnauthorizedSSOTokenError": "ExpiredToken",
    "CredentialRetrievalError": "NoCredentialsError",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "InvalidToken": "ExpiredToken",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "RequestExpired": "RequestTimeTooSkewed",
    "RequestInTheFuture": "RequestTimeTooSkewed",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "AccessDeniedException": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "AccountProblem": "AccessDenied",
    "Forbidden": "AccessDenied",
    "Unauthorized": "AccessDenied",
    "401": "AccessDenied",
    "403": "AccessDenied",
    "301": "PermanentRedirect",
    "307": "PermanentRedirect",
    "RecursionError": "PermanentRedirect",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "MovedPermanently": "PermanentRedirect",
    "ParamValidationError": "InvalidBucketName",
    "NoSuchKey": "404",
    "NotFound": "404",
    "413": "EntityTooLarge",
    "507": "QuotaExceeded",
    "InsufficientStorage": "QuotaExceeded",
    "QuotaExceededException": "QuotaExceeded",
    "XMinioStorageFull": "QuotaExceeded",
    "XAmzContentSHA256Mismatch": "BadDigest",
    "InvalidDigest": "BadDigest",
    "ConnectionError": "EndpointConnectionError",
    "ConnectTimeoutError": "EndpointConnectionError",
    "ProxyConnectionError": "EndpointConnectionError",
    "ConnectionClosedError": "ReadTimeoutError",
    "HTTPClientError": "ReadTimeoutError",
    "IncompleteReadError": "ReadTimeoutError",
    "ResponseStreamingError": "ReadTimeoutError",
    "RequestTimeout": "ReadTimeoutError",
    "ServiceUnavailable": "SlowDown",
    "Throttling": "SlowDown",
    "ThrottlingException": "SlowDown",
    "RequestLimitExceeded": "SlowDown",
    "429": "SlowDown",
    "503": "SlowDown",
    "500": "InternalError",
    "502": "InternalError",
    "504": "InternalError",
    "501": "NotImplemented",
    "MethodNotAllowed": "NotImplemented",
}


def explain_refusal(code: str, status: int = 0, message: str = "") -> tuple[str, str]:
    """Return why it was refused, and what to do about it ("" if unknown).

    Args:
        code: the error code, or the name of the exception where no response came.
        status: the HTTP status; 0 for none.
        message: that of the response; used only for unknown codes, and truncated.
    """
    if is_about_time(code, message):
        code = "RequestTimeTooSkewed"
    for name in (code, str(status)):
        explanation = _EXPLANATIONS.get(_SAME.get(name, name))
        if explanation is not None:
            return explanation
    text = presentable(message)
    return (f"{code}: {text}" if text else code), ""


def is_of_one_object(code: str, status: int) -> bool:
    """Return whether an error may be of one object alone: its name, its size, a rule for it."""
    return status in _OF_ONE and _SAME.get(code, code) not in _OF_ALL


def is_about_time(code: str, message: str) -> bool:
    """Return whether a signature was refused for its time, that of the local clock."""
    return _SAME.get(code, code) in _SIGNED and bool(_CLOCK.search(message))


def presentable(message: str) -> str:
    """Return a foreign message as one short line, without anything that could be a secret."""
    line = " ".join(_SECRET.sub("…", message).split())
    return line if len(line) <= _MAX_LENGTH else line[: _MAX_LENGTH - 1] + "…"
