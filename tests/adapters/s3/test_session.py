"""Sessions of boto3: timestamps are read as botocore reads them, in a tenth of the time."""

import pytest
from botocore.utils import parse_timestamp

from generator.adapters.s3 import session


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-30T20:40:00.000Z", "2026-11-30T20:40:00Z", "2026-11-30T20:40:00.123456Z",
        "1601-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Mon, 30 Nov 2026 20:40:00 GMT",
        1796071200, "1796071201", 1796071200.5, "20261130T204000Z", "2026-11-30T20:40:00+02:00",
    ],
)  # fmt: skip
def test_timestamps_are_those_of_botocore(value: object) -> None:
    assert session._timestamp(value) == parse_timestamp(value)  # noqa: SLF001


def test_clients_use_it() -> None:
    factory = session.session()._session.get_component("response_parser_factory")  # noqa: SLF001
    parser = factory.create_parser("rest-xml")

    assert parser._timestamp_parser is session._timestamp  # noqa: SLF001
