"""Measure the duplicate detector on the Febrl data sets: `python -m supplyr.evaluate`.

The threshold is chosen on febrl1 only and then applied, unchanged, to the other sets.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from supplyr.dedupe import (
    DEFAULT_THRESHOLD,
    Pair,
    find_duplicates,
    find_duplicates_rapidfuzz,
    score_pairs,
    score_pairs_rapidfuzz,
)
from supplyr.generate import generate
from supplyr.records import Supplier
from supplyr.truth import LabelledSet, Quality, TruthUnavailableError, evaluate, load

CHOSEN_ON = "febrl1"
SWEEP_PERMILLE = range(500, 951, 5)

Finder = Callable[[Sequence[Supplier], float], list[Pair]]
Scorer = Callable[[Sequence[Supplier], int], dict[Pair, int]]
VARIANTS: dict[str, tuple[Finder, Scorer]] = {
    "python": (find_duplicates, score_pairs),
    "rapidfuzz": (find_duplicates_rapidfuzz, score_pairs_rapidfuzz),
}


class Line(NamedTuple):
    """One line of the table."""

    variant: str
    data: str
    threshold: float
    quality: Quality
    wall_s: float


def choose_threshold(scores: Mapping[Pair, int], labelled: LabelledSet) -> float:
    """Return the threshold of the sweep with the best F1 (the middle one of equally good ones)."""
    f1_by_permille = {
        permille: evaluate(
            (pair for pair, score in scores.items() if score >= permille), labelled.true_pairs
        ).f1
        for permille in SWEEP_PERMILLE
    }
    best = max(f1_by_permille.values())
    equally_good = [permille for permille, f1 in f1_by_permille.items() if f1 == best]
    return equally_good[len(equally_good) // 2] / 1000


def measure(variant: str, data: str, labelled: LabelledSet, threshold: float) -> Line:
    """Run one variant once on one data set and time it."""
    find, _ = VARIANTS[variant]
    start = time.perf_counter()
    pairs = find(labelled.records, threshold)
    wall_s = time.perf_counter() - start
    return Line(variant, data, threshold, evaluate(pairs, labelled.true_pairs), wall_s)


def _generated(count: int) -> LabelledSet:
    directory = generate(count)
    return LabelledSet(directory.records, frozenset(directory.duplicate_pairs))


def _print_line(line: Line) -> None:
    quality = line.quality
    print(
        f"{line.variant:<10} {line.data:<10} {line.threshold:>9.3f} {quality.precision:>9.4f}"
        f" {quality.recall:>7.4f} {quality.f1:>7.4f} {line.wall_s:>8.2f}",
        flush=True,
    )


def _run(variants: Sequence[str], with_febrl4: bool) -> None:
    names = ["febrl1", "febrl2", "febrl3"] + (["febrl4"] if with_febrl4 else [])
    sets = {name: load(name) for name in names}
    suppliers = _generated(5000)
    print(f"threshold chosen on {CHOSEN_ON} by a sweep, best F1; wall_s is one run, not a mean")
    print("variant    data       threshold precision  recall      f1   wall_s")
    for variant in variants:
        _, scorer = VARIANTS[variant]
        scores = scorer(sets[CHOSEN_ON].records, SWEEP_PERMILLE.start)
        threshold = choose_threshold(scores, sets[CHOSEN_ON])
        for name, labelled in sets.items():
            _print_line(measure(variant, name, labelled, threshold))
        _print_line(measure(variant, "generated", suppliers, DEFAULT_THRESHOLD))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code (1 when the data sets are not installed)."""
    parser = argparse.ArgumentParser(prog="python -m supplyr.evaluate", description=__doc__)
    parser.add_argument("--variant", choices=sorted(VARIANTS), help="only this implementation")
    parser.add_argument("--with-febrl4", action="store_true", help="also the 10,000 of febrl4")
    options = parser.parse_args(arguments)
    try:
        _run([options.variant] if options.variant else list(VARIANTS), options.with_febrl4)
    except TruthUnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
