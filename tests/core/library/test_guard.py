"""The guard's rules: what is too much to lose, and when a device is another one."""

from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.guard import (
    Device,
    RootChange,
    decode_devices,
    encode_devices,
    is_other,
    objection,
)

numbers = st.integers(0, (1 << 64) - 1)
marks = st.builds(Device, st.sampled_from(["", "a", "b"]), numbers, st.sampled_from([0, 5, 6]))


def look(videos: int = 20, lost: int = 0, **more: object) -> RootChange:
    what: dict[str, object] = {
        "trouble": "", "is_empty": False, "other_device": False, **more,
    }  # fmt: skip
    return RootChange("/srv", videos, lost, **what)  # type: ignore[arg-type]


def test_within_one_boot_another_number_is_another_device() -> None:
    assert is_other(Device("a", 1, 0), Device("a", 2, 0))
    assert not is_other(Device("a", 1, 0), Device("a", 1, 0))


def test_after_a_restart_a_number_tells_nothing() -> None:
    assert not is_other(Device("a", 1, 0), Device("b", 2, 0))
    assert not is_other(Device("", 1, 0), Device("", 2, 0))


def test_a_file_system_is_the_same_whatever_number_it_has_and_whenever() -> None:
    assert not is_other(Device("a", 1, 7), Device("a", 2, 7))
    assert not is_other(Device("a", 1, 7), Device("b", 2, 7))
    assert is_other(Device("a", 1, 7), Device("b", 1, 8))


@given(first=marks, other=marks)
def test_whether_two_devices_are_one_does_not_depend_on_which_was_first(
    first: Device, other: Device
) -> None:
    assert is_other(first, other) == is_other(other, first)
    assert not is_other(first, first)


@given(devices=st.dictionaries(st.text('/ab \n"\udcff', max_size=5), marks, max_size=3))
def test_devices_are_read_as_they_were_written(devices: dict[str, Device]) -> None:
    text = encode_devices(devices)

    assert text.isascii()
    assert decode_devices(text) == devices


def test_nothing_was_written_yet() -> None:
    assert decode_devices("") == {}


def test_another_device_matters_where_something_would_be_lost_or_given_to_copies() -> None:
    assert objection({"": look(other_device=True)}, 0.5) == ""
    assert "another device" in objection({"": look(lost=1, other_device=True)}, 0.5)
    assert "1 video would" in objection({"": look(copied=1, other_device=True)}, 0.5)
    assert "2 videos" in objection({"": look(lost=1, copied=1, other_device=True)}, 0.5)


def test_copies_that_take_over_are_no_loss_where_nothing_is_odd() -> None:
    assert objection({"": look(copied=20, is_empty=True)}, 0.5) == ""


def test_a_few_may_always_go_and_many_only_within_the_limit() -> None:
    assert objection({"": look(20, 10)}, 0.0) == ""
    assert objection({"": look(20, 11)}, 0.6) == ""
    assert objection({"": look(20, 11)}, 0.5) == "11 of 20 videos would be lost"
    assert objection({"a": look(20, 6), "b": look(4, 6)}, 0.5) == ""
