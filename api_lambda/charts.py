"""Charts as SVG: bars or a line over minutes, readable without seeing them.

Colors come from classes of the style sheet: the policy of the pages allows no inline style.
"""

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _TOP, _FOOT = 360, 140, 16, 18


def chart(
    name: str, title: str, unit: str, values: Sequence[float | None], *, is_line: bool = False
) -> str:
    """Return a chart of values of successive minutes, the last of which is the current one.

    Args:
        name: unique on its page.
        title: the heading of what is shown.
        unit: what the values are, as in "12 ms".
        values: oldest first; None: nothing was measured.
        is_line: a line instead of bars.
    """
    measured = [value for value in values if value is not None]
    top = max(measured, default=0.0)
    limit = _nice(top)
    shape = _line(values, limit) if is_line else _bars(values, limit)
    about = _described(values, measured, unit)
    labels = (
        f'<text x="0" y="{_TOP - 3}">{_number(limit)} {escape(unit)}</text>'
        f'<text x="0" y="{_HEIGHT - 3}">{len(values)} minutes ago</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 3}" text-anchor="end">now</text>'
    )
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' aria-labelledby="{name}-title {name}-about">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-about">{escape(about)}</desc>'
        f'<path class="grid" d="M0 {_TOP}H{_WIDTH}M0 {_HEIGHT - _FOOT}H{_WIDTH}"/>'
        f"{shape}{labels}</svg>"
    )


def _described(values: Sequence[float | None], measured: Sequence[float], unit: str) -> str:
    if not measured or not max(measured):
        return f"Nothing in the last {len(values)} minutes."
    mean = sum(measured) / len(measured)
    last = "nothing" if values[-1] is None else f"{_number(values[-1])} {unit}"
    return (
        f"In the last {len(values)} minutes at most {_number(max(measured))} {unit},"
        f" {_number(mean)} {unit} on average; {last} in the current minute."
    )


def _bars(values: Sequence[float | None], limit: float) -> str:
    step = _WIDTH / max(len(values), 1)
    bars = [
        f"M{number * step + 0.75:.1f} {_HEIGHT - _FOOT}V{_y(value, limit):.1f}h{step - 1.5:.1f}"
        f"V{_HEIGHT - _FOOT}z"
        for number, value in enumerate(values)
        if value
    ]
    return f'<path class="bars" d="{"".join(bars)}"/>'


def _line(values: Sequence[float | None], limit: float) -> str:
    """Return the pieces of a line between gaps; what stands alone is a dot."""
    step = _WIDTH / max(len(values), 1)
    pieces: list[str] = []
    dots: list[str] = []
    for number, value in enumerate(values):
        if value is None:
            continue
        x, y = (number + 0.5) * step, _y(value, limit)
        goes_on = number > 0 and values[number - 1] is not None
        pieces.append(f"{'L' if goes_on else 'M'}{x:.1f} {y:.1f}")
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    return f'<path class="line" d="{"".join(pieces)}"/><g class="dots">{"".join(dots)}</g>'


def _y(value: float, limit: float) -> float:
    return _HEIGHT - _FOOT - (value / limit) * (_HEIGHT - _FOOT - _TOP)


def _nice(top: float) -> float:
    """Return the end of an axis: 1, 2 or 5 times a power of ten, at least `top`."""
    power = 0.001
    while True:
        for step in (1, 2, 5):
            if top <= step * power:
                return step * power
        power *= 10


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"  # noqa: PLR2004
