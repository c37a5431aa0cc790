"""A private site is published only where CloudFront asks for signed cookies."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from generator.build.engine import Engine
from generator.core.errors import SettingsError
from generator.publish import Publisher, publisher_of


def engine(**more: object) -> Engine:
    """Return as much of an engine as it takes to see whether it may publish."""
    settings: dict[str, Any] = {
        "bucket": "site", "media_bucket": "", "s3_endpoint": "", "s3_region": "eu-central-1",
        "cloudfront_distribution": "", "cloudfront_key_pair": "", "private": False, **more,
    }  # fmt: skip
    return cast("Engine", SimpleNamespace(settings=SimpleNamespace(**settings)))


@pytest.mark.parametrize("more", [{}, {"cloudfront_distribution": "E1"}])
def test_a_private_site_is_not_published_for_everybody(more: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="everybody could read") as raised:
        publisher_of(engine(private=True, **more))
    assert "key_pair" in raised.value.hint


def test_with_signed_cookies_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publisher, "__init__", lambda *_, **__: None)
    assert publisher_of(engine(private=True, cloudfront_key_pair="K1"))
