from hypothesis import given
from hypothesis import strategies as st

from generator.core import refusals
from generator.core.refusals import presentable, refusal

CODES = st.sampled_from([*refusals._TOLD, *refusals._SAME]) | st.text(max_size=20)  # noqa: SLF001


@given(code=CODES, status=st.integers(0, 599), message=st.text())
def test_a_refusal_is_one_short_line_whatever_the_server_says(
    code: str, status: int, message: str
) -> None:
    why, hint = refusal(code, status, message)

    assert len(presentable(message).splitlines()) <= 1
    assert len(presentable(message)) <= 200
    assert len(hint.splitlines()) <= 1
    assert len(why) <= 200 + len(code) + 2


def test_every_name_for_the_same_leads_to_one_that_is_told() -> None:
    assert set(refusals._SAME.values()) <= refusals._TOLD.keys()  # noqa: SLF001
    assert not refusals._SAME.keys() & refusals._TOLD.keys()  # noqa: SLF001
    assert all(why and hint for why, hint in refusals._TOLD.values())  # noqa: SLF001


def test_secrets_are_left_out_of_what_a_server_says() -> None:
    said = (
        "AKIAIOSFODNN7EXAMPLE Credential=AKIAX/1/s3, Signature=ab12 https://me:pw@host/ "
        "https://host/a?X-Amz-Credential=who&X-Amz-Signature=ab12&x=1"
    )

    shown = presentable(said)

    assert not any(one in shown for one in ("AKIA", "ab12", "me:pw", "who"))
    assert "host" in shown
