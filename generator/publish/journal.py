"""The journal: results of uploads are recorded in batches as they come in."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TypeVar

from generator.adapters.ledger.published import PublishedRecord, RejectedObject
from generator.core.delivery.publish_plan import ObjectKind, PublishReceipt, retry_at
from generator.core.model import OutPath
from generator.publish.site_objects import THREADS
from generator.publish.upload import UploadResult

_Item = TypeVar("_Item")
_AT_ONCE = 200  # results in a batch,
_FLUSH_S = 1.0  # or those of this interval


@dataclass(slots=True)
class Journal:
    """Records results in batches.

    `number` is the publish whose replaced versions are recorded, 0 for none; `undone` the one that
    a rollback reverts.
    """

    record: PublishedRecord
    receipt: PublishReceipt
    changed: list[OutPath]
    number: int
    undone: int = 0
    invalidates: bool = False
    now: int = 0
    _batch: list[UploadResult] = field(default_factory=list)
    _flushed_s: float = field(default_factory=time.monotonic)

    def run_all(
        self, action: Callable[[_Item], UploadResult], items: Iterable[_Item]
    ) -> Iterator[UploadResult]:
        """Run an action on many objects in parallel; finished ones are recorded, even on errors."""
        with ThreadPoolExecutor(THREADS) as pool:
            futures: set[Future[UploadResult]] = {pool.submit(action, item) for item in items}
            try:
                for future in as_completed(list(futures)):
                    result = future.result()
                    futures.discard(future)
                    self.add(result)
                    yield result
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                self.add_all(futures)
                raise
            finally:
                self.flush()

    def add(self, result: UploadResult) -> None:
        """Add a result."""
        self._batch.append(result)
        if len(self._batch) >= _AT_ONCE or time.monotonic() >= self._flushed_s + _FLUSH_S:
            self.flush()

    def add_all(self, futures: Iterable[Future[UploadResult]]) -> None:
        """Add the results of futures that succeeded."""
        for future in futures:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._batch.append(future.result())

    def flush(self) -> None:
        """Write the batch to the record."""
        results, self._batch = self._batch, []
        self._flushed_s = time.monotonic()
        settled = [result for result in results if not result.left]
        refused = [result for result in results if result.is_refused]
        if not settled and not refused:
            return
        record = self.record
        with record.transaction():
            self._refuse(refused)
            record.drop_refused(result.key for result in settled)
            record.put(result.now for result in settled if result.now is not None)
            record.drop(result.key for result in settled if result.now is None)
            record.drop_pending_pages(result.path for result in settled)
            if self.number:
                record.put_previous_versions(
                    self.number, (result.former for result in settled if result.former)
                )
            if self.undone:
                record.drop_previous_versions(self.undone, (result.key for result in settled))
            if self.invalidates:
                record.add_pending_invalidations(
                    result.key for result in settled if _needs_invalidation(result)
                )
        for result in settled:
            self._count(result)

    def _refuse(self, results: Iterable[UploadResult]) -> None:
        """Record what was refused, and when it is retried."""
        before = {item.key: item.tries for item in self.record.refused()} if results else {}
        for result in results:
            digest = result.desired.digest if result.desired else ""
            video = result.desired.video if result.desired else None
            tries = before.get(result.key, 0) + 1
            self.record.refuse(
                [
                    RejectedObject(
                        result.key,
                        result.path,
                        digest,
                        video,
                        result.left,
                        tries,
                        retry_at(tries, self.now),
                    )
                ]
            )

    def _count(self, result: UploadResult) -> None:
        receipt = self.receipt
        if result.kind is not ObjectKind.MEDIA:
            self.changed.append(OutPath(result.path))
        receipt.late += result.is_late
        receipt.adopted += result.now is not None and not result.is_put and not result.is_late
        receipt.deleted += result.now is None and result.is_put
        if result.now is not None and result.is_put:
            receipt.put += 1
            receipt.bytes += result.now.size_bytes
            receipt.kinds[str(result.kind)] += 1


def _needs_invalidation(result: UploadResult) -> bool:
    """Return whether caches would keep the old object for long, under the same name."""
    is_gone = result.now is None and result.is_put
    return is_gone or (
        result.kind is ObjectKind.MEDIA and bool(result.former and result.former.digest)
    )
