"""S9: the same service on other interpreters, such as one without the lock: which lanes now?

Lanes are chosen by what is seen, so nothing is configured differently.
"""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

from supplyr_load.bench import CHEAP_PER_HEAVY, Bench
from supplyr_load.results import Result, Table, Verdict, milliseconds, percent
from supplyr_load.scenarios.mixed import measured, ratio
from supplyr_load.server import Server, package_path

_LOAD = 0.5
_BOUND = 3.0
_PROBE = (
    "import supplyr_load.builds, sys;"
    "print(sys.version.split()[0], getattr(sys, '_is_gil_enabled', lambda: True)())"
)


def run(bench: Bench) -> Result:
    """Serve with this interpreter and with each other one that can."""
    found: list[dict[str, Any]] = []
    cannot: list[str] = []
    for python in ("", *bench.pythons):
        able, said = probed(python)
        if not able:
            cannot.append(f"{python}: {said}")
            continue
        found.append({"python": said, **_served(bench, python)})
    rows = [
        (
            one["python"],
            "on" if one["gil_enabled"] else "off",
            one["lanes"],
            f"{one['peak_per_s']:.1f}",
            f"{ratio(one, f'{_LOAD:g}'):.1f}",
            percent(one[f"{_LOAD:g}"]["heavy_ok"]),
            milliseconds(one[f"{_LOAD:g}"]["lag_p99_s"]),
        )
        for one in found
    ]
    headings = (
        "Python", "lock", "lanes taken", "heavy/s at best", f"cheap p99 / idle at {_LOAD:g}",
        "heavy ok", "loop lag p99",
    )  # fmt: skip
    verdicts = [
        Verdict(
            f"{one['python']}: cheap p99 at {_LOAD:g} of capacity at most {_BOUND:g} x idle",
            f"{ratio(one, f'{_LOAD:g}'):.1f} x",
            ratio(one, f"{_LOAD:g}") <= _BOUND,
        )
        for one in found
    ]
    result = Result("S9", "With and without the lock", Table(headings, rows), verdicts)
    result.notes = [f"Could not serve: {one}" for one in cannot]
    if not bench.pythons:
        result.notes.append("No other interpreter was named (`--python`).")
    result.raw = {"cheap_per_heavy": CHEAP_PER_HEAVY, "runs": found}
    return result


def probed(python: str) -> tuple[bool, str]:
    """Return whether an interpreter can serve, and what it is or what it lacks."""
    executable = python or sys.executable
    asked = subprocess.run(  # noqa: S603 - because: the interpreter that the user named
        [executable, "-c", _PROBE],
        env={**os.environ, **package_path(executable)},
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        return False, asked.stderr.strip().splitlines()[-1][:200]
    version, gil = asked.stdout.split()
    return True, version + ("" if gil == "True" else " free-threaded")


def _served(bench: Bench, python: str) -> dict[str, Any]:
    usual = bench.server("lanewise").options
    options = replace(usual, python=python or usual.python)
    with Server(options) as server:
        bench.warm(server, 3.0)
        per_s = bench.peak(server).per_s
        seen = measured(bench, server, per_s, (_LOAD,), 0)
        state = server.state()
    lanes = sorted({route.split()[1] for route in state["routes"]})
    return {
        **seen,
        "peak_per_s": per_s,
        "gil_enabled": state["gil_enabled"],
        "lanes": ", ".join(lanes),
        "routes": state["routes"],
    }
