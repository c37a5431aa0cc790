from hypothesis import given
from hypothesis import strategies as st

from generator.core.delivery import aws_errors
from generator.core.delivery.aws_errors import explain_refusal, is_of_one_object, presentable

CODES = st.sampled_from([*aws_errors._EXPLANATIONS, *aws_errors._SAME]) | st.text(max_size=20)  # noqa: SLF001


@given(code=CODES, status=st.integers(0, 599), message=st.text())
def test_a_refusal_is_one_short_line_whatever_the_server_says(
    code: str, status: int, message: str
) -> None:
    why, hint = explain_refusal(code, status, message)

    assert len(presentable(message).splitlines()) <= 1
    assert len(presentable(message)) <= 200
    assert len(hint.splitlines()) <= 1
    assert len(why) <= 200 + len(code) + 2


def test_every_name_for_the_same_leads_to_one_that_is_told() -> None:
    assert set(aws_errors._SAME.values()) <= aws_errors._EXPLANATIONS.keys()  # noqa: SLF001
    assert not aws_errors._SAME.keys() & aws_errors._EXPLANATIONS.keys()  # noqa: SLF001
    assert all(why and hint for why, hint in aws_errors._EXPLANATIONS.values())  # noqa: SLF001


def test_secrets_are_left_out_of_what_a_server_says() -> None:
    message = (
        "AKIAIOSFODNN7EXAMPLE Credential=AKIAX/1/s3, Signature=ab12 https://me:pw@host/ "
        "https://host/a?X-Amz-Credential=who&X-Amz-Signature=ab12&x=1"
    )

    shown = presentable(message)

    assert not any(one in shown for one in ("AKIA", "ab12", "me:pw", "who"))
    assert "host" in shown


def test_a_clock_that_is_wrong_is_not_taken_for_wrong_keys() -> None:
    for code, message in (
        ("RequestTimeTooSkewed", ""),
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than …"),
        ("InvalidSignatureException", "Signature not yet current: …"),
        ("AccessDenied", "Request has expired"),
    ):
        why, hint = explain_refusal(code, 403, message)
        assert "clock" in why
        assert "timedatectl" in hint
    assert "secret key" in explain_refusal("SignatureDoesNotMatch", 403, "do not match")[0]


def test_what_concerns_one_object_is_told_from_what_concerns_all() -> None:
    for code, status in (
        ("XMinioInvalidObjectName", 400), ("EntityTooLarge", 400), ("InvalidURI", 400),
        ("AccessDenied", 403), ("403", 403), ("", 413), ("NotImplemented", 501),
        ("NoSuchKey", 404), ("404", 404), ("NoSuchUpload", 404), ("Gone", 410), ("502", 502),
    ):  # fmt: skip
        assert is_of_one_object(code, status), code
    for code, status in (
        ("ExpiredToken", 400), ("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403),
        ("NoSuchBucket", 404), ("SlowDown", 503), ("QuotaExceeded", 403), ("ConnectionError", 0),
        ("AuthorizationHeaderMalformed", 400), ("RequestTimeTooSkewed", 403),
    ):  # fmt: skip
        assert not is_of_one_object(code, status), code
