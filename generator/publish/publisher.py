"""The publisher: observe, plan, perform, settle; and back to the former publish."""

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
from generator.core.model import OutPath
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
    """What a person asked of one publish: see `Publisher.publish`."""

    force: bool
    verify: bool
    adopt: bool
    replace: bool
    by_hand: bool = False


class Publisher:
    """Publishes what an engine built. For one thread, the engine's; it uses more by itself.

    Args:
        engine: whose site it is; it must not refresh meanwhile.
        bucket: where it goes.
        cdn: what is in front of the bucket.
        settings: None for the engine's own.
        clock: tells the current instant.
        media_bucket: where the videos themselves go; None: into the same.
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
        self._facts = PublishState(engine, self._settings, self._objects, clock)
        with_media = self._settings.publish_media
        self._claims = SiteOwnership(self._objects, self._facts, with_media=with_media)
        self._observer = InventoryTaker(
            engine, self._settings, self._objects, self._facts, self._record, self._claims
        )
        self._changed: list[OutPath] = []
        self._told_hold = False
        self._told_left: dict[str, str] = {}
        self._told_address = False

    @property
    def cursor(self) -> int:
        """Return the number of the last event that published pages show.

        While publishing is held after a rollback, what the pages here show counts.
        """
        return self._engine.cursor if self.is_held else self._facts.cursor

    @property
    def put(self) -> Sequence[OutPath]:
        """Return the pages and made files that the last publish put or deleted."""
        return self._changed

    @property
    def is_held(self) -> bool:
        """Tell whether a rollback holds publishing until a person publishes again."""
        return bool(self._facts.get("held"))

    def is_behind(self) -> bool:
        """Tell whether the bucket may lack something that is settled; it sends nothing."""
        if self.is_held:
            return False
        return (
            self._facts.must_be_full()
            or self.cursor < self._engine.cursor
            or self._record.is_any_unpublished()
            or self._record.is_any_gone_until(self._now() - self._settings.delete_grace_s)
            or self._record.is_any_refused_until(self._now())
        )

    def mark_doubtful(self, paths: Iterable[OutPath] = ()) -> None:
        """Ask the bucket what it has of these, and of what was to be published, before believing.

        For builders whose record may be older than what another one has put meanwhile.
        """
        record, prefix = self._record, self._objects.prefix
        doubtful = list(dict.fromkeys([*paths, *record.unpublished()]))
        known = record.of([prefix + path for path in doubtful])
        pages = {path for path, _, _ in record.pages_at(doubtful)}
        videos = {one.video for one in known.values() if one.video is not None}
        made = {one.path for one in known.values() if one.video is not None}
        with record.transaction():
            record.doubt(known)
            record.to_publish(path for path in doubtful if path not in made)
            record.set_unsent([*record.unsent(), *videos])
            record.put(
                PublishedObject(
                    prefix + path, path, object_kind(path), UNKNOWN, "", 0, gone_at=self._now()
                )
                for path in doubtful
                if prefix + path not in known and path not in pages
            )

    def publish(
        self,
        *,
        force: bool = False,
        verify: bool = False,
        adopt: bool = False,
        replace: bool = False,
        by_hand: bool = False,
        progress: Progress | None = None,
    ) -> PublishReceipt:
        """Bring the bucket up to date, and return the account of it.

        With nothing changed it sends nothing.

        Args:
            force: delete as much as is due, and put pages over newer ones.
            verify: list the bucket, and mend what is not as it was put.
            adopt: the same, in a bucket that has objects of others, too; all of them stay.
            replace: the same, and where ours belong, theirs are replaced, and so is the mark of
                another site; no other one is touched.
            by_hand: a person wants it: it ends the hold after a rollback, and what was refused is
                tried again at once.
            progress: told what is done, how much of it, and of how many.

        Raises:
            PublishError: what was put is remembered; the next publish goes on from here.
        """
        receipt, before = self._receipt(), self._counts()
        self._changed = []
        if self.is_held and not by_hand:
            if not self._told_hold:
                log.warning("publishing is held after a rollback, until `reelshelf publish`")
            self._told_hold = receipt.is_held = True
            return receipt
        self._check_built()
        self._told_hold = False
        try:
            self._publish(
                receipt, progress or _silent, PublishOptions(force, verify, adopt, replace, by_hand)
            )
        finally:
            self._account(receipt, before)
        return receipt

    def preview(
        self,
        *,
        force: bool = False,
        verify: bool = False,
        adopt: bool = False,
        replace: bool = False,
    ) -> tuple[PublishReceipt, PublishPlan]:
        """Return what `publish` would do, without doing it: at most the bucket is listed."""
        receipt, before = self._receipt(), self._counts()
        self._check_built()
        with receipt.phase("plan"):
            scene = self._look(PublishOptions(force, verify, adopt, replace))
            plan = self._plan(scene, force=force)
        receipt.is_full, receipt.left, receipt.strays = scene.is_full, scene.left, scene.strays
        receipt.replaced = sorted(scene.replaceable)
        if plan.steps:
            self._tell_address()
        for put in plan.puts:
            receipt.put += 1
            receipt.bytes += self._objects.size(put.desired)
            receipt.kinds[str(put.desired.kind)] += 1
        receipt.deleted = sum(map(len, plan.deletions))
        receipt.refused, receipt.unchanged = plan.refused, plan.same
        receipt.waiting = self._record.count_waiting() + len(plan.gone) - receipt.deleted
        self._account(receipt, before)
        puts = {"PutObject": receipt.put}
        invalidations = self._invalidations([*self._record.uninvalidated(), *_in_caches(plan)])
        receipt.invalidated = len(invalidations.paths) if self._cdn else 0
        cost_usd = invalidations.cost_usd if self._cdn else 0.0
        receipt.usd = round(requests_usd(puts) + cost_usd, 9)
        return receipt, plan

    def _look(self, asked: "PublishOptions") -> Inventory:
        adopt = asked.adopt or asked.replace
        return self._observer.look(
            self._now(),
            verify=asked.verify or adopt,
            adopt=adopt,
            replace=asked.replace,
            tries=asked.verify or asked.force or asked.by_hand,
        )

    def _publish(
        self, receipt: PublishReceipt, progress: Progress, asked: "PublishOptions"
    ) -> None:
        with receipt.phase("plan"):
            scene = self._look(asked)
            if asked.verify:
                self._objects.abort_uploads(self._record.uploads())
            plan = self._plan(scene, force=asked.force)
        receipt.is_full, receipt.strays = scene.is_full, scene.strays
        receipt.left.update(scene.left)
        receipt.refused, receipt.unchanged = plan.refused, plan.same
        for stray in scene.strays[:20]:
            log.warning("%s in the bucket is not ours, and was left alone", stray)
        receipt.replaced = sorted(scene.replaceable)
        for key in receipt.replaced[:20]:
            log.warning("%s in the bucket is not ours, and is replaced", key)
        conditions = Conditions(on_puts=True, on_deletions=True)
        if plan.steps:
            self._tell_address()
        if plan.steps or plan.deletions or scene.is_new:
            with receipt.phase("probe"):
                self._claims.claim(take_over=asked.replace)
        if plan.steps or plan.deletions:
            with receipt.phase("probe"):
                conditions = self._conditions()
        notes = self._notes(receipt, self._begin(scene, plan))
        for wanted in scene.others.values():
            notes.add(foreign(wanted))
        notes.settle()
        sender = Uploader(self._objects, self._record, force=asked.force, conditions=conditions)
        sender.listed, sender.replaceable = scene.listed, scene.replaceable
        self._perform(plan, sender, notes, progress)
        self._end(scene, receipt)
        self._invalidate(receipt)

    def _perform(
        self, plan: PublishPlan, sender: Uploader, notes: Journal, progress: Progress
    ) -> None:
        receipt = notes.receipt
        total, done = sum(map(len, plan.steps)), 0
        for step in plan.steps:
            kinds = {str(put.desired.kind) for put in step}
            with receipt.phase(kinds.pop() if len(kinds) == 1 else "files"):
                for result in notes.together(sender.put, step):
                    done += 1
                    progress("published", done, total)
                    if result.left:
                        receipt.left[result.path] = result.left
        self._tell_left(receipt.left)
        if not plan.deletions or self._may_lead_on(receipt.left):
            return
        with receipt.phase("delete"):
            for some in plan.deletions:
                for result in notes.together(sender.delete, some):
                    if result.left:
                        receipt.left[result.path] = result.left
        self._tell_left(receipt.left)

    def _may_lead_on(self, left: Iterable[str]) -> bool:
        """Tell whether a page that was not put is there as it was: it may lead to what is gone."""
        pages = [self._objects.prefix + path for path in left if object_kind(path) not in FILES]
        return bool(self._record.of(pages))

    def _tell_address(self) -> None:
        """Warn once of an address that nobody else can open, and that pages are to name."""
        site = self._engine.site
        if not self._told_address and is_loopback_origin(site.origin):
            self._told_address = True
            log.warning(
                "robots.txt, the sitemap, the feeds and canonical links name %s, which nobody else"
                " can open: set site_url to the address of the site, build, and publish again",
                site.origin + site.base,
            )

    def _tell_left(self, left: Mapping[str, str]) -> None:
        """Log what was not put, each once as long as the reason is the same."""
        for path, reason in left.items():
            if self._told_left.get(path) != reason:
                log.warning("%s was not published: %s", path, reason)
        self._told_left = dict(left)

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

    def _plan(self, scene: Inventory, *, force: bool) -> PublishPlan:
        count = self._record.count()
        most = most_deletions(count, self._settings.delete_limit)
        rules = self._objects.rules(count + 1 if force else most)
        return plan_publish(scene.wanted, scene.published, self._objects.look, rules, self._now())

    def rollback(self, progress: Progress | None = None) -> PublishReceipt:
        """Put back what the last publish replaced or deleted, remove what it added, and hold.

        Called again it goes on with one that was cut off, or with the publish before that.

        Raises:
            PublishError: there is no former publish, or the bucket keeps no former versions.
        """
        record, receipt, before = self._record, self._receipt(), self._counts()
        self._changed = []
        number = record.last_round()
        formers = record.former(number)
        if not formers:
            raise PublishError(
                "there is no former publish to go back to",
                hint="what the last few publishes replaced is remembered, the first one's is not",
            )
        self._check_versions(formers)
        with record.transaction():
            self._facts.remember(held="1", whole="", under_way="")
        sender = Uploader(self._objects, record, force=True, conditions=self._conditions())
        now = record.of([one.key for one in formers])
        puts = [Put(_as_wanted(one), now.get(one.key)) for one in formers if one.digest is not None]
        versions = {one.key: one.version for one in formers}
        added = [now[one.key] for one in formers if one.digest is None and one.key in now]
        notes = self._notes(receipt, 0, number)

        def put_back(put: Put) -> UploadResult:
            return sender.put_back(put, versions[put.desired.key])

        with receipt.phase("put back"):
            for step in upload_steps(puts):
                for result in notes.together(put_back, step):
                    (progress or _silent)("put back", receipt.put, len(puts))
                    if result.left:
                        receipt.left[result.path] = result.left
        with receipt.phase("delete"):
            for some in deletion_steps(added):
                for result in notes.together(sender.delete, some):
                    if result.left:
                        receipt.left[result.path] = result.left
        with record.transaction():
            record.drop_former(number, versions)
        self._invalidate(receipt)
        self._account(receipt, before)
        receipt.is_held = True
        return receipt

    def _check_versions(self, formers: Sequence[PreviousVersion]) -> None:
        if not self._objects.site.is_versioned():
            raise PublishError(
                f"the bucket {self._objects.site.name} keeps no former versions to go back to",
                hint="turn versioning on, for the next time; or build what was, and publish that",
            )
        unknown = [one.key for one in formers if one.digest is not None and not one.version]
        if unknown:
            raise PublishError(
                f"{len(unknown)} objects have no former version that is known ({unknown[0]}, …)",
                hint="they were put before versioning was on; build what was, and publish that",
            )

    def _notes(self, receipt: PublishReceipt, number: int, undone: int = 0) -> Journal:
        keeps = 0 if self._facts.get("first") else number
        tells = self._cdn is not None
        return Journal(
            self._record, receipt, self._changed, keeps, undone, tells=tells, now=self._now()
        )

    def _begin(self, scene: Inventory, plan: PublishPlan) -> int:
        """Note what is known before anything is put; return the number of this publish."""
        record, ledger = self._record, self._ledger
        waiting = {put.desired.path for put in plan.puts} | scene.still
        settled = [path for path in scene.paths if path not in waiting]
        number = int(self._facts.get("round") or 0)
        if self._facts.get("under_way") != "1":
            number += 1
        if scene.is_new:
            record.clear()
        acts = bool(plan.steps or plan.deletions)
        if not (acts or settled or plan.gone or plan.back or scene.taken or scene.is_full):
            return number
        with record.transaction():
            record.is_not_refused(scene.taken)
            record.drop(scene.lost)
            record.put(scene.found)
            record.set_gone(plan.gone, self._now())
            record.set_gone(plan.back, None)
            record.is_published(settled)
            if scene.is_full:
                ledger.remember("publishing", "1")
                self._facts.remember(
                    whole="", target=self._facts.target(), looks=self._facts.looks()
                )
            if scene.is_new:
                self._facts.remember(first="1")
            if acts:
                self._facts.remember(round=str(number), under_way="1")
        return number

    def _end(self, scene: Inventory, receipt: PublishReceipt) -> None:
        """Note that everything was looked at; what is left is looked at again."""
        record, catalogue = self._record, self._engine.catalogue
        receipt.waiting = record.count_waiting()
        receipt.cursor = self._engine.cursor
        refused = {one.path for one in record.refused()}  # they have their own time
        left = [path for path in receipt.left if path not in refused]
        unsent = scene.unsent_of(left)
        if not self._is_to_be_noted(scene, unsent):
            return
        with record.transaction():
            pages = {one.path for one in scene.wanted.values() if one.video is None}
            record.to_publish(path for path in left if path in pages)
            record.is_published(path for path in refused if path in pages)
            record.set_unsent(unsent)
            self._facts.remember(
                whole="1",
                under_way="",
                held="",
                first="",
                cursor=str(receipt.cursor),
                cursor_event=catalogue.event_id(receipt.cursor),
                catalogue=catalogue.identity(),
            )

    def _is_to_be_noted(self, scene: Inventory, unsent: set[int]) -> bool:
        is_same = self._facts.get("cursor") == str(self._engine.cursor) and not self._facts.get(
            "held"
        )
        was_quiet = not scene.is_full and not self._facts.get("under_way")
        return not (is_same and was_quiet and unsent == set(self._record.unsent()))

    def _invalidate(self, receipt: PublishReceipt) -> None:
        keys = self._record.uninvalidated()
        if self._cdn is None or not keys:
            return
        with receipt.phase("invalidate"):
            planned = self._invalidations(keys)
            try:
                self._cdn.invalidate(planned.paths)
            except PublishError as error:
                receipt.invalidation_error = str(error)
                log.warning("%s\n  it is tried again by the next publish; %s", error, error.hint)
                return
        now = self._now()
        with self._record.transaction():
            self._record.is_invalidated(keys)
            self._facts.remember(
                **{self._facts.month(now): str(self._facts.spent(now) + len(planned.paths))}
            )
        receipt.invalidated = len(planned.paths)
        if planned.left:
            log.info("%d paths go from the caches by their time", len(planned.left))

    def _invalidations(self, keys: Sequence[str]) -> Invalidations:
        return plan_invalidations(
            keys,
            base=self._engine.site.base,
            budget=self._settings.invalidations_per_month,
            spent=self._facts.spent(self._now()),
            held=self._record.count_below,
        )

    def _conditions(self) -> Conditions:
        """Return, and ask once, which conditions the store minds; what it said is remembered."""
        known = self._facts.get("conditions")
        target, _, told = known.rpartition(" ")
        if target != self._facts.target() or told not in {"0", "2", "3"}:
            told = "0"
            if self._objects.site.has_conditions():
                told = "3" if self._objects.site.has_conditional_deletes() else "2"
            if told == "0":
                log.warning(
                    "the store of %s knows no conditional writes: a publisher that comes late can"
                    " overwrite newer pages, so let one run at a time",
                    self._objects.site.name,
                )
            self._facts.remember(conditions=f"{self._facts.target()} {told}")
        return Conditions(on_puts=told != "0", on_deletions=told == "3")

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
    """Return what publishes the site of an engine, as its settings say.

    Raises:
        SettingsError: they name no bucket.
    """
    settings = engine.settings
    if not settings.bucket:
        raise SettingsError(
            "no bucket is named", hint='--bucket NAME, or bucket = "NAME" in reelshelf.toml'
        )
    where = {"endpoint": settings.endpoint, "region": settings.region}
    site = Bucket(settings.bucket, threads=THREADS, **where)
    media = None
    if settings.media_bucket not in {"", settings.bucket}:
        media = Bucket(settings.media_bucket, threads=THREADS, **where)
    cdn = Distribution(settings.distribution) if settings.distribution else None
    return Publisher(engine, site, media_bucket=media, cdn=cdn, clock=clock)


def _as_wanted(former: PreviousVersion) -> DesiredObject:
    digest = former.digest or ""
    return DesiredObject(former.key, former.path, former.kind, digest, video=former.video)


def _in_caches(plan: PublishPlan) -> Iterator[str]:
    """Yield the keys that a plan would have invalidated."""
    for step in plan.deletions:
        yield from (one.key for one in step)
    for put in plan.puts:
        if put.desired.kind is ObjectKind.MEDIA and put.before is not None:
            yield put.desired.key


def _silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""
