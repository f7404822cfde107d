"""`audit`: verify the chain of the audit trail."""

import argparse
import asyncio
import sys
from typing import Any

from supplyr.db.opening import opened
from supplyr.settings import Settings
from supplyr.store import audit


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "audit",
        help="verify the audit trail",
        description="Read the whole audit trail and verify its chain of hashes. Who notes the head "
        "elsewhere can tell later whether the trail up to there is still the same: --head.",
    )
    parser.add_argument("--head", help="a head that was noted; the trail must contain it")
    parser.set_defaults(run=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Verify; status 1 where the chain is broken."""
    return asyncio.run(_verify(settings, options.head))


async def _verify(settings: Settings, head: str | None) -> int:
    async with opened(settings) as database:
        verdict = await audit.verify(database)
        if verdict.broken is not None:
            print(
                f"broken at entry {verdict.broken.number}: {verdict.broken.what}", file=sys.stderr
            )
            return 1
        if head is not None and not await audit.contains(database, head):
            print(f"the trail does not contain the head {head}", file=sys.stderr)
            return 1
    print(f"{verdict.entries:,} entries hold; head {verdict.head}")
    return 0
