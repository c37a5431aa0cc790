"""The money that the documents speak of is what the arithmetic gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from benchmarks import cost

PAGE = ROOT / "docs" / "explanation" / "cost.md"


@pytest.mark.parametrize(
    "table",
    [cost.price_table, cost.month_table, cost.publish_table, cost.rating_table, cost.load_table],
)
def test_the_document_holds_each_table_as_it_is_printed(table: object) -> None:
    assert callable(table)
    assert table() in PAGE.read_text(encoding="utf-8")


def test_the_first_terabyte_is_free_and_what_follows_gets_cheaper() -> None:
    assert cost.sent(1_000) == 0
    assert cost.sent(1_100) == pytest.approx(8.50)
    assert cost.sent(11_000) == pytest.approx(850)
    assert cost.sent(12_000) == pytest.approx(850 + 80)


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_who_sends_more_pays_no_less(one: float, other: float) -> None:
    less, more = sorted((one, other))

    assert cost.sent(less) <= cost.sent(more) <= more * 0.085


def test_what_is_free_costs_nothing() -> None:
    assert cost.over(999, 1_000, 5) == 0
    assert cost.over(1_001, 1_000, 5) == 5


def test_a_thousand_ratings_cost_their_pages_and_little_else() -> None:
    pages, api = cost.rating_bill(61_000)

    assert pages == pytest.approx(0.305)
    assert api < 0.002


@pytest.mark.parametrize("size", cost.SIZES, ids=lambda amount: amount.name)
def test_a_bill_is_the_sum_of_its_lines_and_publishing_less_often_is_cheaper(
    size: cost.Size,
) -> None:
    bills = [cost.bill(size, often) for often in sorted(size.put)]

    for amount in bills:
        lines = [getattr(amount, name) for name in amount.__slots__]
        assert min(lines) >= 0
        assert amount.total == pytest.approx(sum(lines))
    assert [amount.total for amount in bills] == sorted(amount.total for amount in bills)
