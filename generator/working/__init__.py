"""The worker: what waits in a queue is recorded, shown, published, and only then let go."""

from generator.working.beat import Beat, Publishes, PublishesBeside
from generator.working.held import USUAL_PACE, Pace
from generator.working.sharing import Sharing
from generator.working.worker import EventsAlone, Worker

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
