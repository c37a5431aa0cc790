"""Pulse: tells whoever asked how far the work is, and thereby that it goes on."""

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
    """Counts what is done and tells it now and then.

    Every beat stands for something that there is only so much of in a file, so that work which
    never ends cannot beat for ever.

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
        """Tell that the program runs."""
        os.write(self._answers, pack_line(HeartbeatMessage(0, RenditionProgress(0.0, None, 0))))

    def beat(self) -> None:
        """Note a piece of work.

        Raises:
            BrokenPipeError: whoever asked is gone.
        """
        self._effort += 1
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _EVERY_S
        progress = RenditionProgress(max(0.0, self.done_s), self.total_s, self.size_bytes)
        os.set_blocking(self._answers, False)
        try:
            os.write(
                self._answers, pack_line(HeartbeatMessage(self._effort, progress))
            )  # whole, or not at all
        except BlockingIOError:
            pass  # nobody listens at the moment
        finally:
            os.set_blocking(self._answers, True)

    def end(self, ended: FinalMessage) -> None:
        """Say the last word."""
        rest = memoryview(pack_line(ended))
        while rest:
            rest = rest[os.write(self._answers, rest) :]
