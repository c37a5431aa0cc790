"""Which backups are kept: the newest of each day first; many in an hour displace no older week."""

from collections.abc import Sequence

_DAY_S = 86400


def rotated_out(instants: Sequence[int], keep: int) -> list[int]:
    """Return the positions of the backups that are not kept, the oldest first.

    The newest of each of the last `keep` days (UTC) that have one are kept; while those are fewer,
    the newest of the others.

    Args:
        instants: when the backups were made.
        keep: how many are kept, at least one.
    """
    newest_first = sorted(range(len(instants)), key=lambda at: (-instants[at], -at))
    of_day: dict[int, int] = {}
    for position in newest_first:
        of_day.setdefault(instants[position] // _DAY_S, position)
    first = set(of_day.values())
    ranked = sorted(newest_first, key=lambda position: position not in first)  # stable
    return sorted(ranked[keep:], key=lambda position: (instants[position], position))
