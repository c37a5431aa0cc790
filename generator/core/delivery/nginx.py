"""The nginx configuration: a template with its blanks filled in, quoted as nginx reads it.

Also what every server of a site sends alike: security headers, and types by suffix. Blanks are
`@NAME@`; what stands between `@EACH NAME@` and `@END@` is written once for each item, or not at
all. Nothing here reads the disk.
"""

import re
from collections.abc import Iterable, Mapping
from zlib import crc32

from generator.core.delivery import media_url_patterns
from generator.core.formatting import MEDIA_TYPES, PLAYLIST_TYPE

# Pages have no inline scripts or styles, so none are allowed.
CONTENT_POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}

_UNUSED_POWERS = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)

# Types of pages and their assets; those of a library are in MEDIA_TYPES.
PAGE_TYPES: Mapping[str, str] = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "xml": "application/xml",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "svg": "image/svg+xml",
    "webp": "image/webp",
    "avif": "image/avif",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "ico": "image/x-icon",
}

# Types of playable copies and their playlists.
PLAY_TYPES: Mapping[str, str] = {
    "mp4": MEDIA_TYPES["mp4"],
    "webm": MEDIA_TYPES["webm"],
    "m3u8": PLAYLIST_TYPE,
}

ACCESS_PATH = "/-/reelshelf-access"  # of subrequests; no request from outside gets there
_DEFAULTS = """set $reelshelf_cache "no-cache";
set $reelshelf_retry "";  # an empty header is not sent"""
# A subrequest shares the variables of its request, and would set them once more.
_PRIVATE_DEFAULTS = f"""if ($uri != "{ACCESS_PATH}") {{
    set $reelshelf_cache "private, no-cache";
    set $reelshelf_retry "";  # an empty header is not sent
    set $reelshelf_challenge "";
    set $reelshelf_feed "";
}}"""
# What the API serves: where, whether that is the whole path, and which request URIs there are.
_PROXIED = (
    ("/api/", False, "/api/[!-~]*"),
    ("/admin/", False, "/admin/[!-~]*"),
    ("/metrics", True, r"/metrics(?:\?[!-~]*)?"),
)

_DOLLAR = "${reelshelf_dollar}"  # nginx has no other way to write "$" where it expands variables
_MAX_ADDRESS = 255  # nginx stores the length of a location's name in one byte
_MAX_WORD = 4000  # nginx reads its file 4,096 bytes at a time, and a token has to fit
_HEX_DIGITS = "0123456789abcdef"
# A video that is not at the top of the library any more: its former address leads to its page. An
# error_page replaces all those of the server.
_OLD_VIDEO = """error_page 404 = @reelshelf_old_video;
error_page 403 = @reelshelf_old_video;
error_page 500 503 @reelshelf_broken;"""
_SECTION = re.compile(r"^ *@EACH ([A-Z]+)@\n(.*?)^ *@END@\n", re.MULTILINE | re.DOTALL)
_BLANK = re.compile(r"^(?P<indent> *)@(?P<line>[A-Z_]+)@$|@(?P<word>[A-Z_]+)@", re.MULTILINE)
_BASE = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_LISTEN = re.compile(r"[A-Za-z0-9.:*/_=\[\]-]+( [A-Za-z0-9_=:-]+)*")
_SERVER = re.compile(r"([A-Za-z0-9.-]+:|\[[0-9a-fA-F:.]+\]:)?[0-9]{1,5}")
_SERVER_NAME = re.compile(r"[\w.*-]+( [\w.*-]+)*")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def content_policy(**more: str) -> str:
    """Return the Content-Security-Policy; `more` adds sources, as in `connect_src="ws:"`."""
    allowed = dict(CONTENT_POLICY)
    for name, sources in more.items():
        allowed[name.replace("_", "-")] += f" {sources}"
    return "; ".join(f"{name} {sources}" for name, sources in allowed.items())


def security_headers(policy: str) -> dict[str, str]:
    """Return the headers of every response, errors too."""
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{power}=()" for power in _UNUSED_POWERS),
    }


def config(  # noqa: PLR0913 (the facts of one site, each by its name)
    template: str,
    *,
    out: str,
    roots: Mapping[str, str],
    listen: str,
    server_name: str,
    base: str,
    brotli: bool = False,
    follow_links: bool = False,
    ignore: Iterable[str] = (),
    api: str = "",
    ipv6: bool = True,
    old_addresses: bool = False,
    private: bool = False,
    origin: str = "",
    access_cache: str = "",
) -> str:
    """Return `template` with its blanks filled in.

    Args:
        template: deploy/nginx.conf.
        out: the output folder, absolute.
        roots: the folders of the library, absolute, by name; an only one has the name "".
        listen: as nginx's `listen`; a bare port means IPv6, too, if the machine has it.
        server_name: as nginx's `server_name`, but no regular expressions.
        base: where the site lives on its host, "" or "/sub/folder".
        brotli: serve `.br` copies; nginx does not start without the module for them.
        follow_links: follow symbolic links in the library.
        ignore: the patterns of files and folders that are not part of the library.
        api: where `reelshelf api` serves: "8001", "host:8001" or "unix:/path"; "" for nowhere.
        old_addresses: redirect the addresses of a former server (core/site/old_addresses.py).
        ipv6: whether the machine has IPv6: nginx does not start with an address it cannot bind.
        private: let nobody in whom the API does not let in.
        origin: of the site, as feeds have it, "https://host".
        access_cache: the folder for what the API answered, absolute; "" for Debian's.

    Raises:
        ValueError: one of them cannot be written for nginx; it says which and why.
        SettingsError: a pattern of `ignore` can match nothing.
    """
    if not _BASE.fullmatch(base):
        raise ValueError(
            f"a site cannot be served at {base!r}: letters, digits and ._~- between slashes"
        )
    if private and not api:
        raise ValueError("a private site needs the API, which knows who may see it")
    zone = f"reelshelf_access_{crc32(f'{out} {api} {base}'.encode('utf-8', 'surrogateescape')):08x}"
    common = {
        "ACCESS": ACCESS_PATH,
        "ACCESS_ZONE": zone,
        "ACCESS_CACHE": _path(access_cache or f"/var/lib/nginx/{zone}"),
        "DEFAULTS": _PRIVATE_DEFAULTS if private else _DEFAULTS,
        "SHARING": "private" if private else "public",
        "OPEN": f"\n{' ' * 12}auth_request off;" if private else "",
        "API_OPEN": f"\n{' ' * 8}auth_request off;  # the API itself refuses" if private else "",
        "SITE": origin + base,
        "BROTLI_OFF": "brotli_static off;" if brotli else "# brotli_static off;",
        "OUT": _path(out),
        "BASE": base,
        "LISTEN": _listen(listen, ipv6=ipv6),
        "SERVER_NAME": _matched(_SERVER_NAME, server_name, "server_name"),
        "BROTLI": "brotli_static on;" if brotli else "# brotli_static on;",
        "HEADERS": _headers(),
        "PAGE_TYPES": _types(PAGE_TYPES),
        "PLAY_TYPES": _types(PLAY_TYPES),
        "BASE_PATTERN": _quoted(re.escape(base)),
    }
    ignore = tuple(ignore)
    library = [
        common
        | _root(
            base,
            name,
            path,
            ignore,
            follow_links=follow_links,
            errors=_OLD_VIDEO if old_addresses and not name else "",
        )
        for name, path in roots.items()
    ]
    has_dollar = any("$" in path for path in (out, *roots.values()))
    sections = {
        "ROOT": library,
        "BELOW": [common] if base else [],
        "DOLLAR": [common] if has_dollar else [],
        "API": [common | _api(api)] if api else [],
        "OLD": [common | _old(base)] if old_addresses else [],
        "OLDROOTS": [common] if old_addresses and "" not in roots else [],
        "OLDAPI": [common | _api(api)] if old_addresses and api else [],
        "PRIVATE": [common | _api(api)] if private else [],
        "PROXIED": [common | _api(api) | _proxied(base, *each) for each in _PROXIED if api],
    }
    return "".join(_pieces(template, common, sections))


def _pieces(
    template: str, common: Mapping[str, str], sections: Mapping[str, list[dict[str, str]]]
) -> Iterable[str]:
    """Yield the text, each blank filled in once: values are not expanded again."""
    end = 0
    for section in _SECTION.finditer(template):
        yield _filled(template[end : section.start()], common)
        yield "".join(_filled(section[2], values) for values in sections[section[1]])
        end = section.end()
    yield _filled(template[end:], common)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Fill the blanks of one piece; lines that replace a whole line are indented as it was."""

    def fill(blank: re.Match[str]) -> str:
        if blank["word"]:
            return values[blank["word"]]
        indent = blank["indent"]
        return "\n".join(indent + line for line in values[blank["line"]].split("\n"))

    return _BLANK.sub(fill, text)


def _root(
    base: str, name: str, path: str, ignore: Iterable[str], *, follow_links: bool, errors: str
) -> dict[str, str]:
    address = f"{base}/video/{name}/" if name else f"{base}/video/"
    _check(address)
    if len(address.encode()) > _MAX_ADDRESS:
        raise ValueError(f"nginx takes locations of at most {_MAX_ADDRESS} bytes: {address}")
    place, front = _path(path), re.escape(address)
    return {
        "ROOT": place,
        "ROOT_ADDRESS": _quoted(address),
        "ROOT_REFUSED": "\n".join([*errors.splitlines(), *_refused(front, ignore)]),
        "ROOT_ALLOWED": _quoted(media_url_patterns.allowed(front)),
        "ROOT_LINKS": "off" if follow_links else f'on "from={place}/"',
        "MEDIA_TYPES": _types(MEDIA_TYPES),
    }


def _refused(front: str, ignore: Iterable[str]) -> Iterable[str]:
    for about, expression in media_url_patterns.refused(front, ignore):
        word = _quoted(expression)
        if len(word.encode()) > _MAX_WORD:
            raise ValueError(f"the regular expression is too long for nginx: {about}")
        yield f'location ~ "{word}" {{ return 404; }}  # {about}'


def _api(place: str) -> dict[str, str]:
    if place.startswith("unix:"):
        _check(place)
        if not place.startswith("unix:/"):
            raise ValueError(f"nginx needs the absolute path of a socket, not {place!r}")
        server = f'"{_quoted(place)}"'
    else:
        server = _matched(_SERVER, place, "the address of the API")
        server = f"127.0.0.1:{server}" if server.isdigit() else server
    # Several sites in one nginx have an upstream each, and names of upstreams are global.
    return {
        "API_SERVER": server,
        "API_NAME": f"reelshelf_api_{crc32(server.encode()):08x}",
    }


def _old(base: str) -> dict[str, str]:
    """Return the fixed addresses, the hash of the others, and the page that it leads to."""
    # not where the template is checked, which lacks what addresses are made with
    from generator.core.site import old_addresses as old_site  # noqa: PLC0415

    fixed = [
        f"location = {base}/{name} {{ return 302 {base}/{page}; }}"
        for name, page in old_site.FIXED.items()
    ]
    share = f"{100 / len(_HEX_DIGITS):.2f}%"
    shares = " ".join(f"{share} {digit};" for digit in _HEX_DIGITS[:-1]) + f" * {_HEX_DIGITS[-1]};"
    digits = [f"$reelshelf_old_{place:x}" for place in range(old_site.DIGITS)]
    hashed = [
        f'split_clients "{place:x}$reelshelf_old" {digit} {{ {shares} }}'
        for place, digit in enumerate(digits)
    ]
    return {
        "OLD_FIXED": "\n".join(fixed),
        "OLD_HASH": "\n".join(hashed),
        "OLD_PAGE": "".join((*digits[:2], "/", *digits[2:])),
    }


def _proxied(base: str, path: str, is_whole: bool, pattern: str) -> dict[str, str]:  # noqa: FBT001 (a row of the table)
    hidden = security_headers("")  # which this server sends itself
    return {
        "PROXIED_AT": f"{'= ' * is_whole}{base}{path}",
        "PROXIED_PATTERN": pattern,
        "HIDDEN_HEADERS": "\n".join(f"proxy_hide_header {name};" for name in hidden),
    }


def _headers() -> str:
    headers = security_headers(content_policy())
    return "\n".join(f'add_header {name} "{value}" always;' for name, value in headers.items())


def _types(types: Mapping[str, str]) -> str:
    by_type: dict[str, list[str]] = {}
    for suffix, name in types.items():
        by_type.setdefault(name, []).append(suffix)
    return "\n".join(f"{name} {' '.join(suffixes)};" for name, suffixes in by_type.items())


def _listen(listen: str, *, ipv6: bool) -> str:
    """Return the `listen` lines."""
    place, *rest = _matched(_LISTEN, listen, "listen").split(" ")
    is_port = place.isdigit()
    places = (place, f"[::]:{place}") if is_port and ipv6 else (place,)
    lines = [" ".join(("listen", one, *rest)) + ";" for one in places]
    if is_port and not ipv6:
        lines.append(f"# no IPv6 on the machine that wrote this; else: listen [::]:{place}")
    return "\n".join(lines)


def _matched(pattern: re.Pattern[str], text: str, name: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{name} cannot be {text!r}")
    return text


def _path(path: str) -> str:
    """Return a path, without "/" at its end, quoted for where nginx expands variables."""
    if not path.startswith("/"):
        raise ValueError(f"nginx needs an absolute path, not {path!r}")
    _check(path)
    return _quoted(path.rstrip("/")).replace("$", _DOLLAR)


def _check(text: str) -> None:
    if "\0" in text:
        raise ValueError(f"a path cannot have a zero byte: {text!r}")
    try:
        length = len(_quoted(text).replace("$", _DOLLAR).encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"a configuration has to be text, and {text!r} is not UTF-8") from error
    if length > _MAX_WORD:
        raise ValueError(f"this path is too long for nginx: {text[:60]!r}…")


def _quoted(text: str) -> str:
    """Return `text` quoted for where nginx expands no variables."""
    return text.translate(_ESCAPES)
