"""Settings: merges `reelshelf.toml`, the environment and the command line."""

import json
import logging
import os
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from generator.adapters.settings.monitoring import MonitoringSettings
from generator.adapters.settings.system_folders import folder_named, homes, mounts
from generator.adapters.settings.toml_tables import (
    FIRST,
    RENAMED,
    TABLES,
    against_private,
    file_key,
    flattened,
    place_of,
    renamed_in,
    table_of,
)
from generator.adapters.settings.url_values import parse_url
from generator.core.errors import SettingsError
from generator.core.library.bucket_roots import SCHEME, BucketRoot, bucket_of
from generator.core.library.folder_overlap import backup_objections, objections
from generator.core.site.contexts import SiteContext

log = logging.getLogger(__name__)
_advised: set[str] = set()  # once for each process

FILE = "reelshelf.toml"
_PREFIX = "REELSHELF_"
_SECRETS = frozenset(
    {"owner_digests", "secret", "secrets", "origin_secrets", "cloudfront_key"}
)  # of the API
_MOST_BYTES = 1 << 20  # of a settings file
_MOST_SHOWN = 200  # of an invalid value
_DAY_S, _YEAR_S = 86_400, 31_536_000
_BIDI_CONTROLS = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # change the direction of text
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"
)  # invalid in XML, or controls
_PATH_SEPARATOR = re.compile(re.escape(os.pathsep) + "(?!//)")  # but not in "s3://"
_PATHS = ("library", "out", "state", "templates", "backup_dir")


def _split_list(value: object) -> object:
    """Split a list from the environment ("a:b")."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _split_roots(value: object) -> object:
    """Parse the roots of a library: folders, and buckets ("s3://bucket/prefix")."""
    if isinstance(value, str):
        value = [part for part in _PATH_SEPARATOR.split(value) if part]
    if not isinstance(value, list | tuple):
        return value
    return tuple(
        bucket_of(root) if isinstance(root, str) and root.startswith(SCHEME) else root
        for root in value
    )


class Settings(MonitoringSettings):
    """All settings.

    Paths are absolute once loaded; a relative one starts at the folder of the settings file.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
    )

    library: Annotated[
        tuple[Path | BucketRoot, ...], NoDecode, BeforeValidator(_split_roots),
        Field(description="Folders of videos, or buckets (s3://bucket/prefix)."),
    ] = ()  # fmt: skip
    out: Annotated[Path, Field(description="Output folder, to be served by nginx or a CDN.")] = (
        Path("site_out")
    )
    state: Annotated[
        Path,
        Field(description="Folder of the catalogue, which you should back up, and of the ledger."),
    ] = Path("state")
    backup_dir: Annotated[
        Path | None,
        Field(
            description="Folder of the backups of the catalogue; by default in the state folder."
        ),
    ] = None
    backups_keep: Annotated[
        int,
        Field(
            ge=1, le=10_000, description="Number of backups to keep, the newest of each day first."
        ),
    ] = 10
    templates: Annotated[
        Path | None,
        Field(description="Folder of your own templates, which override the built-in ones."),
    ] = None
    title: Annotated[str, Field(min_length=1, description="Name of the site.")] = "reelshelf"
    description: Annotated[
        str, Field(description="One sentence about the site, for search engines and feeds.")
    ] = "A library of videos"
    language: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
            description="Language of your titles, as a tag like de or pt-BR.",
        ),
    ] = "en"
    site_url: Annotated[
        str, Field(description="Public URL of the site, for feeds, sitemaps and canonical links.")
    ] = "http://127.0.0.1:8000"
    ignore: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_split_list),
        Field(description="Patterns of files and folders to leave out of the library."),
    ] = ()  # fmt: skip
    follow_links: Annotated[bool, Field(description="Follow symbolic links in the library.")] = (
        False
    )
    folder_tags: Annotated[bool, Field(description="Use the names of folders as tags.")] = True
    settle_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="Seconds that a new file must stay unchanged before it is read.",
        ),
    ] = 2.0
    missing_grace_s: Annotated[
        int,
        Field(
            ge=0,
            le=100 * _YEAR_S,
            description="Seconds until the pages of a missing video are removed.",
        ),
    ] = 600
    forget_missing_days: Annotated[
        int,
        Field(
            ge=0,
            le=36_500,
            description="Days until a missing video is deleted with its ratings; 0: never.",
        ),
    ] = 0
    max_loss_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Largest fraction of the library that one scan may lose, 0 to 1.",
        ),
    ] = 0.5
    scan_every_s: Annotated[
        int,
        Field(
            ge=5,
            le=30 * _DAY_S,
            description="Seconds between full scans, which find changes that inotify missed.",
        ),
    ] = 600
    poll_every_s: Annotated[
        int,
        Field(
            ge=2, le=_DAY_S, description="Seconds between full scans where inotify does not work."
        ),
    ] = 30
    jobs: Annotated[
        int,
        Field(
            ge=0, le=64, description="Number of processes that read videos; 0: one per processor."
        ),
    ] = 0
    file_limit_s: Annotated[
        float, Field(gt=0, le=3600, description="Timeout for one file, in seconds.")
    ] = 30.0
    file_memory_mb: Annotated[
        int, Field(ge=64, le=1 << 20, description="Megabytes of memory that one file may take.")
    ] = 1024
    nice: Annotated[
        int, Field(ge=0, le=19, description="Niceness of these processes, 0 to 19.")
    ] = 5
    embedded_titles: Annotated[
        bool, Field(description="Use titles from inside files where no sidecar has one.")
    ] = True
    storyboards: Annotated[
        bool, Field(description="Make storyboards: thumbnails along the seek bar.")
    ] = True
    renditions: Annotated[
        Literal["off", "remux", "all"],
        Field(description='Playable copies: "off", "remux" (lossless only) or "all".'),
    ] = "off"
    hls_from_minutes: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="Make HLS copies of videos from this length in minutes; 0: none.",
        ),
    ] = 0
    hls_from_mb: Annotated[
        int,
        Field(
            ge=0,
            le=1 << 30,
            description="Make HLS copies of files from this size in megabytes; 0: none.",
        ),
    ] = 0
    compress: Annotated[
        Literal["background", "off"],
        Field(description='Make .gz and .br copies of pages: "background" or "off".'),
    ] = "background"
    api: Annotated[bool, Field(description="Pages call the API to rate, tag and count views.")] = (
        True
    )
    private: Annotated[bool, Field(description="Only the owner and viewers see the site.")] = False
    visitors_may: Annotated[
        tuple[Literal["view", "rate", "favorite"], ...], NoDecode, BeforeValidator(_split_list),
        Field(description='What visitors may do: any of "view", "rate", "favorite".'),
    ] = ("view",)  # fmt: skip
    visitor_writes_per_minute: Annotated[
        int, Field(ge=1, le=1_000_000, description="Writes per minute that one visitor may make.")
    ] = 120
    durable: Annotated[
        bool, Field(description="Answer a write only when it is on the disk (fsync).")
    ] = True
    views_debounce_s: Annotated[
        float,
        Field(
            ge=0,
            le=_DAY_S,
            description="Seconds that views alone wait for a build.",
        ),
    ] = 5.0
    bucket: Annotated[str, Field(description="Bucket that `publish` uploads the site to.")] = ""
    media_bucket: Annotated[
        str, Field(description="Bucket for the videos themselves; empty: the same.")
    ] = ""
    publish_media: Annotated[bool, Field(description="Upload the videos themselves, too.")] = True
    s3_endpoint: Annotated[str, Field(description="URL of an S3-compatible store; empty: AWS.")] = (
        ""
    )
    s3_region: Annotated[
        str, Field(description="Region of the buckets; empty: from the AWS configuration.")
    ] = ""
    publish_encoding: Annotated[
        Literal["none", "gzip"],
        Field(description='Encoding of text in the bucket: "none" (a CDN compresses) or "gzip".'),
    ] = "none"
    page_max_age_s: Annotated[
        int,
        Field(ge=0, le=_YEAR_S, description="Seconds that a CDN may cache a page."),
    ] = 60
    publish_every_s: Annotated[
        float, Field(ge=0, le=21600, description="Minimum seconds between two publishes.")
    ] = 0.0
    delete_grace_s: Annotated[
        int,
        Field(
            ge=0,
            le=100 * _YEAR_S,
            description="Seconds before removed pages and files are deleted from the bucket.",
        ),
    ] = 3600
    delete_limit: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Largest fraction of the bucket that one publish may delete, 0 to 1.",
        ),
    ] = 0.1
    cloudfront_distribution: Annotated[
        str, Field(description="ID of the CloudFront distribution in front of the bucket.")
    ] = ""
    cloudfront_key_pair: Annotated[
        str, Field(description="ID of the public key by which CloudFront checks signed cookies.")
    ] = ""
    invalidations_per_month: Annotated[
        int,
        Field(
            ge=0,
            le=1 << 30,
            description="Paths to invalidate per month; the first 1,000 are free.",
        ),
    ] = 1000
    host_files: Annotated[
        bool, Field(description="Write _headers and _redirects, for hosts that read them.")
    ] = False
    old_addresses: Annotated[
        bool,
        Field(description="Redirect the addresses of a small video server (/watch/<file name>)."),
    ] = False
    queue: Annotated[
        str, Field(description="Queue of events: the URL of an SQS queue, or redis://host:6379/0.")
    ] = ""
    state_bucket: Annotated[
        str,
        Field(description="Versioned bucket for the worker's ownership lock and a Lambda's state."),
    ] = ""
    debounce_ms: Annotated[
        float,
        Field(
            ge=0,
            le=60_000,
            description="Milliseconds to wait for more events before a build.",
        ),
    ] = 3.0
    max_wait_ms: Annotated[
        float,
        Field(ge=0, le=60_000, description="Longest that a build is put off, in milliseconds."),
    ] = 100.0

    @field_validator("title", "description")
    @classmethod
    def _check_text(cls, value: str) -> str:
        line = " ".join(value.split())
        if _CONTROLS.search(line) or _BIDI_CONTROLS.search(line):
            raise ValueError("may hold no control characters, nor such as turn the direction")
        if value and not line:
            raise ValueError("must show something")
        return line

    @field_validator(
        "bucket",
        "media_bucket",
        "s3_endpoint",
        "s3_region",
        "cloudfront_distribution",
        "cloudfront_key_pair",
        "queue",
        "state_bucket",
    )
    @classmethod
    def _check_word(cls, value: str) -> str:
        if value.split() not in ([], [value]) or _CONTROLS.search(value):
            raise ValueError("may hold neither spaces nor control characters")
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        if value:
            parse_url(value)
        return value

    @field_validator("site_url")
    @classmethod
    def _check_site_url(cls, value: str) -> str:
        parts = parse_url(value)
        if parts.query or parts.fragment or value.endswith(("?", "#")):
            raise ValueError('must be like "https://videos.example.org" or "https://host/folder"')
        if not re.fullmatch(r"[A-Za-z0-9/._~-]*", parts.path):
            raise ValueError("its path may hold letters, digits, and / . _ ~ - only")
        path = parts.path.rstrip("/")
        if {"", ".", ".."}.intersection(path.split("/")[1:]):
            raise ValueError("its path may hold no empty parts, nor . or ..")
        return value.rstrip("/")

    @field_validator(*_PATHS, mode="before")
    @classmethod
    def _check_paths(cls, value: object) -> object:
        for path in value if isinstance(value, list | tuple) else (value,):
            if isinstance(path, str | Path) and (not str(path) or "\0" in str(path)):
                raise ValueError("a path is empty" if not str(path) else "a path holds a NUL")
        return value

    @field_validator(*_PATHS)
    @classmethod
    def _resolve_paths(cls, value: Any) -> Any:  # noqa: ANN401 (paths, one or many)
        return _resolve(_current_folder(), value)

    @field_validator("templates")
    @classmethod
    def _check_templates(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("is no folder")
        return value

    @field_validator("out", "state", "backup_dir")
    @classmethod
    def _check_folder(cls, value: Path | None) -> Path | None:
        if value is not None and os.path.lexists(value) and not value.is_dir():
            raise ValueError("is no folder, nor does it lead to one")
        return value

    @field_validator("library")
    @classmethod
    def _check_roots(cls, value: tuple[Path | BucketRoot, ...]) -> tuple[Path | BucketRoot, ...]:
        names = [root.name for root in value]
        if len(set(names)) < len(names):
            raise ValueError("two of its folders have the same name; addresses need them apart")
        for root in value:
            if any(root != other and _lies_in(root, other) for other in value):
                raise ValueError(f"{root} lies within another folder of the library")
        return value

    @property
    def backups(self) -> Path:
        """Return the folder of the backups of the catalogue."""
        return self.backup_dir or self.state / "backups"

    @property
    def roots(self) -> dict[str, Path]:
        """Return the folders of the library by name; a single root has the name ""."""
        return {name: root for name, root in self._roots if isinstance(root, Path)}

    @property
    def buckets(self) -> dict[str, BucketRoot]:
        """Return the buckets of the library by name; a single root has the name ""."""
        return {name: root for name, root in self._roots if isinstance(root, BucketRoot)}

    @property
    def _roots(self) -> list[tuple[str, Path | BucketRoot]]:
        return [("" if len(self.library) == 1 else root.name, root) for root in self.library]

    @property
    def workers(self) -> int:
        """Return the number of media workers."""
        return self.jobs or len(os.sched_getaffinity(0))

    @property
    def site(self) -> SiteContext:
        """Return the origin, base path and title of the site."""
        parts = urlsplit(self.site_url)
        return SiteContext(f"{parts.scheme}://{parts.netloc}", parts.path, self.title)


def load(file: Path | None, overrides: dict[str, Any]) -> Settings:
    """Load the settings: `overrides` win over the environment, and that over the file.

    Old names are taken with a line of advice in the log.

    Args:
        file: the settings file; None for the one in the current folder, if there is one.
        overrides: the options of the command line, by the settings' names.

    Raises:
        SettingsError: with every mistake, not just the first.
    """
    _current_folder()
    path = file or (Path(FILE) if os.path.lexists(FILE) else None)
    written, advice, mistakes = flattened(_read(path)) if path is not None else ({}, [], [])
    for old, new, value in renamed_in(os.environ, _PREFIX):
        written[new.removeprefix(_PREFIX).lower()] = value
        advice.append(f"{old} is {new} now")

    class Loaded(Settings):
        @classmethod
        @override
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, InitSettingsSource(settings_cls, written)

    lines = [*mistakes, *_unknown_variables()]
    hint = "docs/reference/settings.md lists every setting; nothing was changed"
    try:
        settings = Loaded(**overrides)
        overlaps = [f"  {objection}" for objection in _overlaps(settings)]
        if overlaps:
            hint = f"library, output and state must not overlap: {_describe_folders(settings)}"
        lines += overlaps
        if settings.private:
            lines += against_private(has_api=settings.api, has_host_files=settings.host_files)
        if not lines:
            _advise(advice)
            return settings
    except ValidationError as error:
        lines += [f"  {_setting_name(each['loc'])}: {_reason(each)}" for each in error.errors()]
    where = f" ({path})" if path is not None else ""
    raise SettingsError(
        f"{len(lines)} mistake{'s' * (len(lines) > 1)} in the settings{where}:\n"
        + "\n".join(lines),
        hint=hint,
    )


def _advise(advice: list[str]) -> None:
    """Log each outdated name once."""
    for line in advice:
        if line not in _advised:
            log.warning("%s; the old name works until the next release", line)
            _advised.add(line)


def _overlaps(settings: Settings) -> list[str]:
    """Return why the output or the state may not be where it is."""
    roots = [folder_named("library", path) for path in settings.roots.values()]
    out, state = folder_named("out", settings.out), folder_named("state", settings.state)
    backups = folder_named("backup_dir", settings.backups)
    return list(
        dict.fromkeys(
            [
                *objections(out, state, roots, homes(), mounts()),
                *backup_objections(backups, [out, *roots]),
            ]
        )
    )


def _describe_folders(settings: Settings) -> str:
    library = ", ".join(map(str, settings.library)) or "none"
    return f"library {library}; out {settings.out}; state {settings.state}"


def _unknown_variables() -> Iterator[str]:
    """Yield what is wrong with variables of the environment that look like settings."""
    names = Settings.model_fields.keys() | RENAMED.keys() | _SECRETS
    for variable in sorted(os.environ):
        setting = variable.removeprefix(_PREFIX).lower()
        if variable.startswith(_PREFIX) and setting not in names:
            yield f"  {variable} (in the environment): " + _unknown_setting(setting)


def _unknown_setting(name: str) -> str:
    places = {
        key: place_of(field) for field in Settings.model_fields for key in (field, file_key(field))
    }
    close = get_close_matches(name.rpartition(".")[2], places, 1)
    return "unknown setting" + (f"; did you mean {places[close[0]]}?" if close else "")


def commented() -> str:
    """Return a settings file with every setting, its purpose and its default."""
    lines = [
        "# Settings of reelshelf. Commented-out lines show the defaults.",
        "# Environment variables override them: REELSHELF_OUT, REELSHELF_LIBRARY (a:b), …",
        "",
    ]
    others = [name for name in Settings.model_fields if name not in FIRST and not table_of(name)]
    for table, names in {"": (*FIRST, *others), **TABLES}.items():
        lines += [f"[{table}]", ""] if table else []
        for name in names:
            about = Settings.model_fields[name]
            lines += [f"# {about.description}", _example(name, about.default), ""]
    return "\n".join(lines)


def _example(name: str, default: object) -> str:
    key = file_key(name)
    if name == "library":
        return 'library = ["videos"]'
    if default is None:
        return f'# {key} = "my-{key}"'
    if isinstance(default, Path):
        return f'# {key} = "{default}"'
    text = "[]" if default == () else json.dumps(default)
    return f"# {key} = {text}"


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError(
            "the folder that this was started in is gone", hint="`cd` to one that is there"
        ) from error


def _text_of(file: Path) -> str:
    if not file.is_file():
        raise OSError("it is no file" if file.exists() else "there is no such file")
    with file.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(f"it is larger than {_MOST_BYTES >> 20} MB")
    return content.decode("utf-8-sig")


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(_text_of(file))
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"cannot read the settings {file}: they are not UTF-8 (byte {error.start + 1})",
            hint="have your editor save the file as UTF-8",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"cannot read the settings {file}: {error}",
            hint="`reelshelf init` writes a commented one",
        ) from error
    base = file.resolve().parent
    for name in ("out", "state"):
        values.setdefault(name, str(Settings.model_fields[name].default))
    for name in _PATHS:
        value = values.get(name)
        if isinstance(value, str):
            resolved = _resolve_if_valid(base, value)
            values[name] = [resolved] if name == "library" else resolved
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            values[name] = [_resolve_if_valid(base, item) for item in value]
    return values


def _resolve_if_valid(base: Path, value: str) -> object:
    """Return the absolute path; an invalid one unchanged, to be reported by validation."""
    try:
        return _resolve(base, value) if value else value
    except ValueError:
        return value


def _resolve(base: Path, value: Any) -> Any:  # noqa: ANN401 (a path, several, or none)
    if isinstance(value, tuple):
        return tuple(_resolve(base, item) for item in value)
    if value is None or isinstance(value, BucketRoot) or str(value).startswith(SCHEME):
        return value
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{value} names the home folder of an unknown user") from error
    return Path(os.path.normpath(base / path))


def _lies_in(inner: Path | BucketRoot, outer: Path | BucketRoot) -> bool:
    if isinstance(inner, BucketRoot):
        return isinstance(outer, BucketRoot) and inner.lies_in(outer)
    return isinstance(outer, Path) and inner.is_relative_to(outer)


def _setting_name(location: tuple[int | str, ...]) -> str:
    """Return where a setting stands in the file."""
    first, *rest = location or ("settings",)
    return ".".join([place_of(str(first)), *map(str, rest)])


def _reason(error: Any) -> str:  # noqa: ANN401 (pydantic's own mapping)
    if error["type"] == "extra_forbidden":
        return _unknown_setting(str(error["loc"][-1]))
    value = error["input"]
    shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value!s}"
    if len(shown) > _MOST_SHOWN:
        shown = f"{shown[:_MOST_SHOWN]}…"
    return str(error["msg"]).removeprefix("Value error, ") + f" (got {shown})"
