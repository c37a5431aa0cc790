"""Dates as people, programs, containers and file names write them."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.formatting import date as day_of
from generator.core.formatting import iso_time
from generator.core.media.dates import (
    Moment,
    moment_in_name,
    moment_of,
    moment_of_seconds,
    moment_of_tags,
    placed,
)

_HOUR_MIN = 60


def short(value: object) -> str:
    return repr(value)[:60]


def local(*parts: int, offset_min: int | None = None) -> Moment:
    at = int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type] # of a date
    return Moment(at - (offset_min or 0) * 60, offset_min)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("1962-12-24", local(1962, 12, 24)),
        (date(1962, 12, 24), local(1962, 12, 24)),
        ("1890", local(1890, 1, 1)),
        (1890, local(1890, 1, 1)),
        ("1958-07", local(1958, 7, 1)),
        ("1970-01-01", local(1970, 1, 1)),
        ("1971-01-01", local(1971, 1, 1)),
        ("2024-01-01T00:05:00+01:00", local(2024, 1, 1, 0, 5, offset_min=60)),
        ("2024-01-01 00:05 +0100", local(2024, 1, 1, 0, 5, offset_min=60)),
        ("2024-01-01T00:05:00+01", local(2024, 1, 1, 0, 5, offset_min=60)),
        ("2024-01-01T00:05:00.123456789-03:30", local(2024, 1, 1, 0, 5, offset_min=-210)),
        ("2024-01-01T00:05:00Z", local(2024, 1, 1, 0, 5, offset_min=0)),
        ("2024-01-01 00:05 CET", local(2024, 1, 1, 0, 5)),
        ("2024:05:02 07:30:00", local(2024, 5, 2, 7, 30)),
        ("20240502T073000Z", local(2024, 5, 2, 7, 30, offset_min=0)),
        ("Mon, 01 Jan 2024 00:05:00 +0100", local(2024, 1, 1, 0, 5, offset_min=60)),
        ("15 Sep 2009, 12:00:00 UTC", local(2009, 9, 15, 12, offset_min=0)),
        ("September 15, 2009", local(2009, 9, 15)),
        ("December 1962", local(1962, 12, 1)),
        ("24.12.1962", local(1962, 12, 24)),
        ("12/24/1962 3:04 PM", local(1962, 12, 24, 15, 4)),
        ("04.07.1962", None),
        ("\u0662\u0660\u0662\u0661-\u0660\u0667-\u0660\u0664", local(2021, 7, 4)),
        ("\uff12\uff10\uff12\uff11\uff0d\uff10\uff17\uff0d\uff10\uff14", local(2021, 7, 4)),
        ("2021年7月4日", local(2021, 7, 4)),
        ("\u200f2021-07-04", local(2021, 7, 4)),
        (-144_720_000, local(1965, 6, 1, offset_min=0)),
        (1_625_405_400_000, local(2021, 7, 4, 13, 30, offset_min=0)),
        # what cannot be is left out, and the rest is kept
        ("2024-01-01T24:00:00", local(2024, 1, 2)),
        ("2024-12-31T23:59:60Z", local(2024, 12, 31, 23, 59, 59, offset_min=0)),
        ("2024-01-01T12:61", local(2024, 1, 1)),
        ("2024-01-01T25:00", local(2024, 1, 1)),
        ("2024-01-01T00:05:00+15:00", local(2024, 1, 1, 0, 5)),
        ("2024-01-01T00:05:00-14:30", local(2024, 1, 1, 0, 5)),
        ("2024-01-14 or so", local(2024, 1, 14)),
        ("2024-02-30", None),
        ("-0044-03-15", None),
        ("0000-01-01", None),
        ("0001-01-01T00:00:00", None),
        ("10000-01-01", None),
        ("1" * 1_000_000, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**40, None),
        (True, None),
        (None, None),
        ("", None),
        ("1958 or so", None),
    ],
    ids=short,
)
def test_what_is_written_is_read_with_the_zone_it_is_written_with(
    written: object, moment: Moment | None
) -> None:
    assert moment_of(written) == moment


@given(
    st.datetimes(datetime(1800, 1, 2), datetime(2100, 12, 30)),  # noqa: DTZ001 - Hypothesis wants them naive
    st.integers(-14 * _HOUR_MIN, 14 * _HOUR_MIN),
)
def test_a_time_of_a_place_is_read_back_and_its_day_is_that_of_the_place(
    naive: datetime, offset_min: int
) -> None:
    there = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=offset_min)))

    moment = moment_of(there)

    assert moment == Moment(int(there.timestamp()), offset_min)
    assert day_of(moment.at, moment.offset_min) == there.date().isoformat()
    assert iso_time(moment.at, moment.offset_min) == there.isoformat()
    assert iso_time(moment.at, None) == there.astimezone(UTC).replace(tzinfo=None).isoformat()


@given(st.text() | st.from_regex(r"\d{1,5}[-/.:]\d{1,3}[-/.:]\d{1,3}.{0,30}"))
def test_no_text_breaks_the_reading_of_dates(text: str) -> None:
    readings = (
        moment_of(text),
        moment_of_seconds(text),
        moment_of_tags({"date": text}),
        moment_of_tags({"creation_time": text}),
        moment_in_name(text),
    )

    for moment in filter(None, readings):
        assert "1799-12-31" <= day_of(moment.at, moment.offset_min) <= "2101-01-01"


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        ("-144720000", local(1965, 6, 1, offset_min=0)),
        (-5, Moment(-5, 0)),
        ("1253016000", local(2009, 9, 15, 12, offset_min=0)),
        (1_600_000_000.7, Moment(1_600_000_000, 0)),
        ("0", None),  # what programs write for none
        (0, None),
        ("1965-06-01", local(1965, 6, 1)),
        ("-99999999999", None),
    ],
    ids=short,
)
def test_seconds_since_1970_may_be_negative(number: object, moment: Moment | None) -> None:
    assert moment_of_seconds(number) == moment


@pytest.mark.parametrize(
    ("tags", "moment"),
    [
        ({}, None),
        ({"creation_time": "1904-01-01T00:00:00.000000Z"}, None),
        ({"creation_time": "1903-12-31T23:00:00Z"}, None),
        ({"creation_time": "1970-01-01T00:00:00.000000Z"}, None),
        ({"creation_time": "1969-12-31T16:00:00Z"}, None),
        ({"creation_time": "1970-01-01T01:00:00+0100"}, None),
        ({"com.apple.quicktime.creationdate": "1904-01-01T01:00:00+0100"}, None),
        ({"date": "1970-01-01T00:00:00Z"}, None),
        ({"creation_time": "1965-06-01T10:00:00Z"}, local(1965, 6, 1, 10, offset_min=0)),
        ({"creation_time": "1980-01-01T00:00:00Z"}, local(1980, 1, 1, offset_min=0)),
        ({"creation_time": "2101-01-01T00:00:00Z"}, None),
        ({"creation_time": "yesterday"}, None),
        ({"date": "1965-06-01"}, local(1965, 6, 1)),
        ({"date": "1970-01-01"}, local(1970, 1, 1)),
        ({"date": "1970"}, local(1970, 1, 1)),
        ({"date": "2012"}, local(2012, 1, 1)),
        ({"date": "2012-02-31"}, None),
        ({"DATE": "20120102"}, local(2012, 1, 2)),
        ({"date": "2012-01-02 03:04:05"}, local(2012, 1, 2, 3, 4, 5)),
        (
            {
                "creation_time": "2023-12-31T23:05:00Z",
                "com.apple.quicktime.creationdate": "2024-01-01T00:05:00+0100",
            },
            local(2024, 1, 1, 0, 5, offset_min=60),
        ),
        (  # an older phone has the zone in the date alone
            {"creation_time": "2012-07-04T22:30:00Z", "date": "2012-07-05T00:30:00+0200"},
            local(2012, 7, 5, 0, 30, offset_min=120),
        ),
        (  # the year that somebody tagged does not make the clock less exact
            {"creation_time": "2021-07-04T13:30:00Z", "date": "2021"},
            local(2021, 7, 4, 13, 30, offset_min=0),
        ),
        (  # of a film that was digitized
            {"creation_time": "2021-07-04T13:30:00Z", "date": "1958"},
            local(1958, 1, 1),
        ),
        (
            {"creation_time": "1904-01-01T00:00:00Z", "date": "2012-01-02T00:00:00Z"},
            local(2012, 1, 2, offset_min=0),
        ),
    ],
)
def test_of_a_container_only_an_unset_clock_is_not_believed(
    tags: dict[str, str], moment: Moment | None
) -> None:
    assert moment_of_tags(tags) == moment


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("VID_20210704_153000.mp4", local(2021, 7, 4, 15, 30)),
        ("VID20210704153000.mp4", local(2021, 7, 4, 15, 30)),
        ("PXL_20210704_123456789.LS.mp4", local(2021, 7, 4, 12, 34, 56, offset_min=0)),
        # what is no whole time is a counter
        ("2021-07-04 10234.mp4", local(2021, 7, 4)),
        ("20210704 12345678.mp4", local(2021, 7, 4)),
        ("20210704 123456789.mp4", local(2021, 7, 4)),
        ("00010 - 20210101 - 20200101.mp4", local(2021, 1, 1)),
        ("2021-07-04 12.30.00.mov", local(2021, 7, 4, 12, 30)),
        ("20210704_153000(0).mp4", local(2021, 7, 4, 15, 30)),
        ("20210704T153000Z.mp4", local(2021, 7, 4, 15, 30, offset_min=0)),
        ("Screen Recording 2021-07-04 at 15.30.00.mov", local(2021, 7, 4, 15, 30)),
        ("Screen Recording 2021-07-04 at 3.30.00\u202fPM.mov", local(2021, 7, 4, 15, 30)),
        ("WhatsApp Video 2021-07-04 at 15.30.00 (1).mp4", local(2021, 7, 4, 15, 30)),
        ("signal-2021-07-04-15-30-00-123.mp4", local(2021, 7, 4, 15, 30)),
        ("video_2021-07-04_15-30-00.mp4", local(2021, 7, 4, 15, 30)),
        ("2021-07-04_15-30-00_UTC.mp4", local(2021, 7, 4, 15, 30, offset_min=0)),
        ("GMT20210704-153000_Recording_1920x1080.mp4", local(2021, 7, 4, 15, 30, offset_min=0)),
        ("DJI_20210704153000_0001_D.MP4", local(2021, 7, 4, 15, 30)),
        ("2021_0704_153000_123.MP4", local(2021, 7, 4, 15, 30)),
        ("IMG-20210704-WA0001.mp4", local(2021, 7, 4)),
        ("Trip [20210704].mp4", local(2021, 7, 4)),
        ("1965-06-01 Beach.mp4", local(1965, 6, 1)),
        ("24.07.2021 Party.mp4", local(2021, 7, 24)),
        ("\u0662\u0660\u0662\u0661-\u0660\u0667-\u0660\u0664.mp4", local(2021, 7, 4)),
        ("1625405400000.mp4", local(2021, 7, 4, 13, 30, offset_min=0)),
        ("mmexport1625405400000.mp4", local(2021, 7, 4, 13, 30, offset_min=0)),
    ],
)
def test_a_name_holds_a_date_as_cameras_and_programs_write_it(name: str, moment: Moment) -> None:
    assert moment_in_name(name) == moment


@pytest.mark.parametrize(
    "name",
    [
        "GX010012.MP4",
        "DSC_0012.MOV",
        "film 1920x1080.mp4",
        "Movie (2019).mp4",
        "04.07.2021.mp4",
        "3f19991231ab.mp4",
        "a19991231.mp4",
        "Title [ab-19991231].mp4",
        "19991231-1234-4abc-8def-0123456789ab.mp4",
        "123420210704.mp4",
        "12-2021-07-04.mp4",
        "2021-02-30.mp4",
        "1234567890123456.mp4",
        "clip 1625405400000 x.mp4",
        "1.2021.07.04.mp4",
    ],
)
def test_a_number_that_only_looks_like_a_date_is_none(name: str) -> None:
    assert moment_in_name(name) is None


@pytest.mark.parametrize(
    ("clock", "name", "offset_min"),
    [
        (local(2023, 12, 31, 23, 5, 9, offset_min=0), "VID_20240101_000500.mp4", 60),
        (local(2023, 12, 31, 23, 7, 40, offset_min=0), "VID_20240101_000500.mp4", 60),  # its end
        (local(2024, 1, 1, 0, 5, offset_min=0), "VID_20240101_053500.mp4", 330),
        (local(2024, 1, 1, 0, 5, offset_min=0), "VID_20240101_001200.mp4", 0),  # no offset
        (local(2024, 1, 1, 0, 5, offset_min=0), "VID_20210704_000500.mp4", 0),  # another day
        (local(2024, 1, 1, 0, 5, offset_min=0), "IMG-20240101-WA0001.mp4", 0),  # no time
        (local(2024, 1, 1, 0, 5, offset_min=0), "PXL_20240101_010500000.mp4", 0),  # no local one
        (local(2024, 1, 1, 0, 5, offset_min=540), "VID_20240101_010500.mp4", 540),
    ],
)
def test_a_clock_in_utc_and_a_local_name_tell_the_zone_together(
    clock: Moment, name: str, offset_min: int
) -> None:
    named = moment_in_name(name)
    assert named is not None

    assert placed(clock, named, 160.0) == Moment(clock.at, offset_min)
