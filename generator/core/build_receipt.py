"""Receipts: what a build found and did, and how long each phase took."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Receipt:
    """The report of one build. Counts are of videos, or of pages; times are in seconds.

    `clock` returns monotonic seconds; without one no time is taken.
    """

    clock: Callable[[], float] = lambda: 0.0
    number: int = 0
    at: int = 0
    walked: int = 0
    found: int = 0
    changed: int = 0
    moved: int = 0
    missing: int = 0
    returned: int = 0
    dropped: int = 0
    still_copied: int = 0
    posters: int = 0
    refused: int = 0
    problems: int = 0
    unplayable: int = 0
    events: int = 0
    planned: int = 0
    written: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    bytes_written: int = 0
    peak_mb: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        """Return how long all phases took together."""
        return sum(self.seconds.values())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a phase."""
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start

    def add(self, other: "Receipt") -> None:
        """Add what a later build did to the pages, for one receipt of both."""
        for name in ("planned", "written", "unchanged", "removed", "bytes_written", "events"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.requests += other.requests
        self.failed, self.failures = other.failed, other.failures

    def as_dict(self) -> Mapping[str, object]:
        """Return everything, ready for JSON."""
        names = [
            name
            for name in self.__slots__
            if name not in {"clock", "seconds", "reasons", "failures", "requests"}
        ]
        return {
            **{name: getattr(self, name) for name in names},
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "total_s": round(self.total_s, 4),
            "reasons": dict(self.reasons),
            "failures": dict(self.failures),
            "requests": list(self.requests),
        }
