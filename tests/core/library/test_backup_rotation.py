"""Which backups are kept."""

from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.backup_rotation import rotated_out

DAY_S = 86400


def kept(instants: list[int], keep: int) -> list[int]:
    gone = set(rotated_out(instants, keep))
    return sorted(instants[at] for at in range(len(instants)) if at not in gone)


def test_one_a_day_keeps_the_newest() -> None:
    assert kept([n * DAY_S for n in range(20)], 3) == [17 * DAY_S, 18 * DAY_S, 19 * DAY_S]


def test_many_in_an_hour_displace_none_of_the_days_before() -> None:
    days, burst = [n * DAY_S for n in range(5)], [5 * DAY_S + n for n in range(50)]

    assert kept([*days, *burst], 5) == [*days[1:], burst[-1]]


def test_while_days_are_few_the_newest_of_one_day_are_kept() -> None:
    assert kept([0, 1, 2, 3, DAY_S], 3) == [2, 3, DAY_S]


@given(
    instants=st.lists(st.integers(0, 10 * DAY_S), max_size=30),
    keep=st.integers(1, 12),
)
def test_as_many_as_are_to_be_kept_are_and_the_newest_among_them(
    instants: list[int], keep: int
) -> None:
    held = kept(instants, keep)

    assert len(held) == min(keep, len(instants))
    assert not instants or max(instants) in held
