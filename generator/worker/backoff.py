"""Exponential backoff: a repeated failure is logged once, and retried less and less often."""

import logging

log = logging.getLogger(__name__)

RETRY_S, _MAX_RETRY_S = 1.0, 300.0  # doubles


class Backoff:
    """An operation that may fail for a while: logged once, retried less and less often."""

    def __init__(self, retry_s: float = RETRY_S) -> None:
        self.wait_s = 0.0
        self._first_s, self._logged = retry_s, ""

    def failed(self, error: Exception) -> None:
        """Log a failure unless it is the same as the last; `wait_s` is the time to wait now."""
        message = str(error)
        if message != self._logged:
            hint = getattr(error, "hint", "") or "it will be retried; no message is lost"
            log.warning("%s\n  %s", message, hint)
        self._logged = message
        self.wait_s = min(self.wait_s * 2 or self._first_s, _MAX_RETRY_S)

    def succeeded(self) -> None:
        """Reset after a success."""
        if self._logged:
            log.info("it works again (it was: %s)", self._logged)
        self.wait_s, self._logged = 0.0, ""
