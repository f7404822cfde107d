"""A plan for the heavy work of the load tests: measured here, before anything is loaded.

Without one a runtime learns from the first calls, which are cold, on a machine that is about to be
loaded on purpose.
"""

import platform
from collections.abc import Sequence
from pathlib import Path

from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.session import measure
from lanewise.measuring.store import write_atomically
from lanewise.plan.document import Plan
from lanewise.plan.write import to_toml

from supplyr_load.works import WORKS


def ensure_plan(folder: Path, sized: Sequence[tuple[str, int]], budget_s: float) -> Path:
    """Return a plan for works at about these sizes, measuring it where there is none yet."""
    path = folder / f"plan-{platform.python_version()}.toml"
    if path.exists():
        return path
    plans = []
    for work, size in sized:
        sizes = tuple(float(max(1, round(size * part))) for part in (0.25, 1.0, 2.0))
        options = MeasureOptions(sizes=sizes, budget_s=budget_s)
        plans += measure([WORKS[work].name], options).plans
    write_atomically(path, to_toml(Plan({one.name: one for one in plans})))
    return path
