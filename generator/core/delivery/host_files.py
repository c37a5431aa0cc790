"""`_headers` and `_redirects`, which Cloudflare Pages, Netlify and others read.

Both are texts at the top of what is uploaded. A host that knows neither serves them as files, and
nothing in them is secret.
"""

from collections.abc import Iterable

from generator.core.delivery.nginx import content_policy, security_headers
from generator.core.model import OutPath

MAX_REDIRECTS = 2_000  # of Cloudflare Pages
MAX_RULE = 1_000  # characters of one of them
FOR_EVER = "public, max-age=31536000, immutable"

# Folders of nothing but files with a digest of their content in their names. All the rest is
# revalidated each time, which is the default of both hosts: with a rule for that, too, both would
# send the two values joined wherever two rules match.
_FOR_EVER_BELOW = ("assets", "thumb", "play")


def headers_file(base: str) -> bytes:
    """Return `_headers` of a site that lives at `base` ("" or "/films") on its host."""
    security = security_headers(content_policy())
    rules = [
        (f"{base}/*", security),
        *((f"{base}/{folder}/*", {"Cache-Control": FOR_EVER}) for folder in _FOR_EVER_BELOW),
    ]
    lines = [
        "\n".join((pattern, *(f"  {name}: {value}" for name, value in headers.items())))
        for pattern, headers in rules
    ]
    return ("\n\n".join(lines) + "\n").encode("ascii")


def redirects_file(base: str, redirects: Iterable[tuple[OutPath, str]]) -> bytes:
    """Return `_redirects`, the newest first; at most 2,000.

    They are temporary (302): their paths can become pages again.

    Args:
        base: where the site lives on its host, "" or "/films".
        redirects: paths in the output folder, and their targets.
    """
    lines: list[str] = []
    for path, target in redirects:
        line = f"{base}/{path} {target} 302"
        if len(line) <= MAX_RULE:
            lines.append(line)
        if len(lines) == MAX_REDIRECTS:
            break
    return "".join(line + "\n" for line in lines).encode("ascii")
