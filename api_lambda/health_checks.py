"""The health of a whole site: rules on what the builder, the disk and the backup left behind.

They are values in, reasons out; `api_lambda.site_figures` reads the values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from generator.adapters.settings import Settings
from generator.core import formatting

_MB, _HOUR_S = 1 << 20, 3600


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """From when on something is a failure; 0 for never."""

    lag_s: int = 300
    watch_s: int = 120
    disk_free_mb: int = 512
    backup_h: int = 168
    backup_required: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits of the settings."""
        return cls(
            settings.health_lag_s and settings.health_lag_s + int(settings.views_debounce_s),
            settings.health_watch_s,
            settings.health_disk_free_mb,
            settings.health_backup_h,
            settings.health_backup_required,
        )


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """What the rules look at. Instants in seconds since 1970; None for what is not there.

    `lag_s`: the age of the oldest event that pages do not show, 0 if they show all; `silent_s`: how
    long nothing was heard of a watching builder; `disk_free_bytes`: of the fullest disk.
    """

    now: int
    lag_s: int
    silent_s: int | None
    watch_stopped: bool
    disk_free_bytes: int | None
    backup_at: int | None


def failing_checks(inputs: HealthInputs, limits: HealthLimits) -> dict[str, str]:
    """Return why each failing check fails, by its name: builder, watch, disk, backup."""
    return dict(_failing(inputs, limits))


def _failing(inputs: HealthInputs, limits: HealthLimits) -> Iterator[tuple[str, str]]:
    if limits.lag_s and inputs.lag_s > limits.lag_s:
        age = age_of(inputs.lag_s)
        yield "builder", f"an event of {age} ago is not on the pages yet: is the builder running?"
    if limits.watch_s and inputs.silent_s is not None:
        if inputs.watch_stopped:
            yield "watch", "watching was stopped: start `reelshelf watch` again"
        elif inputs.silent_s > limits.watch_s:
            silence = age_of(inputs.silent_s)
            yield "watch", f"the watching builder has been silent for {silence}"
    if inputs.disk_free_bytes is not None and inputs.disk_free_bytes < limits.disk_free_mb * _MB:
        yield "disk", f"only {formatting.file_size(inputs.disk_free_bytes)} of the disk are free"
    if inputs.backup_at is None:
        if limits.backup_required:
            yield "backup", "there is no backup of the catalogue"
    elif limits.backup_h and inputs.now - inputs.backup_at > limits.backup_h * _HOUR_S:
        age = age_of(inputs.now - inputs.backup_at)
        yield "backup", f"the last backup of the catalogue is {age} old"


def age_of(seconds: float) -> str:
    """Return "40 seconds", "5 minutes", "3 hours" or "2 days"."""
    for unit_s, name in ((86400, "day"), (_HOUR_S, "hour"), (60, "minute")):
        if seconds >= 2 * unit_s:
            return formatting.counted(int(seconds // unit_s), name)
    return formatting.counted(int(seconds), "second")
