"""How values look on pages."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from supplyr.web.static_files import static_url


def count(value: float) -> str:
    """12345 as "12,345"."""
    return f"{int(value):,}"


def price(cents: int) -> str:
    """123450 as "1,234.50"."""
    return f"{cents // 100:,}.{cents % 100:02d}"


def day(at_s: float | None) -> str:
    """A moment as "24 March 2026" (UTC)."""
    if at_s is None:
        return "–"
    moment = datetime.fromtimestamp(at_s, UTC)
    return f"{moment.day} {moment:%B %Y}"


def moment(at_s: float | None) -> str:
    """A moment as "2026-03-24 14:05:09" (UTC)."""
    return "–" if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S}"


def percent(share: float) -> str:
    """0.876 as "88 %"."""
    return f"{share:.0%}".replace("%", " %")


def kilometres(value: float) -> str:
    """3.14159 as "3.1 km", 123.4 as "123 km"."""
    return f"{value:.1f} km" if value < 10 else f"{value:,.0f} km"


def host(url: str) -> str:
    """https://www.example.org/ as "example.org"."""
    return url.partition("//")[2].partition("/")[0].removeprefix("www.") or url


def web_link(url: str) -> str:
    """Return the address if a browser may follow it, else "": never a javascript: one."""
    return url if url.startswith(("https://", "http://")) else ""


FILTERS: dict[str, Callable[..., str]] = {
    "count": count,
    "day": day,
    "host": host,
    "kilometres": kilometres,
    "moment": moment,
    "percent": percent,
    "price": price,
    "web_link": web_link,
}
GLOBALS: dict[str, Any] = {"static_url": static_url}
