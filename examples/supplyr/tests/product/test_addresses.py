"""Whose requests are counted together."""

from dataclasses import replace

import httpx
import pytest

from supplyr.settings import Settings
from supplyr.web.app import create_app
from supplyr.web.limits import site_of


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_one_client_has_half_an_address_of_ipv6(address: str, site: str) -> None:
    assert site_of(address) == site


async def test_another_address_of_the_same_network_is_no_other_client(
    settings: Settings,
) -> None:
    app = create_app(replace(settings, search_per_minute=1, trusted_proxies=1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://supplyr.test"
        ) as client,
    ):

        async def status(address: str) -> int:
            headers = {"x-forwarded-for": address}
            return (await client.get("/api/v1/codes", headers=headers)).status_code

        # A bucket holds five.
        assert [await status(f"2001:db8::{n}") for n in range(6)] == [200] * 5 + [429]
        assert await status("2001:db8:0:1::1") == 200
