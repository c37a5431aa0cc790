"""Sessions of boto3, for whichever adapter asks AWS, or what speaks like it."""

from functools import lru_cache
from typing import Any


def session() -> Any:  # noqa: ANN401 (boto3 has no types)
    """Return a session of its own: it finds credentials and the region as they are now.

    What boto3 reads of its descriptions of services, a tenth of a second for each client, is read
    once in a process. To import it takes a quarter of a second, so it is imported here.
    """
    import boto3.session  # noqa: PLC0415 (see above)
    import botocore.session  # noqa: PLC0415 (likewise)

    made = botocore.session.Session()
    made.register_component("data_loader", _loader())
    return boto3.session.Session(botocore_session=made)


@lru_cache(maxsize=1)
def _loader() -> Any:  # noqa: ANN401 (likewise)
    import botocore.session  # noqa: PLC0415 (likewise)

    return botocore.session.Session().get_component("data_loader")
