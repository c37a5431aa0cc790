"""Names of this computer: which of them a browser may use, and which one others find it by."""

import socket
from collections.abc import Collection
from ipaddress import ip_address

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where to be found, not to bind)
_ELSEWHERE = ("192.0.2.1", 9)  # an address for documents, RFC 5737: nobody has it


def is_ours(name: str, host: str, names: Collection[str] | None) -> bool:
    """Tell whether a browser may know who serves at `host` by this name.

    A page from elsewhere can have its own name point to this computer, and then read what is
    served here as its own. So who serves this computer only has no name but the usual ones, and
    who serves others has those and `names`; None stands for any.
    """
    if _is_address(name):
        return True
    if is_here(host):
        return is_here(name)
    return names is None or is_here(name) or name in names


def is_here(host: str) -> bool:
    """Tell whether a name or an address means this computer, whichever that is."""
    if _is_address(host):
        return ip_address(host.strip("[]")).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def reachable(host: str) -> str:
    """Return where to find, from this computer, who serves at `host`."""
    return _EVERYWHERE.get(host, host)


def network_address() -> str | None:
    """Return this computer's address in its network, None if it is in none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            line.connect(_ELSEWHERE)  # that only looks up the way
        except OSError:
            return None
        address = str(line.getsockname()[0])
    return None if is_here(address) else address


def own_names() -> frozenset[str]:
    """Return what others in the network may call this computer, besides its addresses."""
    name = socket.gethostname().lower()
    return frozenset({name, f"{name.partition('.')[0]}.local"})


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False
