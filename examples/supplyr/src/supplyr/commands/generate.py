"""`generate`: fill a directory with seeded suppliers."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from supplyr.db.database import ConflictError
from supplyr.db.opening import opened
from supplyr.generate import DEFAULT_SEED
from supplyr.seeding import Seeded, seed_directory
from supplyr.settings import Settings


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "generate",
        help="add generated suppliers",
        description="Add suppliers with names, places, codes, products and known duplicates. "
        "Equal arguments make equal suppliers.",
    )
    parser.add_argument("count", type=int, help="how many, such as 100000")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    parser.add_argument(
        "--duplicates",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of suppliers that are corrupted copies of others (default: %(default)s)",
    )
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="write the pairs of ids that are the same (JSON)"
    )
    parser.set_defaults(run=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Generate and report."""
    started = time.monotonic()
    try:
        made = asyncio.run(_generate(settings, options))
    except ValueError as error:
        print(f"supplyr: {error}", file=sys.stderr)
        return 2
    except ConflictError:
        print(
            "supplyr: suppliers of this seed are in the directory already; choose another --seed "
            "or another --data-dir",
            file=sys.stderr,
        )
        return 1
    if options.truth is not None:
        draft = options.truth.with_name(options.truth.name + ".part")
        draft.write_text(json.dumps({"duplicate_pairs": made.duplicate_pairs}), encoding="utf-8")
        draft.replace(options.truth)
    print(
        f"{len(made.ids):,} suppliers with {made.products:,} products, "
        f"{len(made.duplicate_pairs):,} pairs of duplicates, "
        f"in {time.monotonic() - started:.1f} s"
    )
    return 0


async def _generate(settings: Settings, options: argparse.Namespace) -> Seeded:
    def progress(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,}", end="", file=sys.stderr, flush=True)

    async with opened(settings) as database:
        made = await seed_directory(
            database,
            options.count,
            seed=options.seed,
            duplicate_share=options.duplicates,
            progress=progress,
        )
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    return made
