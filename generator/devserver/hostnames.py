"""Host names: which of them browsers may use, and which one works in the network."""

import socket
from collections.abc import Collection
from ipaddress import ip_address

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (to connect to, not to bind)
_ELSEWHERE = ("192.0.2.1", 9)  # reserved for documentation, RFC 5737


def is_allowed(name: str, host: str, names: Collection[str] | None) -> bool:
    """Return whether a request for this host name is allowed on a server at `host`.

    Against DNS rebinding: a foreign page can point its own name at this computer, and then read
    what is served here. A server for this computer only allows the usual names; one for others
    also `names`; None allows any.
    """
    if _is_address(name):
        return True
    if is_here(host):
        return is_here(name)
    return names is None or is_here(name) or name in names


def is_here(host: str) -> bool:
    """Return whether a name or an address is loopback."""
    if _is_address(host):
        return ip_address(host.strip("[]")).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def reachable(host: str) -> str:
    """Return the address at which this computer reaches a server at `host`."""
    return _EVERYWHERE.get(host, host)


def network_address() -> str | None:
    """Return this computer's address in its network, None if it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.connect(_ELSEWHERE)  # this only selects a route
        except OSError:
            return None
        address = str(udp.getsockname()[0])
    return None if is_here(address) else address


def own_names() -> frozenset[str]:
    """Return the names of this computer in the network, besides its addresses."""
    name = socket.gethostname().lower()
    return frozenset({name, f"{name.partition('.')[0]}.local"})


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False
