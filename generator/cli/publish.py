"""`publish`: the site into a bucket, once or after every build, and back."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from generator.adapters.settings import Settings, load
from generator.build.engine import Engine
from generator.cli.help import PUBLISH, renamed_flag
from generator.cli.options import (
    AcceptLoss,
    Adopt,
    Config,
    Json,
    Out,
    Verbose,
    app,
    settled,
    shipped,
    show,
    start_log,
    stoppable,
    tell_line,
    tell_published,
    watching_on,
)
from generator.cli.progress import progress_bar
from generator.cli.terminal import err
from generator.core import formatting
from generator.core.delivery.publish_plan import PRICES, PublishReceipt
from generator.core.errors import BusyError, SettingsError
from generator.core.formatting import readable
from generator.publish import Publisher, publisher_of
from generator.worker.publish_schedule import PublishingBackgroundWork, PublishSchedule

__all__ = ["publish", "publisher_of"]

log = logging.getLogger(__name__)

_SHOWN = 20  # objects, one by one


@app.command(rich_help_panel=PUBLISH)
def publish(
    config: Config = None,
    out_folder: Out = None,
    bucket: Annotated[
        str | None,
        typer.Option(
            "--bucket", "-b", help="The bucket to publish to, instead of the setting `bucket`."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would be done and what it costs."),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="List the bucket, and repair what others changed.")
    ] = False,
    keep_others: Annotated[
        bool,
        typer.Option(
            "--keep-others",
            help="Publish beside objects that reelshelf did not upload; leave them as they are.",
        ),
    ] = False,
    adopt: Adopt = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace objects that reelshelf did not upload if a page needs their key.",
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what is left where the site was published before."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Ignore the deletion limit and overwrite newer pages.")
    ] = False,
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Restore the previous publish, and pause publishing."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Build and publish whenever something changes.")
    ] = False,
    accept_loss: AcceptLoss = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Upload what changed to the bucket, and print the receipt."""
    keep_others = renamed_flag("--adopt", "--keep-others", old_value=adopt, new_value=keep_others)
    if sum((dry_run, rollback, watch)) > 1 or (
        rollback and (verify or force or keep_others or replace or prune)
    ):
        raise SettingsError(
            "--dry-run, --rollback and --watch cannot be combined",
            hint="--verify, --force, --keep-others, --replace and --prune work with a publish,"
            " --watch or --dry-run",
        )
    settings = _settings(config, bucket, out_folder)
    start_log(verbose=verbose, as_json=as_json)
    asked: dict[str, bool] = {
        "verify": verify, "force": force, "keep_others": keep_others, "replace": replace,
        "prune": prune,
    }  # fmt: skip
    if watch:
        _watch(settings, asked, accept_loss=accept_loss, as_json=as_json)
        return
    try:
        engine = Engine(settings, shipped("templates"))
    except BusyError as error:
        raise BusyError(
            str(error), hint="stop it, or run `reelshelf publish --watch` instead"
        ) from error
    with stoppable(), engine:
        publisher = publisher_of(engine)
        if dry_run:
            receipt, _ = publisher.preview(**asked)
            _tell(receipt, as_json=as_json, dry=True)
            return
        with progress_bar(as_json=as_json) as progress:
            if rollback:
                receipt = publisher.rollback(progress)
            else:
                receipt = publisher.publish(**asked, by_hand=True, progress=progress)
        _tell(receipt, as_json=as_json)
    if receipt.left or receipt.refused or receipt.invalidation_error:
        raise typer.Exit(1)


def _settings(config: Path | None, bucket: str | None, out_folder: Path | None) -> Settings:
    settings = settled(config)
    options = {"bucket": bucket, "out": out_folder}
    overrides: dict[str, Any] = {
        name: value for name, value in options.items() if value is not None
    }
    if overrides:
        settings = load(config, overrides)
    if not settings.bucket:
        raise SettingsError(
            "no bucket is configured",
            hint='use --bucket NAME, or set bucket = "NAME" in [s3] of reelshelf.toml',
        )
    return settings


def _watch(
    settings: Settings, asked: Mapping[str, bool], *, accept_loss: bool, as_json: bool
) -> None:
    with (
        suppress(KeyboardInterrupt),  # how it is meant to be stopped
        Engine(settings, shipped("templates")) as engine,
        watching_on(engine, settings) as watching,
    ):
        watching.accept_loss = accept_loss
        publisher = _AsAsked(publisher_of(engine), asked)
        beat = PublishSchedule(engine, publisher, settings.publish_every_s)
        beat.on_published = partial(tell_published, as_json=as_json)

        def retry() -> None:
            if beat.is_due():
                beat.publish()

        watching.background = PublishingBackgroundWork(watching.background, retry)
        for receipt in watching.receipts():
            tell_line(receipt, as_json=as_json)
            beat.publish()


class _AsAsked:
    """Publishes as a person asked for it: only the first time with more than `force`."""

    def __init__(self, publisher: Publisher, asked: Mapping[str, bool]) -> None:
        self._publisher, self._asked = publisher, asked

    @property
    def cursor(self) -> int:
        """Return the number of the last event on published pages."""
        return self._publisher.cursor

    def publish(self) -> PublishReceipt:
        """Bring the bucket up to date."""
        receipt = self._publisher.publish(**self._asked, progress=None)
        self._asked = {"force": self._asked["force"]}
        return receipt

    def is_behind(self) -> bool:
        """Return whether the bucket may be behind."""
        return self._publisher.is_behind()


def _tell(receipt: PublishReceipt, *, as_json: bool, dry: bool = False) -> None:
    show(as_json, {**receipt.as_dict(), "dry_run": dry}, "\n".join(_lines(receipt, dry=dry)))
    if not as_json:
        for path, reason in list(receipt.left.items())[:_SHOWN]:
            err.print(f"{readable(path)}: {reason}")
        if len(receipt.left) > _SHOWN:
            err.print(f"and {len(receipt.left) - _SHOWN} more; --json lists all")


def _lines(receipt: PublishReceipt, *, dry: bool) -> list[str]:
    did = "to put" if dry else "put"
    size = formatting.file_size(receipt.bytes)
    lines = [f"objects  {receipt.put} {did} ({size}), {receipt.unchanged} unchanged"]
    lines += [f"           {n:>7}  {kind}" for kind, n in sorted(receipt.kinds.items())]
    counts = {
        "already there": receipt.adopted,
        "newer in the bucket, left alone": receipt.late,
        "left for the next publish": len(receipt.left),
        "foreign, left alone": len(receipt.foreign),
        f"foreign, {'to be ' if dry else ''}replaced": len(receipt.replaced),
    }
    if told := ", ".join(f"{count} {name}" for name, count in counts.items() if count):
        lines.append(f"others   {told}")
    if dry:
        lines += [f"           {readable(key)}" for key in receipt.replaced]
    lines.append(
        f"gone     {receipt.deleted} {'to delete' if dry else 'deleted'},"
        f" {receipt.waiting} to be deleted later"
    )
    if receipt.refused:
        lines.append(f"         {receipt.refused} deletions exceed delete_limit: use --force")
    for left in receipt.left_behind:
        at = f" at {left.endpoint}" if left.endpoint else ""
        lines.append(
            f"former   {left.objects} objects of this site are still in {readable(left.place)}{at}"
            f" ({readable(left.example)}, …): use --prune to delete them"
        )
    if receipt.invalidated or receipt.invalidation_error:
        lines.append(f"cdn      {receipt.invalidated} paths invalidated")
    if receipt.invalidation_error:
        lines.append(f"         {receipt.invalidation_error}")
    lines += _account(receipt, dry=dry)
    if receipt.is_held:
        lines.append("publishing is paused until you run `reelshelf publish` without --watch")
    return lines


def _account(receipt: PublishReceipt, *, dry: bool) -> list[str]:
    times = ", ".join(f"{name} {value:.2f}" for name, value in receipt.seconds.items())
    sent = ", ".join(f"{count} {name}" for name, count in receipt.requests.items()) or "none"
    will = "it would cost" if dry else "about"
    return [
        f"requests {sent}" + (" (nothing was changed)" if dry else ""),
        f"cost     {will} {receipt.usd:.6f} USD ({PRICES})",
        f"seconds  {receipt.total_s:.2f} ({times})",
    ]
