"""Settings of what is measured, and who may read metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Self

from api_lambda.context import RequestContext
from api_lambda.credentials import is_metrics_token
from api_lambda.health_checks import HealthLimits
from api_lambda.permissions import Role, client_of, is_on_this_machine
from api_lambda.problems import Problem
from generator.adapters.settings import Settings


@dataclass(frozen=True, slots=True)
class MonitoringConfig:
    """Settings of what is measured and shown.

    `metrics_from` are addresses or networks that may read /metrics, `themes` the folders of
    templates, the first of which with a style.css counts.
    """

    title: str = "reelshelf"
    out: Path | None = None
    themes: tuple[Path, ...] = ()
    limits: HealthLimits = field(default_factory=HealthLimits)
    metrics_from: tuple[str, ...] = ()
    metrics_token: str = ""
    is_measured: bool = True

    @classmethod
    def of(cls, settings: Settings, shipped: Path | None = None) -> Self:
        """Return the part of the settings; `shipped` is the folder of the shipped templates."""
        themes = (settings.templates, shipped)
        return cls(
            settings.title,
            settings.out,
            tuple(folder for folder in themes if folder is not None),
            HealthLimits.of(settings),
            settings.metrics_from,
            settings.metrics_token,
        )


def require_measured(config: MonitoringConfig) -> None:
    """Require that requests are measured here at all.

    Raises:
        Problem: it is a Lambda.
    """
    if not config.is_measured:
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, "a Lambda is not measured here: see CloudWatch")


def require_scraper(
    request: RequestContext, config: MonitoringConfig, proxies: frozenset[str]
) -> None:
    """Require that a caller may read /metrics: the owner, this machine, or who the settings name.

    Raises:
        Problem: they may not.
    """
    caller = request.caller
    scheme, _, secret = caller.headers.get("authorization", "").partition(" ")
    has_token = scheme.lower() == "bearer" and is_metrics_token(
        secret.strip(), config.metrics_token
    )
    allowed = request.role is Role.OWNER or has_token or is_on_this_machine(caller)
    if not allowed and not _is_among(client_of(caller, proxies), config.metrics_from):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "only the owner, this machine, and who the settings metrics_from and metrics_token"
            " name may read metrics",
        )


def _is_among(client: str, networks: Sequence[str]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address in ip_network(network) for network in networks)
