"""Patching: replace cards in existing pages where nothing but cards changed.

A page is a frame around cards, so a patched page equals a rendered one, byte for byte, if the file
on the disk is what the ledger says, which is checked, and if its template only prints its cards,
which is known of every template that was never rendered plainly.
"""

from collections.abc import Collection, Iterable, Mapping

from generator.adapters.ledger import Ledger
from generator.adapters.output import Output, digest_of
from generator.core.model import OutPath, VideoId
from generator.core.site.page_types import AlteredSubject, Page
from generator.render.pages import FragmentSource


class PagePatcher:
    """Patches pages of one build.

    `digests` are the verified digests of pages on the disk, `altered` the videos whose cards
    changed or are gone, `plain` the templates that may do more with cards than print them.
    """

    def __init__(
        self,
        ledger: Ledger,
        output: Output,
        fragments: FragmentSource,
        digests: Mapping[OutPath, bytes],
        altered: Iterable[VideoId],
    ) -> None:
        self.plain: Collection[str] = ()
        self._ledger, self._output, self._cards = ledger, output, fragments.cards
        self._digests, self._altered = digests, altered
        self._former: dict[int, bytes] | None = None

    def patched(self, page: Page) -> bytes | None:
        """Return a page with its cards as they are now; None where it must be rendered."""
        subject, digest = page.subject, self._digests.get(page.path)
        if not isinstance(subject, AlteredSubject) or digest is None or page.template in self.plain:
            return None
        content = self._output.read(page.path)
        if content is None or digest_of(content) != digest:
            return None
        if self._former is None:
            self._former = self._ledger.cards(self._altered)
        return self._replace_cards(content, subject, self._former)

    def _replace_cards(
        self, content: bytes | None, subject: AlteredSubject, former: Mapping[int, bytes]
    ) -> bytes | None:
        cards = self._cards
        for video in subject.touched:
            content = _replace_card(content, former.get(video), cards.get(video))
        for video in subject.left:
            content = _replace_card(content, former.get(video), b"")
        for video, other, follows in subject.came:
            card, other_card = cards.get(video), cards.get(other)
            content = _replace_card(
                content, other_card, other_card + card if follows else card + other_card
            )
        return content


def _replace_card(content: bytes | None, card: bytes | None, replacement: bytes) -> bytes | None:
    """Replace a card; None where it does not occur exactly once."""
    if content is None or not card:
        return None
    at = content.find(card)
    end = at + len(card)
    if at < 0 or content.find(card, end) >= 0:
        return None
    return b"".join((content[:at], replacement, content[end:]))
