"""`clean`: delete old uploads and exports now; servers do it once an hour."""

import argparse
import asyncio
import time
from typing import Any

from supplyr.db.opening import opened
from supplyr.jobs.cleaning import Cleaned, clean
from supplyr.settings import Settings


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "clean",
        help="delete old uploads and exports now",
        description="Delete uploads older than SUPPLYR_KEEP_UPLOADS_DAYS, exports older than"
        " SUPPLYR_KEEP_EXPORTS_DAYS, and what killed servers left behind.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _options: argparse.Namespace) -> int:
    """Clean, and say what was deleted."""

    async def cleaned() -> Cleaned:
        async with opened(settings) as database:
            return await clean(database, settings, time.time())

    done = asyncio.run(cleaned())
    print(f"deleted {done.uploads} uploads, {done.exports} exports, {done.strays} stray files")
    return 0
