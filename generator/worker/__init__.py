"""The worker: what waits in a queue is recorded, shown, published, and only then let go."""

from generator.worker.in_flight import USUAL_PACE, WorkerTiming
from generator.worker.publish_schedule import (
    PublishingBackgroundWork,
    PublishSchedule,
    SitePublisher,
)
from generator.worker.shared_state import SharedStateSync
from generator.worker.worker import EventLoop, Worker

__all__ = [
    "USUAL_PACE",
    "EventLoop",
    "PublishSchedule",
    "PublishingBackgroundWork",
    "SharedStateSync",
    "SitePublisher",
    "Worker",
    "WorkerTiming",
]
