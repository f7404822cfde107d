"""What is handed to threads under names that lead back to themselves, or that say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import audit

CIRCLES = {
    "itself": """
        from functools import partial
        def run(pool, work, x):
            work = partial(work, x)
            return [pool.submit(work) for _ in range(2)]
        """,
    "each other": """
        from functools import partial
        def run(pool):
            one = partial(other, 1)
            other = partial(one, 2)
            return [pool.submit(one) for _ in range(2)]
        """,
    "locals": """
        def f():
            a = b
            b = a
            a["n"] += 1
            return getattr(a, "x", getattr(b, "x"))
        """,
    "globals": """
        def f():
            if "f" not in globals():
                globals()["f"] = f
            globals()[f]["n"] += 1
        """,
}


@pytest.mark.parametrize("name", CIRCLES)
def test_names_that_lead_in_a_circle_come_to_an_end(tmp_path: Path, name: str) -> None:
    assert audit(tmp_path, CIRCLES[name]).findings == ()
