"""Notes: what became of each object is written down as it comes, some at once."""

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
_AT_ONCE = 200  # results that are noted together,
_NOTE_S = 1.0  # or those of so long


@dataclass(slots=True)
class Journal:
    """Notes results in the record as they come, some at once.

    `number` is the publish whose replacements are kept, 0 for none; `undone` the one that a
    rollback takes back.
    """

    record: PublishedRecord
    receipt: PublishReceipt
    changed: list[OutPath]
    number: int
    undone: int = 0
    tells: bool = False
    now: int = 0
    _waiting: list[UploadResult] = field(default_factory=list)
    _noted_s: float = field(default_factory=time.monotonic)

    def together(
        self, deed: Callable[[_Item], UploadResult], items: Iterable[_Item]
    ) -> Iterator[UploadResult]:
        """Do something to many objects at once; what is done is noted, whatever comes."""
        with ThreadPoolExecutor(THREADS) as pool:
            futures: set[Future[UploadResult]] = {pool.submit(deed, item) for item in items}
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
                self.settle()

    def add(self, result: UploadResult) -> None:
        """Take a result."""
        self._waiting.append(result)
        if len(self._waiting) >= _AT_ONCE or time.monotonic() >= self._noted_s + _NOTE_S:
            self.settle()

    def add_all(self, futures: Iterable[Future[UploadResult]]) -> None:
        """Take the results that nobody took yet, of what went well."""
        for future in futures:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._waiting.append(future.result())

    def settle(self) -> None:
        """Write down what waits for it."""
        results, self._waiting = self._waiting, []
        self._noted_s = time.monotonic()
        settled = [one for one in results if not one.left]
        refused = [one for one in results if one.is_refused]
        if not settled and not refused:
            return
        record = self.record
        with record.transaction():
            self._refuse(refused)
            record.is_not_refused(one.key for one in settled)
            record.put(one.now for one in settled if one.now is not None)
            record.drop(one.key for one in settled if one.now is None)
            record.is_published(one.path for one in settled)
            if self.number:
                record.note_former(self.number, (one.former for one in settled if one.former))
            if self.undone:
                record.drop_former(self.undone, (one.key for one in settled))
            if self.tells:
                record.to_invalidate(one.key for one in settled if _lies_in_caches(one))
        for one in settled:
            self._count(one)

    def _refuse(self, results: Iterable[UploadResult]) -> None:
        """Note what was refused, and when it is tried again."""
        before = {one.key: one.tries for one in self.record.refused()} if results else {}
        for one in results:
            digest = one.wanted.digest if one.wanted else ""
            video = one.wanted.video if one.wanted else None
            tries = before.get(one.key, 0) + 1
            self.record.refuse(
                [
                    RejectedObject(
                        one.key, one.path, digest, video, one.left, tries, retry_at(tries, self.now)
                    )
                ]
            )

    def _count(self, one: UploadResult) -> None:
        receipt = self.receipt
        if one.kind is not ObjectKind.MEDIA:
            self.changed.append(OutPath(one.path))
        receipt.late += one.is_late
        receipt.adopted += one.now is not None and not one.is_put and not one.is_late
        receipt.deleted += one.now is None and one.is_put
        if one.now is not None and one.is_put:
            receipt.put += 1
            receipt.bytes += one.now.size_bytes
            receipt.kinds[str(one.kind)] += 1


def _lies_in_caches(done: UploadResult) -> bool:
    """Tell whether caches would keep what was there for long, under a name that stays."""
    is_gone = done.now is None and done.is_put
    return is_gone or (done.kind is ObjectKind.MEDIA and bool(done.former and done.former.digest))
