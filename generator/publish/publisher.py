"""The publisher: take inventory, plan, upload, commit; and roll back to the former publish."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from generator.adapters.ledger.published import PreviousVersion, PublishedRecord
from generator.adapters.s3.bucket import Bucket
from generator.adapters.s3.cloudfront import Distribution
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.delivery.invalidations import Invalidations, plan_invalidations
from generator.core.delivery.publish_plan import (
    DesiredObject,
    ObjectKind,
    PublishedObject,
    PublishPlan,
    PublishReceipt,
    Put,
    deletion_steps,
    is_loopback_origin,
    most_deletions,
    object_kind,
    plan_publish,
    requests_usd,
    upload_steps,
)
from generator.core.errors import PublishError, SettingsError
from generator.core.formatting import readable
from generator.core.model import OutPath
from generator.publish.former_targets import FormerTargets
from generator.publish.inventory import Inventory, InventoryTaker
from generator.publish.journal import Journal
from generator.publish.ownership import SiteOwnership
from generator.publish.publish_state import PublishState
from generator.publish.site_objects import THREADS, UNKNOWN, SiteObjects
from generator.publish.upload import FILES, Conditions, Uploader, UploadResult, foreign

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """The options of one publish: see `Publisher.publish`."""

    force: bool
    verify: bool
    keep_others: bool
    replace: bool
    by_hand: bool = False
    prune: bool = False
    overwrite_newer: bool = False


class Publisher:
    """Publishes what an engine built. For the thread of the engine; starts threads of its own.

    Args:
        engine: the builder of the site; it must not build meanwhile.
        bucket: the target.
        cdn: the CDN in front of the bucket.
        settings: None for those of the engine.
        clock: returns the current time, in seconds since 1970.
        media_bucket: the target of the videos themselves; None: the same bucket.
    """

    def __init__(
        self,
        engine: Engine,
        bucket: Bucket,
        cdn: Distribution | None = None,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.time,
        *,
        media_bucket: Bucket | None = None,
    ) -> None:
        self._engine, self._cdn, self._clock = engine, cdn, clock
        self._settings, self._ledger = settings or engine.settings, engine.ledger
        self._record = PublishedRecord(lambda: engine.ledger.connection)
        self._objects = SiteObjects(engine, self._settings, bucket, media_bucket)
        self._state = PublishState(engine, self._settings, self._objects, clock)
        with_media = self._settings.publish_media
        self._ownership = SiteOwnership(self._objects, self._state, with_media=with_media)
        self._inventory_taker = InventoryTaker(
            engine, self._settings, self._objects, self._state, self._record, self._ownership
        )
        self._former_targets = FormerTargets(
            self._settings, self._objects, self._state, self._record
        )
        self._changed: list[OutPath] = []
        self._logged_hold = False
        self._logged_left: dict[str, str] = {}
        self._warned_address = False

    @property
    def cursor(self) -> int:
        """Return the number of the last event that published pages reflect.

        While publishing is held after a rollback, the local pages count.
        """
        return self._engine.cursor if self.is_held else self._state.cursor

    @property
    def put(self) -> Sequence[OutPath]:
        """Return the pages and generated files that the last publish put or deleted."""
        return self._changed

    @property
    def is_held(self) -> bool:
        """Return whether publishing is on hold after a rollback, until a manual publish."""
        return bool(self._state.get("held"))

    def is_behind(self) -> bool:
        """Return whether the bucket may lack committed changes; sends no request."""
        if self.is_held:
            return False
        return (
            self._state.must_be_full()
            or self.cursor < self._engine.cursor
            or self._record.has_pending_pages()
            or self._record.is_any_gone_until(self._now() - self._settings.delete_grace_s)
            or self._record.is_any_refused_until(self._now())
        )

    def mark_suspect(self, paths: Iterable[OutPath] = ()) -> None:
        """Mark these paths, and those not yet published, as unverified: check the bucket first.

        For builders whose record may be older than what another builder put meanwhile.
        """
        record, prefix = self._record, self._objects.prefix
        doubtful = list(dict.fromkeys([*paths, *record.pending_pages()]))
        recorded = record.of([prefix + path for path in doubtful])
        pages = {path for path, _, _ in record.pages_at(doubtful)}
        videos = {item.video for item in recorded.values() if item.video is not None}
        made = {item.path for item in recorded.values() if item.video is not None}
        with record.transaction():
            record.forget_etags(recorded)
            record.add_pending_pages(path for path in doubtful if path not in made)
            record.set_pending_videos([*record.pending_videos(), *videos])
            record.put(
                PublishedObject(
                    prefix + path, path, object_kind(path), UNKNOWN, "", 0, gone_at=self._now()
                )
                for path in doubtful
                if prefix + path not in recorded and path not in pages
            )

    def mark_restored(self) -> None:
        """Make the next publish compare the bucket, and overwrite newer objects.

        For a record that was restored with its catalogue: the bucket shows what is lost.
        """
        with self._record.transaction():
            self._state.remember(whole="", restored="1")

    def publish(  # noqa: PLR0913 (one for each option of the command)
        self,
        *,
        force: bool = False,
        verify: bool = False,
        keep_others: bool = False,
        replace: bool = False,
        prune: bool = False,
        by_hand: bool = False,
        progress: Progress | None = None,
    ) -> PublishReceipt:
        """Bring the bucket up to date, and return a receipt.

        If nothing changed, no request is sent.

        Args:
            force: ignore the limit of deletions, and overwrite newer pages.
            verify: list the bucket, and repair objects that are not as they were put.
            keep_others: the same, in a bucket that also has foreign objects; all of them stay.
            replace: the same, but foreign objects at needed keys are replaced, and so is the mark
                of another site; no others are touched.
            prune: delete what is left in former targets.
            by_hand: a manual publish: it ends the hold after a rollback, and retries refused
                objects at once.
            progress: called with the step, the number done, and the total.

        Raises:
            PublishError: what was put is recorded; the next publish resumes from there.
        """
        receipt, before = self._receipt(), self._counts()
        self._changed = []
        if self.is_held and not by_hand:
            if not self._logged_hold:
                log.warning(
                    "publishing is paused after a rollback, until you run `reelshelf publish`"
                )
            self._logged_hold = receipt.is_held = True
            return receipt
        self._check_built()
        self._logged_hold = False
        is_restored = bool(self._state.get("restored"))
        try:
            self._publish(
                receipt,
                progress or _silent,
                PublishOptions(
                    force=force,
                    verify=verify or is_restored,
                    keep_others=keep_others,
                    replace=replace,
                    by_hand=by_hand,
                    prune=prune,
                    overwrite_newer=force or is_restored,
                ),
            )
        finally:
            self._account(receipt, before)
        return receipt

    def preview(
        self,
        *,
        force: bool = False,
        verify: bool = False,
        keep_others: bool = False,
        replace: bool = False,
        prune: bool = False,
    ) -> tuple[PublishReceipt, PublishPlan]:
        """Return what `publish` would do, without doing it: at most list the bucket."""
        receipt, before = self._receipt(), self._counts()
        self._check_built()
        with receipt.phase("plan"):
            inventory = self._take_inventory(PublishOptions(force, verify, keep_others, replace))
            plan = self._plan(inventory, force=force)
        receipt.is_full, receipt.left, receipt.foreign = (
            inventory.is_full,
            inventory.left,
            inventory.foreign,
        )
        receipt.replaced = sorted(inventory.replaceable)
        if plan.steps:
            self._warn_of_loopback()
        for put in plan.puts:
            receipt.put += 1
            receipt.bytes += self._objects.size(put.desired)
            receipt.kinds[str(put.desired.kind)] += 1
        receipt.deleted = sum(map(len, plan.deletions))
        receipt.refused, receipt.unchanged = plan.refused, plan.same
        receipt.waiting = self._record.count_waiting() + len(plan.gone) - receipt.deleted
        receipt.left_behind = self._record.left_behind()
        if prune:
            receipt.deleted += sum(left.objects for left in receipt.left_behind)
        self._account(receipt, before)
        puts = {"PutObject": receipt.put}
        invalidations = self._invalidations(
            [*self._record.pending_invalidations(), *_in_caches(plan)]
        )
        receipt.invalidated = len(invalidations.paths) if self._cdn else 0
        cost_usd = invalidations.cost_usd if self._cdn else 0.0
        receipt.usd = round(requests_usd(puts) + cost_usd, 9)
        return receipt, plan

    def _take_inventory(self, options: "PublishOptions") -> Inventory:
        keep_others = options.keep_others or options.replace
        return self._inventory_taker.take(
            self._now(),
            verify=options.verify or keep_others,
            keep_others=keep_others,
            replace=options.replace,
            tries=options.verify or options.force or options.by_hand,
        )

    def _publish(
        self, receipt: PublishReceipt, progress: Progress, options: "PublishOptions"
    ) -> None:
        with receipt.phase("plan"):
            inventory = self._take_inventory(options)
            if options.verify:
                self._objects.abort_uploads(self._record.uploads())
            plan = self._plan(inventory, force=options.force)
        receipt.is_full, receipt.foreign = inventory.is_full, inventory.foreign
        receipt.left.update(inventory.left)
        receipt.refused, receipt.unchanged = plan.refused, plan.same
        for stray in inventory.foreign[:20]:
            log.warning(
                "%s in the bucket was not uploaded by reelshelf, and was left alone",
                readable(stray),
            )
        receipt.replaced = sorted(inventory.replaceable)
        for key in receipt.replaced[:20]:
            log.warning(
                "%s in the bucket was not uploaded by reelshelf, and is replaced", readable(key)
            )
        conditions = Conditions(on_puts=True, on_deletions=True)
        if plan.steps:
            self._warn_of_loopback()
        if plan.steps or plan.deletions or inventory.is_new:
            with receipt.phase("probe"):
                self._ownership.claim(take_over=options.replace)
        if plan.steps or plan.deletions:
            with receipt.phase("probe"):
                conditions = self._conditions()
        journal = self._journal(receipt, self._begin(inventory, plan))
        for desired in inventory.others.values():
            journal.add(foreign(desired))
        journal.flush()
        uploader = Uploader(
            self._objects, self._record, force=options.overwrite_newer, conditions=conditions
        )
        uploader.listed, uploader.replaceable = inventory.listed, inventory.replaceable
        self._perform(plan, uploader, journal, progress)
        self._end(inventory, receipt)
        self._tell_left_behind(receipt, prune=options.prune)
        self._invalidate(receipt)

    def _tell_left_behind(self, receipt: PublishReceipt, *, prune: bool) -> None:
        """Delete what is left in former targets if asked for; log the rest, once."""
        if prune and self._record.left_behind():
            with receipt.phase("prune"):
                conditions = self._conditions()
                self._former_targets.delete(receipt, is_conditional=conditions.on_deletions)
            self._log_left(receipt.left)
        receipt.left_behind = self._record.left_behind()
        places = json.dumps([(left.endpoint, left.place) for left in receipt.left_behind])
        if places == (self._state.get("left_behind") or "[]"):
            return
        for left in receipt.left_behind:
            log.warning(
                "%d objects of this site are still in %s, a former target (%s, …):"
                " `reelshelf publish --prune` deletes them",
                left.objects, left.place, readable(left.example),
            )  # fmt: skip
        self._state.remember(left_behind=places)

    def _perform(
        self, plan: PublishPlan, uploader: Uploader, journal: Journal, progress: Progress
    ) -> None:
        receipt = journal.receipt
        total, done = sum(map(len, plan.steps)), 0
        for step in plan.steps:
            kinds = {str(put.desired.kind) for put in step}
            with receipt.phase(kinds.pop() if len(kinds) == 1 else "files"):
                for result in journal.run_all(uploader.put, step):
                    done += 1
                    progress("published", done, total)
                    if result.left:
                        receipt.left[result.path] = result.left
        self._log_left(receipt.left)
        if not plan.deletions or self._may_link_to_deleted(receipt.left):
            return
        with receipt.phase("delete"):
            for batch in plan.deletions:
                for result in journal.run_all(uploader.delete, batch):
                    if result.left:
                        receipt.left[result.path] = result.left
        self._log_left(receipt.left)

    def _may_link_to_deleted(self, left: Iterable[str]) -> bool:
        """Return whether a failed page keeps its old version: it may link to what is deleted."""
        pages = [self._objects.prefix + path for path in left if object_kind(path) not in FILES]
        return bool(self._record.of(pages))

    def _warn_of_loopback(self) -> None:
        """Warn once if the URLs in pages point to this computer only."""
        site = self._engine.site
        if not self._warned_address and is_loopback_origin(site.origin):
            self._warned_address = True
            log.warning(
                "robots.txt, the sitemap, the feeds and canonical links contain %s, which nobody"
                " else can open: set site_url to the address of the site, build, and publish again",
                site.origin + site.base,
            )

    def _log_left(self, left: Mapping[str, str]) -> None:
        """Log what was not published, once as long as the reason is the same."""
        for path, reason in left.items():
            if self._logged_left.get(path) != reason:
                log.warning("%s was not published: %s", readable(path), reason)
        self._logged_left = dict(left)

    def _check_built(self) -> None:
        if not self._ledger.fact("begun"):
            raise PublishError("nothing is built yet", hint="run `reelshelf build` first")
        output = self._engine.output
        if not self._engine.recovery.left_output():
            raise PublishError(
                f"the site was not built into {output.root} last",
                hint="--out (or `out` in reelshelf.toml) names the folder it was built into, as"
                " for `reelshelf build`; or build into this one first",
            )

    def _plan(self, inventory: Inventory, *, force: bool) -> PublishPlan:
        count = self._record.count()
        most = most_deletions(count, self._settings.delete_limit)
        rules = self._objects.rules(count + 1 if force else most)
        return plan_publish(
            inventory.desired,
            inventory.published,
            self._objects.headers_digest_of,
            rules,
            self._now(),
        )

    def rollback(self, progress: Progress | None = None) -> PublishReceipt:
        """Restore what the last publish replaced or deleted, delete what it added, and hold.

        Called again, it resumes an interrupted rollback, or reverts the publish before.

        Raises:
            PublishError: there is no former publish, or the bucket has no versioning.
        """
        record, receipt, before = self._record, self._receipt(), self._counts()
        self._changed = []
        number = record.last_round()
        formers = record.previous_versions(number)
        if not formers:
            raise PublishError(
                "there is no previous publish to go back to",
                hint="only the last few publishes can be rolled back, and never the first one",
            )
        self._check_versions(formers)
        with record.transaction():
            self._state.remember(held="1", whole="", under_way="")
        uploader = Uploader(self._objects, record, force=True, conditions=self._conditions())
        now = record.of([former.key for former in formers])
        puts = [
            Put(_as_desired(former), now.get(former.key))
            for former in formers
            if former.digest is not None
        ]
        versions = {former.key: former.version for former in formers}
        added = [
            now[former.key] for former in formers if former.digest is None and former.key in now
        ]
        journal = self._journal(receipt, 0, number)

        def restore(put: Put) -> UploadResult:
            return uploader.restore(put, versions[put.desired.key])

        with receipt.phase("put back"):
            for step in upload_steps(puts):
                for result in journal.run_all(restore, step):
                    (progress or _silent)("put back", receipt.put, len(puts))
                    if result.left:
                        receipt.left[result.path] = result.left
        with receipt.phase("delete"):
            for batch in deletion_steps(added):
                for result in journal.run_all(uploader.delete, batch):
                    if result.left:
                        receipt.left[result.path] = result.left
        with record.transaction():
            record.drop_previous_versions(number, versions)
        self._invalidate(receipt)
        self._account(receipt, before)
        receipt.is_held = True
        return receipt

    def _check_versions(self, formers: Sequence[PreviousVersion]) -> None:
        if not self._objects.site.is_versioned():
            raise PublishError(
                f"the bucket {self._objects.site.name} keeps no previous versions to go back to",
                hint="turn versioning on for next time; or rebuild the previous site and"
                " publish that",
            )
        unknown = [
            former.key for former in formers if former.digest is not None and not former.version
        ]
        if unknown:
            raise PublishError(
                f"{len(unknown)} objects have no known previous version"
                f" ({readable(unknown[0])}, …)",
                hint="they were uploaded before versioning was on; rebuild the previous site"
                " and publish that",
            )

    def _journal(self, receipt: PublishReceipt, number: int, undone: int = 0) -> Journal:
        keeps = 0 if self._state.get("first") else number
        invalidates = self._cdn is not None
        return Journal(
            self._record,
            receipt,
            self._changed,
            keeps,
            undone,
            invalidates=invalidates,
            now=self._now(),
        )

    def _begin(self, inventory: Inventory, plan: PublishPlan) -> int:
        """Record the inventory before anything is put; return the number of this publish."""
        record, ledger = self._record, self._ledger
        waiting = {put.desired.path for put in plan.puts} | inventory.unchanged
        settled = [path for path in inventory.paths if path not in waiting]
        number = int(self._state.get("round") or 0)
        if self._state.get("under_way") != "1":
            number += 1
        if inventory.is_new:
            self._former_targets.leave()
            record.clear()
        acts = bool(plan.steps or plan.deletions)
        if not (
            acts
            or settled
            or plan.gone
            or plan.back
            or inventory.resolved
            or inventory.is_full
            or inventory.recovered
        ):
            return number
        with record.transaction():
            record.drop_refused(inventory.resolved)
            record.drop(inventory.lost)
            record.put(inventory.recovered)
            record.set_gone(plan.gone, self._now())
            record.set_gone(plan.back, None)
            record.drop_pending_pages(settled)
            if inventory.is_full:
                ledger.remember("publishing", "1")
                self._state.remember(
                    whole="", target=self._state.target(), looks=self._state.headers_key()
                )
            if inventory.is_new:
                self._state.remember(first="1")
            if acts:
                self._state.remember(round=str(number), under_way="1")
        return number

    def _end(self, inventory: Inventory, receipt: PublishReceipt) -> None:
        """Record that the inventory was processed; what failed is checked again."""
        record, catalogue = self._record, self._engine.catalogue
        receipt.waiting = record.count_waiting()
        receipt.cursor = self._engine.cursor
        refused = {item.path for item in record.refused()}  # retried on their own schedule
        left = [path for path in receipt.left if path not in refused]
        unsent = inventory.unsent_of(left)
        if not self._is_to_be_noted(inventory, unsent):
            return
        with record.transaction():
            pages = {item.path for item in inventory.desired.values() if item.video is None}
            record.add_pending_pages(path for path in left if path in pages)
            record.drop_pending_pages(path for path in refused if path in pages)
            record.set_pending_videos(unsent)
            self._state.remember(
                whole="1",
                under_way="",
                held="",
                first="",
                restored="",
                cursor=str(receipt.cursor),
                cursor_event=catalogue.event_id(receipt.cursor),
                catalogue=catalogue.identity(),
            )

    def _is_to_be_noted(self, inventory: Inventory, unsent: set[int]) -> bool:
        is_same = self._state.get("cursor") == str(self._engine.cursor) and not self._state.get(
            "held"
        )
        was_quiet = not inventory.is_full and not self._state.get("under_way")
        return not (is_same and was_quiet and unsent == set(self._record.pending_videos()))

    def _invalidate(self, receipt: PublishReceipt) -> None:
        keys = self._record.pending_invalidations()
        if self._cdn is None or not keys:
            return
        with receipt.phase("invalidate"):
            planned = self._invalidations(keys)
            try:
                self._cdn.invalidate(planned.paths)
            except PublishError as error:
                receipt.invalidation_error = str(error)
                log.warning("%s\n  the next publish will retry it; %s", error, error.hint)
                return
        now = self._now()
        with self._record.transaction():
            self._record.drop_pending_invalidations(keys)
            self._state.remember(
                **{self._state.month(now): str(self._state.spent(now) + len(planned.paths))}
            )
        receipt.invalidated = len(planned.paths)
        if planned.left:
            log.info("%d paths will expire from the cache", len(planned.left))

    def _invalidations(self, keys: Sequence[str]) -> Invalidations:
        return plan_invalidations(
            keys,
            base=self._engine.site.base,
            budget=self._settings.invalidations_per_month,
            spent=self._state.spent(self._now()),
            held=self._record.count_below,
        )

    def _conditions(self) -> Conditions:
        """Return which conditional requests the store supports; probe once, and keep the result."""
        stored = self._state.get("conditions")
        target, _, level = stored.rpartition(" ")
        if target != self._state.target() or level not in {"0", "2", "3"}:
            level = "0"
            if self._objects.site.has_conditions():
                level = "3" if self._objects.site.has_conditional_deletes() else "2"
            if level == "0":
                log.warning(
                    "the store of %s does not support conditional writes: a late publisher can"
                    " overwrite newer pages, so run only one at a time",
                    self._objects.site.name,
                )
            self._state.remember(conditions=f"{self._state.target()} {level}")
        return Conditions(on_puts=level != "0", on_deletions=level == "3")

    def _now(self) -> int:
        return int(self._clock())

    def _receipt(self) -> PublishReceipt:
        identity = self._engine.catalogue.identity()
        self._objects.cursor = f"{identity}:{self._engine.cursor}"
        return PublishReceipt(time.perf_counter, self._now(), self.cursor)

    def _counts(self) -> Counter[str]:
        counts = self._objects.requests()
        if self._cdn is not None:
            counts.update(self._cdn.requests)
        return counts

    def _account(self, receipt: PublishReceipt, before: Counter[str]) -> None:
        receipt.requests = dict(self._counts() - before)
        receipt.usd = requests_usd(receipt.requests)


def publisher_of(engine: Engine, clock: Callable[[], float] = time.time) -> Publisher:
    """Return a publisher for the site of an engine, from its settings.

    Raises:
        SettingsError: they name no bucket.
    """
    settings = engine.settings
    if not settings.bucket:
        raise SettingsError(
            "no bucket is configured",
            hint='use --bucket NAME, or set bucket = "NAME" in [s3] of reelshelf.toml',
        )
    if settings.private and not settings.cloudfront_key_pair:
        raise SettingsError(
            "the site is private, and everybody could read what is published",
            hint="serve it with nginx, or have CloudFront ask for signed cookies: `key_pair` in"
            " [cloudfront], docs/howto/private-library.md",
        )
    where = {"endpoint": settings.s3_endpoint, "region": settings.s3_region}
    site = Bucket(settings.bucket, threads=THREADS, **where)
    media = None
    if settings.media_bucket not in {"", settings.bucket}:
        media = Bucket(settings.media_bucket, threads=THREADS, **where)
    distribution = settings.cloudfront_distribution
    cdn = Distribution(distribution) if distribution else None
    return Publisher(engine, site, media_bucket=media, cdn=cdn, clock=clock)


def _as_desired(former: PreviousVersion) -> DesiredObject:
    digest = former.digest or ""
    return DesiredObject(former.key, former.path, former.kind, digest, video=former.video)


def _in_caches(plan: PublishPlan) -> Iterator[str]:
    """Yield the keys that a plan would have invalidated."""
    for step in plan.deletions:
        yield from (item.key for item in step)
    for put in plan.puts:
        if put.desired.kind is ObjectKind.MEDIA and put.before is not None:
            yield put.desired.key


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report no progress."""
