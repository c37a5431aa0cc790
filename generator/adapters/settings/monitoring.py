"""The settings of what is measured, and of when that is a failure."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_DAY_S = 86_400


def _split_addresses(value: object) -> object:
    """Split addresses from the environment ("10.0.0.5,10.1.0.0/16"), and check them.

    Raises:
        ValueError: one is neither an address nor a network.
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        return tuple(str(ip_network(address)) for address in value)
    return value


class MonitoringSettings(BaseSettings):
    """A part of `Settings`."""

    model_config = SettingsConfigDict()

    metrics_from: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_split_addresses),
        Field(description="Addresses or networks that may read /metrics, besides this machine."),
    ] = ()  # fmt: skip
    metrics_token: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z0-9._~+/=-]{16,256})?$",
            description="Bearer token that may read /metrics, and nothing else; empty: none.",
        ),
    ] = ""
    log_format: Annotated[
        Literal["text", "json"],
        Field(description='Log of the API: "text", or "json" with a line for each request.'),
    ] = "text"
    health_lag_s: Annotated[
        int,
        Field(
            ge=0,
            le=30 * _DAY_S,
            description="Seconds until an event that pages do not show is a failure; 0: never.",
        ),
    ] = 300
    health_watch_s: Annotated[
        int,
        Field(
            ge=0,
            le=30 * _DAY_S,
            description="Seconds of silence of `reelshelf watch` that are a failure; 0: never.",
        ),
    ] = 120
    health_disk_free_mb: Annotated[
        int,
        Field(ge=0, le=1 << 30, description="Megabytes that have to be free on the disk."),
    ] = 512
    health_backup_h: Annotated[
        int,
        Field(ge=0, le=87_600, description="Hours after which the last backup is too old; 0: any."),
    ] = 168
    health_backup_required: Annotated[
        bool, Field(description="Having no backup at all is a failure, too.")
    ] = False
