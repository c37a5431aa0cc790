"""The performance page as HTML. It is complete without its script, which only keeps it up to date.

Every chart has its values in a table, too. Parts that the script replaces have `data-live`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from api_lambda.charts import chart
from api_lambda.health_checks import age_of
from api_lambda.read_cache import CacheStatus
from api_lambda.route_figures import all_routes, hit_rate, route_json
from api_lambda.site_figures import (
    RECENT_MINUTES,
    SERIES_MINUTES,
    SiteFigures,
)
from generator.core import formatting
from generator.core.model import Token

_BUILDS = 15
_NONE = "\u2013"


@dataclass(frozen=True, slots=True)
class PageInputs:
    """What the page shows; `failing` are the failing checks by name, with their reason."""

    title: str
    base: str
    figures: SiteFigures
    cache: CacheStatus
    failing: Mapping[str, str]
    tokens: Sequence[Token]


def performance_page(inputs: PageInputs) -> str:
    """Return the whole page."""
    title, base = escape(inputs.title), escape(inputs.base)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Performance · {title}</title>
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<script defer src="performance.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<a class="brand" href="{base}/"><bdi>{title}</bdi></a>
<nav aria-label="Site"><ul><li><a href="performance" aria-current="page">Performance</a></li>
<li><a href="{base}/problems.html">Problems</a></li></ul></nav>
</header>
<main id="main">
<div class="heading"><h1>Performance</h1></div>
{live_parts(inputs)}
{_tokens(inputs)}
</main>
<footer class="end"><p>For programs: <a href="stats">figures as JSON</a>
<a href="cache/status">cache</a> <a href="../metrics">metrics for Prometheus</a></p></footer>
</body>
</html>
"""


def live_parts(inputs: PageInputs) -> str:
    """Return the parts that change all the time."""
    parts = {
        "health": _health(inputs),
        "overview": _overview(inputs),
        "charts": _charts(inputs.figures),
        "routes": _routes(inputs.figures),
        "phases": _phases(inputs.figures),
        "builds": _builds(inputs.figures),
        "machine": _machine(inputs),
    }
    return "\n".join(
        f'<section data-live="{name}" class="live-{name}">\n{part}</section>'
        for name, part in parts.items()
    )


def _health(inputs: PageInputs) -> str:
    at = formatting.rfc3339(inputs.figures.at)
    clock = f'<p class="stamp">As of <time datetime="{at}">{_clock(inputs.figures.at)}</time></p>\n'
    if not inputs.failing:
        return f'<p class="verdict ok"><b>Healthy.</b> All checks pass.</p>\n{clock}'
    reasons = "".join(
        f"<li><b>{escape(name)}</b>: {escape(reason)}</li>"
        for name, reason in inputs.failing.items()
    )
    count = formatting.counted(len(inputs.failing), "check")
    fail = "fails" if len(inputs.failing) == 1 else "fail"
    return f'<div class="verdict"><b>{count} {fail}.</b><ul>{reasons}</ul></div>\n{clock}'


def _overview(inputs: PageInputs) -> str:
    figures = inputs.figures
    recent = route_json(all_routes(figures.recent.routes)) if figures.recent.routes else {}
    receipts, now = figures.build.receipts, figures.at
    share = hit_rate(figures.requests.counters)
    watch = _NONE
    if figures.heartbeat is not None:
        beat = figures.heartbeat
        watch = "stopped" if beat.stopped else f"alive {_ago(now, beat.at)}"
    entries = {
        "Requests, 15 minutes": f"{recent.get('count', 0)}",
        "Half within (p50)": _ms(recent.get("p50_ms")),
        "95 % within (p95)": _ms(recent.get("p95_ms")),
        "99 % within (p99)": _ms(recent.get("p99_ms")),
        "Failed requests": f"{recent.get('errors', 0)}",
        "Events not shown yet": f"{figures.behind}",
        "Last refresh": _ago(now, int(receipts[0]["at"])) if receipts else _NONE,
        "Watching": watch,
        "Read cache hits": _NONE if share is None else f"{share:.0%}",
        "Last backup": _ago(now, figures.backup_at) if figures.backup_at else "not recorded",
        "Disk full in": _full_in(figures),
        "Problems": f"{figures.problems}",
    }
    terms = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in entries.items()
    )
    return f'<h2 class="quiet">Overview</h2>\n<dl class="facts">{terms}</dl>\n'


def _full_in(figures: SiteFigures) -> str:
    forecast = figures.forecast
    if forecast.days is None:
        return forecast.reason
    return age_of(forecast.days * 86400)


def _charts(figures: SiteFigures) -> str:
    series = figures.series
    kinds: tuple[tuple[str, str, str, Sequence[float | None], bool], ...] = (
        ("requests", "Requests a minute", "requests", series.requests, False),
        ("times", "95 % of requests within", "ms", series.p95_ms, True),
        ("events", "Events a minute", "events", series.events, False),
        ("pages", "Pages written a minute", "pages", series.pages, False),
    )
    drawn = "".join(
        f"<figure><figcaption>{title}</figcaption>"
        f"{chart(name, title, unit, values, is_line=is_line)}</figure>"
        for name, title, unit, values, is_line in kinds
    )
    first = figures.at // 60 - SERIES_MINUTES + 1
    rows = [
        (
            _clock((first + number) * 60), requests, _plain(p95), events, pages,
        )
        for number, (requests, p95, events, pages) in enumerate(
            zip(series.requests, series.p95_ms, series.events, series.pages, strict=True)
        )
        if requests or events or pages
    ]  # fmt: skip
    columns = ("Minute (UTC)", "Requests", "p95 in ms", "Events", "Pages written")
    table = _table("The last hour, minute by minute", columns, rows[::-1], "Nothing happened.")
    return (
        f'<h2>The last hour</h2>\n<div class="charts">{drawn}</div>\n'
        f'<details data-keep="minutes"><summary>The same as a table</summary>{table}</details>\n'
    )


def _routes(figures: SiteFigures) -> str:
    rows = sorted(
        (route_json(route) for route in figures.recent.routes),
        key=lambda row: -float(str(row["p95_ms"] or 0)),
    )
    columns = ("Route", "Requests", "p50 in ms", "p95 in ms", "p99 in ms", "4xx", "5xx")
    cells = [
        (
            f"{row['method']} {row['route']}", row["count"], _plain(row["p50_ms"]),
            _plain(row["p95_ms"]), _plain(row["p99_ms"]), row["refused"], row["errors"],
        )
        for row in rows
    ]  # fmt: skip
    name = f"Requests of the last {RECENT_MINUTES} minutes by route, slowest first"
    return f"<h2>Requests</h2>\n{_table(name, columns, cells, 'No requests.')}"


def _phases(figures: SiteFigures) -> str:
    phases = figures.build.totals.get("phases", {})
    last = figures.build.receipts[0].get("seconds", {}) if figures.build.receipts else {}
    cells = [
        (name, count, _plain(1000 * total / count), _plain(1000 * last[name]) if name in last else
         _NONE)
        for name, (count, total) in phases.items()
    ]  # fmt: skip
    columns = ("Phase", "Refreshes", "Mean in ms", "In the last one, in ms")
    table = _table("Time of refreshes by phase", columns, cells, "Nothing was built yet.")
    return f"<h2>Builds</h2>\n{table}"


def _builds(figures: SiteFigures) -> str:
    rows = []
    for receipt in figures.build.receipts[:_BUILDS]:
        why = ", ".join(f"{count} {reason}" for reason, count in receipt["reasons"].items())
        rows.append(
            (
                f"{receipt['number']}", _moment(int(receipt["at"])), receipt["events"],
                receipt["written"], receipt["failed"], f"{float(receipt['total_s']):.2f}",
                why or "nothing to render",
            )
        )  # fmt: skip
    columns = ("Number", "At (UTC)", "Events", "Pages written", "Failed", "Seconds", "Why")
    table = _table("The last refreshes", columns, rows, "Nothing was built yet.")
    failed = figures.build.failed
    listed = "".join(
        f"<li><code>{escape(path)}</code>: {escape(reason)}</li>" for path, reason in failed.items()
    )
    more = f"<h3>Pages that cannot be written</h3>\n<ul>{listed}</ul>\n" if listed else ""
    return f"{table}{more}"


def _machine(inputs: PageInputs) -> str:
    figures, system, cache = inputs.figures, inputs.figures.system, inputs.cache
    size = formatting.file_size
    rows = [
        ("Memory", size(system.memory_bytes)),
        ("Memory available", size(system.memory_available_bytes)),
        ("Memory of the API and the builder", size(system.process_memory_bytes)),
        ("Processor", f"{system.cpu_percent:.0f} %, load {system.load_1m:.2f}"),
        *((f"Free on the disk of {name}", size(free)) for name, free in figures.disks.items()),
        ("Processes of the API", len(figures.requests.pids)),
        ("Read cache of this process", f"{cache.entries} of at most {cache.max_entries} videos"),
    ]  # fmt: skip
    table = _table("This machine", ("What", "How much"), rows, "")
    button = (
        '<form method="post" action="cache/refresh"><button type="submit">Refresh the read cache'
        "</button></form>\n"
    )
    return f"<h2>Machine and cache</h2>\n{table}{button}"


def _tokens(inputs: PageInputs) -> str:
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(token.name)}</bdi></th>'
        f"<td>{_moment(token.created_at)}</td><td>{_revocation(token)}</td></tr>"
        for token in inputs.tokens
    )
    about = "<p>Revoking a token ends every session that began with it, perhaps yours.</p>\n"
    empty = "<p>There are no tokens: <code>reelshelf token new</code> makes one.</p>\n"
    table = (
        '<div class="wide" tabindex="0" role="group" aria-label="Tokens"><table>'
        '<caption class="quiet">Tokens</caption><thead><tr><th scope="col">Name</th>'
        '<th scope="col">Created (UTC)</th><th scope="col">Revoked</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
    )
    return (
        f'<section class="tokens">\n<h2>Tokens</h2>\n{about + table if rows else empty}</section>'
    )


def _revocation(token: Token) -> str:
    if token.revoked_at is not None:
        return _moment(token.revoked_at)
    return (
        '<form method="post" action="tokens/revoke">'
        f'<input type="hidden" name="token" value="{escape(token.id)}">'
        f'<button type="submit" aria-label="Revoke {escape(token.name)}">Revoke</button></form>'
    )


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> str:
    """Return a table, which scrolls by itself where it is too wide; the first cell is a heading."""
    if not rows:
        return f"<p>{escape(empty)}</p>\n"
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(_row(row) for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{escape(name)}"><table>'
        f'<caption class="quiet">{escape(name)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def _row(row: Iterable[object]) -> str:
    first, *rest = map(str, row)
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
    return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'


def _clock(instant: int) -> str:
    return formatting.rfc3339(instant)[11:16]


def _moment(instant: int) -> str:
    return formatting.rfc3339(instant)[:16].replace("T", " ")


def _ago(now: int, instant: int) -> str:
    return f"{age_of(max(now - instant, 0))} ago"


def _plain(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else _NONE


def _ms(value: object) -> str:
    return f"{value:.1f} ms" if isinstance(value, int | float) else _NONE
