"""The worker: messages of a queue are recorded, shown, published, and only then deleted."""

from generator.worker.in_flight import USUAL_TIMING, WorkerTiming
from generator.worker.publish_schedule import (
    PublishingBackgroundWork,
    PublishSchedule,
    SitePublisher,
)
from generator.worker.shared_state import SharedStateSync
from generator.worker.worker import EventLoop, Worker

__all__ = [
    "USUAL_TIMING",
    "EventLoop",
    "PublishSchedule",
    "PublishingBackgroundWork",
    "SharedStateSync",
    "SitePublisher",
    "Worker",
    "WorkerTiming",
]
