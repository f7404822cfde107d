"""How values look on pages."""

import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import pass_context
from jinja2.runtime import Context as JinjaContext
from markupsafe import Markup

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


def mail_address(email: str) -> str:
    """Return an address as a mailto: link has it: mail programs take "%40" as it stands."""
    return quote(email, safe="@!$'*+")


FILTERS: dict[str, Callable[..., str]] = {
    "count": count,
    "day": day,
    "host": host,
    "kilometres": kilometres,
    "mail_address": mail_address,
    "moment": moment,
    "percent": percent,
    "price": price,
    "web_link": web_link,
}


@pass_context
def csrf_field(context: JinjaContext) -> Markup:
    """Return the hidden field that every form which changes something needs."""
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(
        context["csrf_token"]
    )


def initials(name: str) -> str:
    """ "Weiß Stahlbau GmbH" as "WS"."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"


def tint(name: str) -> int:
    """Return which of eight colours stands for a name: the same one each time."""
    return zlib.crc32(name.encode()) % 8


def query(values: Mapping[str, Any], **changes: Any) -> str:
    """Return a query string of values with changes, without what is empty."""
    merged = {**values, **changes}
    return urlencode({name: value for name, value in merged.items() if value not in ("", None)})


FILTERS.update(initials=initials)
GLOBALS: dict[str, Any] = {
    "csrf_field": csrf_field,
    "query": query,
    "static_url": static_url,
    "tint": tint,
}
