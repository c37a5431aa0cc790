"""Sends progress to the parent process, which also shows that the work goes on."""

import os
import time

from generator.core.media.renditions import (
    FinalMessage,
    HeartbeatMessage,
    RenditionProgress,
    pack_line,
)

_EVERY_S = 0.5


class Heartbeat:
    """Counts work and reports it now and then.

    Every beat stands for something that is limited in a file, so that endless work cannot beat
    forever.

    Args:
        answers: a descriptor to write lines to.
    """

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._effort = 0
        self._due_s = 0.0
        self.done_s = 0.0
        self.total_s: float | None = None
        self.size_bytes = 0

    def begin(self) -> None:
        """Report that the process runs."""
        os.write(self._answers, pack_line(HeartbeatMessage(0, RenditionProgress(0.0, None, 0))))

    def beat(self) -> None:
        """Count a piece of work.

        Raises:
            BrokenPipeError: the parent is gone.
        """
        self._effort += 1
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _EVERY_S
        progress = RenditionProgress(max(0.0, self.done_s), self.total_s, self.size_bytes)
        os.set_blocking(self._answers, False)
        try:
            os.write(self._answers, pack_line(HeartbeatMessage(self._effort, progress)))  # atomic
        except BlockingIOError:
            pass  # the parent is not reading
        finally:
            os.set_blocking(self._answers, True)

    def end(self, outcome: FinalMessage) -> None:
        """Send the final message."""
        rest = memoryview(pack_line(outcome))
        while rest:
            rest = rest[os.write(self._answers, rest) :]
