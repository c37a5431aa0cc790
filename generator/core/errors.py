"""Expected errors: each says what was being done, to what, why it failed, and what to try."""


class ReelshelfError(Exception):
    """Base of all expected errors; `hint` says what the user can do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(ReelshelfError):
    """The settings or the arguments are wrong; nothing was changed."""

    exit_code = 2


class DamagedError(ReelshelfError):
    """A database is corrupt.

    A catalogue is left as it is. A ledger can be rebuilt from it; if `is_rebuilt`, it was emptied
    for that, and the next build fills it.
    """

    def __init__(self, message: str, *, hint: str, is_rebuilt: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_rebuilt = is_rebuilt


class GuardError(ReelshelfError):
    """A scan would lose too much of the library; nothing was changed."""


class TemplateError(ReelshelfError):
    """A template is missing or cannot be rendered; no page was changed."""


class PublishError(ReelshelfError):
    """The bucket or the CDN refuses, or cannot be reached; the next publish resumes here."""


class QueueError(ReelshelfError):
    """The queue refuses, or cannot be reached; its messages stay in it."""


class OwnedByAnotherError(ReelshelfError):
    """Another worker owns this site; nothing was changed."""

    exit_code = 2


class ReplacedError(ReelshelfError):
    """The open catalogue was replaced at its path; the new one is opened the next time.

    What was recorded into the former one since then was not acknowledged.
    """


class BusyError(ReelshelfError):
    """Another reelshelf builds this site; nothing was changed."""
