"""The worker: what waits in a queue is recorded, shown, published, and only then let go."""

from generator.worker.in_flight import USUAL_PACE, Pace
from generator.worker.publish_schedule import Beat, Publishes, PublishesBeside
from generator.worker.shared_state import Sharing
from generator.worker.worker import EventsAlone, Worker

__all__ = [
    "USUAL_PACE",
    "Beat",
    "EventsAlone",
    "Pace",
    "Publishes",
    "PublishesBeside",
    "Sharing",
    "Worker",
]
