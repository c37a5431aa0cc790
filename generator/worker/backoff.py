"""Trouble: what fails for a while is told once, and tried again less and less often."""

import logging

log = logging.getLogger(__name__)

RETRY_S, _LONGEST_RETRY_S = 1.0, 300.0  # doubles


class Backoff:
    """Something that fails for a while: told once, and tried again less and less often."""

    def __init__(self, retry_s: float = RETRY_S) -> None:
        self.wait_s = 0.0
        self._first_s, self._told = retry_s, ""

    def tell(self, error: Exception) -> None:
        """Log it, if it is another than last time; `wait_s` is how long to wait now."""
        message = str(error)
        if message != self._told:
            hint = getattr(error, "hint", "") or "it is tried again; no message is lost"
            log.warning("%s\n  %s", message, hint)
        self._told = message
        self.wait_s = min(self.wait_s * 2 or self._first_s, _LONGEST_RETRY_S)

    def over(self) -> None:
        """Note that it works."""
        if self._told:
            log.info("it works again (it was: %s)", self._told)
        self.wait_s, self._told = 0.0, ""
