"""Patching: cards are put into pages as they lie there, where nothing but cards differs.

A page is a frame around cards, so what comes of it is what painting it anew would give, byte for
byte, if what lies there is what the ledger says, which is looked at, and if its template only
prints its cards, which is known of every template that was never rendered plainly.
"""

from collections.abc import Collection, Iterable, Mapping

from generator.adapters.ledger import Ledger
from generator.adapters.output import Output, digest_of
from generator.core.model import OutPath, VideoId
from generator.core.site.pages import AlteredSubject, Page
from generator.render.pages import FragmentSource


class PagePatcher:
    """Patches pages of one refresh.

    `known` are the digests of pages as they certainly lie there, `altered` the videos whose cards
    differ or are gone, `plain` the templates that may do more with cards than print them.
    """

    def __init__(
        self,
        ledger: Ledger,
        output: Output,
        library: FragmentSource,
        known: Mapping[OutPath, bytes],
        altered: Iterable[VideoId],
    ) -> None:
        self.plain: Collection[str] = ()
        self._ledger, self._output, self._cards = ledger, output, library.cards
        self._known, self._altered = known, altered
        self._former: dict[int, bytes] | None = None

    def patched(self, page: Page) -> bytes | None:
        """Return a page with its cards as they are now; None where it has to be painted."""
        subject, known = page.subject, self._known.get(page.path)
        if not isinstance(subject, AlteredSubject) or known is None or page.template in self.plain:
            return None
        content = self._output.read(page.path)
        if content is None or digest_of(content) != known:
            return None
        if self._former is None:
            self._former = self._ledger.cards(self._altered)
        return self._exchanged(content, subject, self._former)

    def _exchanged(
        self, content: bytes | None, subject: AlteredSubject, former: Mapping[int, bytes]
    ) -> bytes | None:
        cards = self._cards
        for video in subject.touched:
            content = _exchanged(content, former.get(video), cards.one(video))
        for video in subject.left:
            content = _exchanged(content, former.get(video), b"")
        for video, other, follows in subject.came:
            card, there = cards.one(video), cards.one(other)
            content = _exchanged(content, there, there + card if follows else card + there)
        return content


def _exchanged(content: bytes | None, card: bytes | None, by: bytes) -> bytes | None:
    """Put something in the place of a card; None where the card does not stand there just once."""
    if content is None or not card:
        return None
    at = content.find(card)
    end = at + len(card)
    if at < 0 or content.find(card, end) >= 0:
        return None
    return b"".join((content[:at], by, content[end:]))
