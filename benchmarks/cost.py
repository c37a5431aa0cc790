"""Money: what a site costs on AWS in a month, and what 1,000 ratings cost, from a list of prices.

Arithmetic and no measurement: the pages that events change were counted by runs of this package
(`PUT`), and the rest are assumptions that stand here by name. docs/explanation/cost.md holds the
tables as they are printed, and a test compares them.

    python -m benchmarks cost
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

DAYS, DAY_S, MINUTES, HOURS = 30, 86_400, 30 * 1440, 30 * 24
MB, GB = 1e6, 1e9

# US dollars, us-east-1. The sources and their dates are in docs/explanation/cost.md.
STORED_GB = 0.023
PUT_EACH, GET_EACH = 0.005 / 1000, 0.0004 / 1000
REQUEST_EACH, REQUESTS_FREE = 0.0100 / 10_000, 10_000_000
SENT_FREE_GB = 1_000.0
SENT_GB = (  # up to so many GB a month, a GB
    (10_000.0, 0.085), (50_000.0, 0.080), (150_000.0, 0.060), (500_000.0, 0.040),
    (1_024_000.0, 0.030), (5_120_000.0, 0.025), (float("inf"), 0.020),
)  # fmt: skip
INVALIDATION_EACH, INVALIDATIONS_FREE = 0.005, 1_000
API_EACH = 1.00 / 1_000_000
LAMBDA_EACH, LAMBDAS_FREE = 0.20 / 1_000_000, 1_000_000
GB_SECOND, GB_SECONDS_FREE = 0.0000133334, 400_000
MESSAGE_EACH, MESSAGES_FREE = 0.40 / 1_000_000, 1_000_000
LOG_GB, LOG_FREE_GB = 0.50, 5.0

PRICES = (
    ("S3 Standard, a GB a month", STORED_GB, "none"),
    ("S3, 1,000 PUT or LIST (a DELETE is free)", PUT_EACH * 1000, "none"),
    ("S3, 1,000 GET", GET_EACH * 1000, "none"),
    ("CloudFront, a GB sent (Europe, North America; 0.080 from 10 TB, 0.020 from 5 PB)",
     SENT_GB[0][1], "1 TB"),
    ("CloudFront, 10,000 requests (https)", REQUEST_EACH * 10_000, "10,000,000"),
    ("CloudFront, a path invalidated", INVALIDATION_EACH, "1,000"),
    ("HTTP API, 1,000,000 requests", API_EACH * 1e6, "none"),
    ("Lambda, 1,000,000 requests", LAMBDA_EACH * 1e6, "1,000,000"),
    ("Lambda on arm64, 1,000,000 GB-seconds", GB_SECOND * 1e6, "400,000"),
    ("SQS, 1,000,000 requests", MESSAGE_EACH * 1e6, "1,000,000"),
    ("CloudWatch, a GB of logs", LOG_GB, "5 GB"),
)  # fmt: skip

# Pages that so many events in one build change, counted: views of any videos, each of which shows
# an exact count (below 1,000 views), at 200 and 5,000 videos; ratings at 1,000 and 100,000.
VIEWS_PUT = {200: {1: 36, 42: 214, 1000: 393}, 5_000: {14: 1_028, 833: 8_300, 20_000: 13_119}}
RATINGS_PUT = {1_000: {1: 61, 17: 707, 1000: 2_211}, 100_000: {1: 80, 17: 1_390, 1000: 57_387}}

# Assumptions about one visit: two pages, a screen of thumbnails, and 40 % of one film.
PAGES, PAGE_BYTES = 2, 6_000
STILLS, STILL_BYTES = 20, 18_000
RANGES, SHARE_SEEN = 6, 0.4
API_CALLS = 2  # one tells of a view, one asks for live figures
VISITORS_WHO_RATE = 0.02
API_GB, API_SECONDS = 1.0, 0.020
ACCESS_LINE = 300  # bytes of log for each request to the API
BUILDER_GB, BUILDER_SECONDS, BUILDER_PUTS = 1769 / 1024, 4.0, 4  # a run; lease, state, mark
PEAK = 4  # an evening, beside the mean


@dataclass(frozen=True, slots=True)
class Size:
    """A site: its library, its visits a day, and the pages that a publish puts.

    `missed` is the share of requests that CloudFront has to pass on to S3; `put` are the pages of
    one publish, by how many there are in a day.
    """

    name: str
    videos: int
    library_gb: float
    visits: int
    missed: float
    put: dict[int, int]
    on_lambda: bool


SMALL = Size("small", 200, 10, 1_000, 0.2, {1000: 36, 24: 214, 1: 393}, on_lambda=True)
MEDIUM = Size(
    "medium", 5_000, 500, 20_000, 0.1, {1440: 1_028, 24: 8_300, 1: 13_119}, on_lambda=False
)
# Of videos with more than 1,000 views, one view in 100 changes what is shown: 7 in a minute beside
# 14 ratings, which is 21 changes of 80 pages; an hour has 60 times as many, with little in common.
LARGE = Size("large", 100_000, 10_000, 1_000_000, 0.02, {1440: 1_680, 24: 80_000}, on_lambda=False)
SIZES = (SMALL, MEDIUM, LARGE)


@dataclass(frozen=True, slots=True)
class Bill:
    """US dollars a month."""

    stored: float
    published: float
    films: float
    pages: float
    requests: float
    api: float
    queue: float
    builder: float
    logs: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return sum(map(float, astuple(self)))


def sent(gb: float) -> float:
    """Return what it costs to send so much in a month, the first terabyte being free."""
    cost, below = 0.0, 0.0
    gb = max(0.0, gb - SENT_FREE_GB)
    for limit, price in SENT_GB:
        cost += max(0.0, min(gb, limit) - below) * price
        below = limit
    return cost


def over(amount: float, free: float, price: float) -> float:
    """Return what an amount costs of which some is free."""
    return max(0.0, amount - free) * price


def bill(size: Size, publishes: int) -> Bill:
    """Return what a site costs in a month, published so often a day."""
    visits = size.visits * DAYS
    film_gb = visits * SHARE_SEEN * size.library_gb / size.videos
    page_gb = visits * (PAGES * PAGE_BYTES + STILLS * STILL_BYTES) / GB
    requests = visits * (PAGES + STILLS + RANGES + API_CALLS)
    asked = visits * API_CALLS
    events = visits * (1 + VISITORS_WHO_RATE)
    whole = sent(film_gb + page_gb)
    runs = MINUTES if size.on_lambda else 0
    polls = 2 * runs if size.on_lambda else DAYS * DAY_S / 20
    lambda_gb_s = asked * API_SECONDS * API_GB + runs * BUILDER_SECONDS * BUILDER_GB
    computing = over(asked + runs, LAMBDAS_FREE, LAMBDA_EACH) + over(
        lambda_gb_s, GB_SECONDS_FREE, GB_SECOND
    )
    return Bill(
        stored=size.library_gb * STORED_GB,
        published=size.put[publishes] * publishes * DAYS * PUT_EACH,
        films=whole - sent(page_gb),
        pages=sent(page_gb),
        requests=over(requests, REQUESTS_FREE, REQUEST_EACH) + requests * size.missed * GET_EACH,
        api=asked * API_EACH + (0 if size.on_lambda else computing),
        queue=over(events * 1.2 + polls, MESSAGES_FREE, MESSAGE_EACH),
        builder=computing + runs * BUILDER_PUTS * PUT_EACH if size.on_lambda else 0.0,
        logs=over(asked * ACCESS_LINE / GB, LOG_FREE_GB, LOG_GB),
    )


def rating_bill(pages: float) -> tuple[float, float]:
    """Return what the pages of 1,000 ratings cost, and API and queue with nothing free."""
    api = 1000 * (API_EACH + LAMBDA_EACH + API_SECONDS * API_GB * GB_SECOND + 1.2 * MESSAGE_EACH)
    return pages * PUT_EACH, api


# -- tables


def tables() -> str:
    """Return all tables, as Markdown."""
    parts = (price_table, month_table, publish_table, rating_table, load_table)
    return "\n\n".join(part() for part in parts)


def price_table() -> str:
    """Return the list of prices."""
    rows = [(name, _price(price), free) for name, price, free in PRICES]
    return _table(("what", "US dollars", "free each month"), rows)


def month_table() -> str:
    """Return what three sizes cost in a month, published once an hour."""
    bills = [bill(size, 24) for size in SIZES]
    heads = ("US dollars a month", *(f"{size.name}: {size.videos:,} videos" for size in SIZES))
    names = {
        "stored": "the library in S3", "published": "pages put", "films": "films sent",
        "pages": "pages and thumbnails sent", "requests": "requests to CloudFront and S3",
        "api": "API", "queue": "queue", "builder": "builder", "logs": "logs",
    }  # fmt: skip
    rows = [(said, *(_money(getattr(one, name)) for one in bills)) for name, said in names.items()]
    rows += [
        ("**together**", *(f"**{_money(one.total)}**" for one in bills)),
        ("without the films", *(_money(one.total - one.films - one.stored) for one in bills)),
    ]
    return _table(heads, rows)


def publish_table() -> str:
    """Return what it costs to put pages, by how often that is done."""
    rows = []
    for size in SIZES:
        cells = [
            f"{count * often * DAYS:,} pages, {_money(count * often * DAYS * PUT_EACH)}"
            for often, count in size.put.items()
        ]
        rows.append(
            (f"{size.name}, {size.visits:,} visits a day", *cells, *["-"] * (3 - len(cells)))
        )
    return _table(("a month", "each minute", "each hour", "each day"), rows)


def rating_table() -> str:
    """Return what 1,000 ratings cost."""
    rows = []
    ways = {1: "each published at once", 17: "in an hour, published each minute",
            1000: "in one minute, published once"}  # fmt: skip
    for videos, counted in RATINGS_PUT.items():
        for together, way in ways.items():
            pages = counted[together] * 1000 / together
            put, api = rating_bill(pages)
            rows.append(
                (f"{videos:,}", way, f"{pages:,.0f}", _price(put), _price(api), _price(put + api))
            )
    return _table(
        ("videos", "1,000 ratings", "pages put", "pages", "API and queue", "together"), rows
    )


def load_table() -> str:
    """Return what a million visitors a day ask of each part."""
    size = LARGE
    visits = size.visits
    requests = visits * (PAGES + STILLS + RANGES + API_CALLS)
    asked, events = visits * API_CALLS, visits * (1 + VISITORS_WHO_RATE)
    gbits = visits * SHARE_SEEN * size.library_gb * GB / size.videos * 8 / GB
    rows = [
        ("CloudFront, requests", f"{requests:,}", *_rates(requests)),
        ("CloudFront, Gbit/s of films", "-", *_rates(gbits)),
        ("S3, GET", f"{requests * size.missed:,.0f}", *_rates(requests * size.missed)),
        ("API, requests", f"{asked:,}", *_rates(asked)),
        ("queue, events", f"{events:,.0f}", *_rates(events)),
        ("S3, PUT of pages, published each minute", f"{size.put[1440] * 1440:,}",
         *_rates(size.put[1440] * 1440)),
    ]  # fmt: skip
    return _table(("part", "a day", "a second", f"in an evening (x {PEAK})"), rows)


def _rates(a_day: float) -> tuple[str, str]:
    return f"{a_day / DAY_S:,.0f}", f"{a_day / DAY_S * PEAK:,.0f}"


def _money(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _price(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Print the tables; return what three sizes cost in a month, published once an hour."""
    del videos, folder
    print(tables(), end="\n\n")
    return {size.name: round(bill(size, 24).total, 2) for size in SIZES}
