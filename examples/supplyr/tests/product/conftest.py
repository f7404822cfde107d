"""Both databases, and apps over them. PostgreSQL is a private cluster in a temporary folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from supplyr.db.database import Database
from supplyr.db.opening import opened
from supplyr.settings import Settings
from supplyr.web.app import create_app

from .cluster import Cluster, cluster_or_reason


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL of these tests' own; skips, with the reason, where it cannot be had."""
    with cluster_or_reason() as found:
        if isinstance(found, str):
            pytest.skip(found)
        yield found


@pytest.fixture(autouse=True)
def limits_for_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seconds are not enough where a process may stand still for as long.

    They are what a preview, a picture and the database's answer to /readyz may take.
    """
    monkeypatch.setattr("supplyr.web.work._PREVIEW_S", 100.0)
    monkeypatch.setattr("supplyr.web.pictures._MAKING_S", 100.0)
    monkeypatch.setattr("supplyr.web.probes._DATABASE_S", 100.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings over an empty database of either kind."""
    database = ""
    if request.param == "postgresql":
        database = request.getfixturevalue("cluster").new_database()
    # Passwords cost as little as argon2 allows: what they cost is measured elsewhere.
    return Settings(
        data_dir=tmp_path / "data",
        database=database,
        processes=1,
        login_memory_kib=64,
        login_per_minute=6_000,
        write_per_minute=6_000,
        search_per_minute=60_000,
        rank_every_hours=0,  # no job comes by itself
        # However slow the machine: no heavy work is refused, and no entry stays unchecked.
        queue_timeout_s=100.0,
        duplicate_check_s=100.0,
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """An empty, migrated database of either kind."""
    async with opened(settings) as made:
        yield made


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """A started app over an empty database of either kind."""
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app that keeps cookies, as a browser on its own pages would."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"origin": "http://supplyr.test"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://supplyr.test", headers=headers
    ) as made:
        yield made
