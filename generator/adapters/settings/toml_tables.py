"""The layout of reelshelf.toml: its tables, the keys in them, and names that settings had before.

In the environment a setting has its own name: `[s3] endpoint` is REELSHELF_S3_ENDPOINT.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

FIRST: Final = (  # what most people set
    "library", "out", "title", "description", "site_url", "language", "ignore", "templates",
)  # fmt: skip
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "watch": (
        "settle_s", "missing_grace_s", "forget_missing_days", "max_loss_share", "scan_every_s",
        "poll_every_s", "debounce_ms", "max_wait_ms", "views_debounce_s",
    ),
    "media": (
        "jobs", "nice", "file_limit_s", "file_memory_mb", "embedded_titles", "storyboards",
        "renditions", "hls_from_minutes", "hls_from_mb",
    ),
    "api": (
        "api", "private", "visitors_may", "visitor_writes_per_minute", "durable", "queue",
        "metrics_from", "metrics_token", "log_format",
    ),
    "health": (
        "health_lag_s", "health_watch_s", "health_disk_free_mb", "health_backup_h",
        "health_backup_required",
    ),
    "s3": (
        "bucket", "media_bucket", "state_bucket", "s3_endpoint", "s3_region", "publish_media",
        "publish_encoding", "page_max_age_s", "publish_every_s", "delete_grace_s", "delete_limit",
    ),
    "cloudfront": ("cloudfront_distribution", "cloudfront_key_pair", "invalidations_per_month"),
}  # fmt: skip
RENAMED: Final[Mapping[str, str]] = {
    "quiet_s": "settle_s",
    "loss_limit": "max_loss_share",
    "batch_ms": "debounce_ms",
    "batch_limit_ms": "max_wait_ms",
    "views_wait_s": "views_debounce_s",
    "endpoint": "s3_endpoint",
    "region": "s3_region",
    "fresh_s": "page_max_age_s",
    "distribution": "cloudfront_distribution",
}
_TABLE_OF: Final = {name: table for table, names in TABLES.items() for name in names}
_SWITCH = "enabled"  # the key of what is called like its table


def table_of(name: str) -> str:
    """Return the table that a setting is in, "" for none."""
    return _TABLE_OF.get(name, "")


def file_key(name: str) -> str:
    """Return what a setting is called in its table."""
    table = table_of(name)
    return _SWITCH if name == table else name.removeprefix(f"{table}_")


def place_of(name: str) -> str:
    """Return where a setting stands in the file: `[s3] endpoint`, or `title`."""
    table = table_of(name)
    return f"[{table}] {file_key(name)}" if table else name


def flattened(written: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the settings by their names, advice, and mistakes.

    An unknown setting keeps its name, with its table in front, for whoever checks the names.

    Args:
        written: a settings file.
    """
    values: dict[str, Any] = {}
    advice: list[str] = []
    mistakes: list[str] = []
    for path, key, value in _entries(written):
        name = RENAMED.get(key, key)
        if name in values:
            mistakes.append(f"  {path}: {place_of(name)} is set twice")
        values[name] = value
        if name in _TABLE_OF and path != place_of(name):
            advice.append(f"{path} is {place_of(name)} now")
    return values, advice, mistakes


def _entries(written: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield where each value stands, its name or an old one, and the value."""
    for key, value in written.items():
        if key not in TABLES or not isinstance(value, Mapping):
            yield key, key, value
            continue
        names = {file_key(name): name for name in TABLES[key]}
        for inner, content in value.items():
            old = inner if table_of(RENAMED.get(inner, inner)) == key else f"{key}.{inner}"
            yield f"[{key}] {inner}", names.get(inner, old), content


def renamed_in(environment: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield (old variable, new one, value) of settings that are set by an old name."""
    for old, name in RENAMED.items():
        value = environment.get(f"{prefix}{old.upper()}")
        if value is not None and f"{prefix}{name.upper()}" not in environment:
            yield f"{prefix}{old.upper()}", f"{prefix}{name.upper()}", value


def against_private(*, has_api: bool, has_host_files: bool) -> Iterator[str]:
    """Yield which other settings a private site cannot have, a line each."""
    if not has_api:
        yield "  [api] private: needs the API, which knows who may see the site: enabled = true"
    if has_host_files:
        yield "  host_files: a host that reads _headers shows a private site to everybody"
