"""The Bayesian mean of a video's votes: pulled toward the mean of the whole library."""

_PULL = 5  # votes of the library's mean that every video starts with
_BEGIN = (10, 30)  # votes and stars that the library's own mean starts with: ten of three stars


def pulled_tenths(votes: int, stars: int, all_votes: int, all_stars: int) -> int:
    """Return the mean of a video's votes in tenths of a star, so that one vote does not win.

    Args:
        votes: how many the video has.
        stars: their sum.
        all_votes: how many the whole library has.
        all_stars: their sum.

    Returns:
        10 to 50, halves rounded up; in integers, so the same on every machine.
    """
    library_votes, library_stars = all_votes + _BEGIN[0], all_stars + _BEGIN[1]
    above = 10 * (stars * library_votes + _PULL * library_stars)
    below = (votes + _PULL) * library_votes
    return (2 * above + below) // (2 * below)
