"""boto3 sessions, for adapters of AWS and compatible services."""

from datetime import datetime
from functools import lru_cache
from typing import Any


def session() -> Any:  # noqa: ANN401 (boto3 has no types)
    """Return a new session, with the current credentials and region.

    The service descriptions of boto3, a tenth of a second for each client, are loaded once per
    process. Importing boto3 takes a quarter of a second, so it is imported here.
    """
    import boto3.session  # noqa: PLC0415 (see above)
    import botocore.session  # noqa: PLC0415 (likewise)

    core_session = botocore.session.Session()
    core_session.register_component("data_loader", _loader())
    parsers = core_session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_timestamp)
    return boto3.session.Session(botocore_session=core_session)


@lru_cache(maxsize=1)
def _loader() -> Any:  # noqa: ANN401 (likewise)
    import botocore.session  # noqa: PLC0415 (likewise)

    return botocore.session.Session().get_component("data_loader")


def _timestamp(value: object) -> datetime:
    """Parse a timestamp of a response; botocore's own way is two thirds of reading a listing."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    from botocore.utils import parse_timestamp  # noqa: PLC0415 (likewise)

    parsed: datetime = parse_timestamp(value)
    return parsed
