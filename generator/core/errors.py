"""Errors that are expected: each says what was being done, to what, why it failed, what to try."""


class ReelshelfError(Exception):
    """Base of all expected errors; `hint` says what the person at the keyboard can do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(ReelshelfError):
    """The settings or the arguments are wrong; nothing was changed."""

    exit_code = 2


class DamagedError(ReelshelfError):
    """A database of the state is damaged.

    A catalogue stays as it is. A ledger can be made anew from it; if `begun_anew`, it has been
    emptied for that, and the next refresh fills it.
    """

    def __init__(self, message: str, *, hint: str, begun_anew: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.begun_anew = begun_anew


class GuardError(ReelshelfError):
    """A scan would lose too much of the library; nothing was changed."""


class TemplateError(ReelshelfError):
    """A template is missing or cannot be rendered; every page is as it was."""


class PublishError(ReelshelfError):
    """The bucket or the CDN refuses, or cannot be reached; the next publish goes on from here."""


class QueueError(ReelshelfError):
    """The queue refuses, or cannot be reached; what it holds stays in it."""


class OwnedByAnotherError(ReelshelfError):
    """Another worker owns this site; nothing was changed."""

    exit_code = 2


class ReplacedError(ReelshelfError):
    """The catalogue that is open does not lie at its path any more; it is open anew the next time.

    What was recorded into it since was acknowledged to nobody.
    """


class BusyError(ReelshelfError):
    """Another reelshelf builds this site; nothing was changed."""
