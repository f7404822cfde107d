"""Time the full duplicate run against plain Python: `python -m supplyr.full_run_bench 100000`.

Both get the same generated suppliers and must return the same pairs. Plain Python is one call in
this process; the full run is what the job does, over a runtime of its own, from pages to clusters.
They take turns, so that what else the machine does hits both; ratios are taken within a round.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from lanewise import Runtime

from supplyr.dedupe import DEFAULT_THRESHOLD, score_pairs
from supplyr.duplicates.clusters import Cluster, group
from supplyr.duplicates.prepare import encode_page
from supplyr.generate import generate
from supplyr.jobs.background import Background
from supplyr.jobs.full_run import PAGE_ROWS, find_clusters
from supplyr.records import Supplier
from supplyr.similarity import threshold_permille


class Round(NamedTuple):
    """Seconds that each of the two took."""

    python_s: float
    full_run_s: float


def pages_of(records: Sequence[Supplier]) -> list[bytes]:
    """Return records as the database writes them for a full run."""
    rows = [(one.name, one.street, one.city, one.postcode, one.address_extra) for one in records]
    return [encode_page(rows[at : at + PAGE_ROWS]) for at in range(0, len(rows), PAGE_ROWS)]


async def _full_run(background: Background, pages: Sequence[bytes]) -> tuple[list[Cluster], float]:
    async def read() -> AsyncIterator[bytes]:
        for page in pages:
            yield page

    started = time.perf_counter()
    clusters = await find_clusters(background, read(), DEFAULT_THRESHOLD)
    return clusters, time.perf_counter() - started


async def measure(records: Sequence[Supplier], rounds: int, processes: int) -> list[Round]:
    """Time both in turns; RuntimeError when they disagree."""
    pages = pages_of(records)
    permille = threshold_permille(DEFAULT_THRESHOLD)
    measured: list[Round] = []
    async with Runtime(processes=processes, preload=["supplyr.tasks"]) as runtime:
        background = Background(runtime)
        await _full_run(background, pages[:4])  # workers are started and know their modules
        for number in range(rounds):
            clusters, full_run_s = await _full_run(background, pages)
            started = time.perf_counter()
            scores = score_pairs(records, permille)
            python_s = time.perf_counter() - started
            same = group((one, other, score) for (one, other), score in scores.items())
            if clusters != same:
                raise RuntimeError("the full run and plain Python found different clusters")
            measured.append(Round(python_s, full_run_s))
            print(
                f"round {number + 1}: plain Python {python_s:.2f} s, full run {full_run_s:.2f} s,"
                f" ratio {python_s / full_run_s:.1f}, {len(clusters):,} clusters",
                flush=True,
            )
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each round and the median of the ratios."""
    parser = argparse.ArgumentParser(prog="python -m supplyr.full_run_bench", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=100_000, help="suppliers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    records = generate(options.count, duplicate_share=0.05).records
    measured = asyncio.run(measure(records, options.rounds, options.processes))
    ratios = [one.python_s / one.full_run_s for one in measured]
    print(f"median ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
