"""Measured held shares and release sizes against what is known from the sources of what runs.

A busy machine can spoil a measurement, so one that disagrees is repeated, each time in twice the time,
twice at most. What is compared is far apart (shares near 0 and near 1, one exact size among hundreds), so
chance does not make a wrong instrument agree.
"""

import contextlib
import sys
from pathlib import Path

import pytest

from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.session import measure

FAR_SIDE = Path(__file__).parent / "far_side"
TOLERANCE = 0.12
ATTEMPTS = 3
# The lock is given up from this size on; 3.15 compares with "greater than" where 3.14 had "at least".
HASHLIB_RELEASES_FROM = 2048 if sys.version_info < (3, 15) else 2049
NUMPY_THRESHOLD = 500


def measured(targets, sizes, budget_s):
    """The tasks by name; skips where this machine or interpreter has no held share to measure."""
    options = MeasureOptions(
        sizes=sizes, concurrencies=(1,), lanes=("event_loop",), budget_s=budget_s
    )
    with contextlib.chdir(FAR_SIDE):
        result = measure([f"known_truth:{name}" for name in targets], options)
    if not result.host["gil_enabled"]:
        pytest.skip("the lock is off in this interpreter: nothing holds it")
    if not result.gil_sampler["available"]:
        pytest.skip(f"the held share cannot be measured here: {result.gil_sampler['reason']}")
    return {task.name.partition(":")[2]: task for task in result.tasks}


def released_at(name, sizes, expected):
    """The size from which a call gives the lock up, and its shares on either side, in each attempt."""
    seen = []
    while expected not in seen and len(seen) < ATTEMPTS:
        found = measured([name], sizes, budget_s=5.0 * 2 ** len(seen))[name].gil_release
        seen.append([(one.size, one.held_share_below > one.held_share_from) for one in found])
    return seen


def test_held_shares_agree_with_what_is_known_of_the_functions():
    expected = {"pure_python": 1.0, "sleeps": 0.0, "hashes_a_megabyte": 0.0, "dumps_json": 1.0}
    wrong = dict(expected)
    seen = {}
    for attempt in range(ATTEMPTS):
        for name, task in measured(list(wrong), (1,), budget_s=2.0 * 2**attempt).items():
            assert task.error is None
            seen[name] = task.costs[0].gil_held_share
            if seen[name] is not None and abs(seen[name] - expected[name]) <= TOLERANCE:
                del wrong[name]
        if not wrong:
            return
    pytest.fail(f"{ {name: seen[name] for name in wrong} } should be {wrong}")


def test_the_size_from_which_sha256_gives_the_lock_up_is_found_exactly():
    expected = [(HASHLIB_RELEASES_FROM, True)]
    seen = released_at("sha256", (1024, 4096), expected)
    assert seen[-1] == expected, seen


def test_the_size_from_which_numpy_gives_the_lock_up_is_found_exactly():
    pytest.importorskip("numpy")
    expected = [(NUMPY_THRESHOLD + 1, True)]
    seen = released_at("add_arrays", (256, 1024), expected)
    assert seen[-1] == expected, seen
