"""`migrate`: bring the database to the schema of this version, without serving."""

import argparse
import asyncio
from typing import Any

from supplyr.db.opening import opened
from supplyr.settings import Settings


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "migrate",
        help="bring the database to this version's schema",
        description="Apply the migrations that are missing. `serve` does so too.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _options: argparse.Namespace) -> int:
    """Migrate."""
    asyncio.run(_migrate(settings))
    print("the database has the schema of this version")
    return 0


async def _migrate(settings: Settings) -> None:
    async with opened(settings):
        pass
