"""One page of all results in a folder: plots where they say more than a table, then the tables."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supplyr_load.plots import Curve, figure, line_plot, table, tail_plot, write_page
from supplyr_load.results import median

_ORDER = [f"S{number}" for number in range(1, 11)]


def write_results(folder: Path) -> Path | None:
    """Write results.html beside the results; None where there are none."""
    found = [
        json.loads((folder / f"{name}.json").read_text("utf-8"))
        for name in _ORDER
        if (folder / f"{name}.json").exists()
    ]
    if not found:
        return None
    parts = [part for one in found for part in _parts(one)]
    page = folder / "results.html"
    write_page(page, "SUPPLYR under load", parts)
    return page


def _parts(one: dict[str, Any]) -> Iterator[str]:
    heading = f"{one['scenario']} {one['title']}"
    plot = {"S1": _tails, "S2": _goodput}.get(one["scenario"])
    if plot is not None:
        yield plot(heading, one["raw"])
    else:
        yield f"<h2>{html.escape(heading)}</h2>"
    yield table(one["table"]["headings"], one["table"]["rows"])
    marks = {True: "reached", False: "missed", None: "seen"}
    for verdict in one["verdicts"]:
        said = f"{marks[verdict['passed']]}: {verdict['asked']}: {verdict['measured']}"
        yield f"<p>{html.escape(said)}</p>"
    machine = one["machine"]
    yield (
        f"<p>CPython {machine['python']}, {machine['usable_cores']} cores, "
        f"{html.escape(machine['processor'])}.</p>"
    )


def _tails(heading: str, raw: dict[str, Any]) -> str:
    """The middle of all rounds, point by point, at the highest load."""
    rounds = raw["rounds"]
    builds = list(rounds[0])
    highest = [name for name in rounds[0][builds[0]] if name != "idle"][-1]
    curves = [Curve("idle", _middle([one["lanewise"]["idle"] for one in rounds]))]
    curves += [Curve(name, _middle([one[name][highest] for one in rounds])) for name in builds]
    said = (
        f"How long a cheap read takes while heavy work is offered at {highest} of what the lane "
        f"can do. Latency counts from the intended moment of sending; a timeout counts as the "
        f"two seconds that its client waited."
    )
    return figure(heading, said, tail_plot("Latency of cheap reads by build", curves))


def _middle(stretches: list[dict[str, Any]]) -> list[tuple[float, float]]:
    shares = [share for share, _ in min((one["cheap_curve"] for one in stretches), key=len)]
    return [
        (share, median(dict(map(tuple, one["cheap_curve"]))[share] for one in stretches))
        for share in shares
    ]


def _goodput(heading: str, raw: dict[str, Any]) -> str:
    rounds = raw["rounds"]
    builds = [name for name in rounds[0] if name != "peak_per_s"]
    ramp = [name for name, one in rounds[0][builds[0]].items() if isinstance(one, dict)]
    curves = [
        Curve(
            build,
            [
                (float(at), median(one[build][name]["goodput_per_s"] for one in rounds))
                for at, name in enumerate(ramp)
            ],
        )
        for build in builds
    ]
    said = "Heavy calls that were answered while their clients still waited, as the load goes up."
    ticks = [(float(at), f"{name} x") for at, name in enumerate(ramp)]
    return figure(heading, said, line_plot("Goodput of heavy calls", curves, ticks))
