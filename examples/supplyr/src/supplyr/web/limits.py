"""How often one client may ask: dependencies for routers, and whose request it is.

@router.get(..., dependencies=[SEARCHES])
"""

from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Literal

from fastapi import Depends, Request

from supplyr.auth.rate_limit import whole_seconds
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError

Kind = Literal["search", "write", "login"]


def client_address(request: Request) -> str:
    """Return the address that a request came from; of IPv6 the network that one client has.

    X-Forwarded-For is believed as far as proxies of ours wrote it: clients can write there what
    they like, and each proxy appends whom it talked to.
    """
    direct = request.client.host if request.client else "unknown"
    trusted = context_of(request).settings.trusted_proxies
    if trusted < 1:
        return site_of(direct)
    told = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    hops = [part for part in told if part]
    return site_of(hops[-trusted][:64] if len(hops) >= trusted else direct)


def site_of(address: str) -> str:
    """Return an address as it is counted: of IPv6 the first half, for one client has the rest."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed.packed[:8] + bytes(8), 64)))


def take(request: Request, kind: Kind, subject: str | None = None, cost: float = 1.0) -> None:
    """Count a request of a client; 429 with Retry-After where it asks too often."""
    context = context_of(request)
    per_minute = getattr(context.settings, f"{kind}_per_minute")
    who = client_address(request) if subject is None else subject
    wait_s = context.limiter.taken(f"{kind} {who}", per_minute, cost)
    if wait_s > 0:
        raise ProblemError(
            429,
            f"More than {per_minute} a minute is too much; try again in {whole_seconds(wait_s)} s.",
            code="too-many",
            headers={"retry-after": whole_seconds(wait_s)},
        )


def count(request: Request, kind: Kind) -> None:
    """Count a request of a client once, whoever asks for that first: a guard or its route."""
    if getattr(request.state, "counted", None) != kind:
        request.state.counted = kind
        take(request, kind)


def _limit(kind: Kind) -> Callable[[Request], Coroutine[Any, Any, None]]:
    async def limited(request: Request) -> None:
        count(request, kind)

    return limited


SEARCHES = Depends(_limit("search"))
WRITES = Depends(_limit("write"))
LOGINS = Depends(_limit("login"))
