"""The overlay of a failed build: the HTML put into pages, and its style sheet.

The content policy allows no inline style, so the style sheet has a URL of its own. A click closes
the overlay without any script, and the page stays readable behind it.
"""

import re
from dataclasses import dataclass
from html import escape

STYLE_PATH = "/reelshelf-failure.css"

_BODY_END = re.compile(rb"</body\s*>", re.IGNORECASE)

# The site's own styles for these elements are reverted first.
STYLE = b"""\
#reelshelf-failure, #reelshelf-failure * { all: revert; }
#reelshelf-failure {
  position: fixed; inset: auto 0 0; z-index: 2147483647; box-sizing: border-box;
  max-height: 45vh; overflow: auto; color-scheme: dark;
  background: #5b0f16; color: #fff; border-top: 3px solid #ff9a8b;
  font: 16px/1.5 system-ui, sans-serif;
}
#reelshelf-failure:not(:has([open])) { inset: auto auto 0 0; border-inline-end: inherit; }
#reelshelf-failure summary {
  padding: 10px 16px; min-height: 24px; cursor: pointer; font-weight: 600;
  position: sticky; top: 0; background: inherit;
}
#reelshelf-failure details { background: inherit; }
#reelshelf-failure summary:focus-visible { outline: 3px solid #ff9a8b; outline-offset: -3px; }
#reelshelf-failure p {
  margin: 0; padding: 0 16px 12px; max-width: 110ch; white-space: pre-wrap;
  overflow-wrap: anywhere;
}
#reelshelf-failure .message { font-family: ui-monospace, monospace; font-size: 15px; }
html:has(#reelshelf-failure [open]) body { padding-block-end: 45vh; }
@media print { #reelshelf-failure { display: none; } }
"""

# For a site that has no page to show the overlay on.
BARE_PAGE = b"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Nothing here yet</title>
</head>
<body>
<p>There is nothing at this address yet. The page loads itself when there is.</p>
</body>
</html>
"""


def style_link(base: str) -> bytes:
    """Return the link for the head: further down, the late style sheet would shift the page."""
    return f'<link rel="stylesheet" href="{base}{STYLE_PATH}">'.encode()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, and what to try."""

    message: str
    hint: str = ""


def with_overlay(page: bytes, failure: Failure) -> bytes:
    """Return a page with the overlay at the end of its body.

    At the start it would move the page: browsers restore the scroll position by counting elements.
    """
    ends = [end.start() for end in _BODY_END.finditer(page)] or [len(page)]
    return page[: ends[-1]] + _html(failure) + page[ends[-1] :]


def _html(failure: Failure) -> bytes:
    hint = f"<p>{escape(failure.hint)}</p>" if failure.hint else ""
    text = (
        '<div id="reelshelf-failure" role="alert" lang="en" dir="ltr"><details open>'
        "<summary>The last build failed; this page may be an old one</summary>"
        f'<p class="message">{escape(failure.message)}</p>{hint}</details></div>'
    )
    return text.encode(errors="backslashreplace")  # a file name may not be valid text
