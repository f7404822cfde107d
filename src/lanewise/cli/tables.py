"""The tables that ``lanewise measure`` prints."""

from __future__ import annotations

from typing import Any

from lanewise.cli.output import Output
from lanewise.measuring.session import SessionResult
from lanewise.model.measurement import Cost, LaneResult, Route, TaskMeasurement
from lanewise.model.units import format_bytes, format_count, format_seconds

_PREDICTED = (4, 16, 64)


def print_task(output: Output, task: TaskMeasurement, host: dict[str, Any]) -> None:
    """Print everything that a reader needs to decide about one task."""
    output.title(task.name)
    build = "free-threaded, " if host["free_threaded_build"] else ""
    lock = "GIL on" if host["gil_enabled"] else "GIL off"
    output.note(
        f"{host['implementation']} {host['python_version']} ({build}{lock}), "
        f"{host['usable_cores']} usable cores, {host['cpu_model']}; {task.elapsed_s:.0f} s"
    )
    for variant in task.variants:
        if variant.status != "ok":
            output.warning(f"variant {variant.name} {variant.status}: {variant.reason}")
    for warning in task.warnings:
        output.warning(warning)
    for one in task.contention:
        output.warning(f"{one.variant} at size {format_count(one.size)}: {one}")
    if task.error is not None:
        output.line(f"  not measured: {task.error}", style="red")
        return
    _print_costs(output, task)
    _print_lanes(output, task)
    _print_points(output, task)
    print_routes(output, task.routes)
    _print_predictions(output, task)


def _print_costs(output: Output, task: TaskMeasurement) -> None:
    output.line(
        "\n  one call alone (held: share of wall time with the GIL; queued: waiting for a core)"
    )
    columns = [
        ("variant", "left"),
        ("size", "right"),
        ("wall", "right"),
        ("±", "right"),
        ("CPU", "right"),
        ("held", "right"),
        ("drops/s", "right"),
        ("queued", "right"),
        ("args", "right"),
        ("result", "right"),
        ("pickling", "right"),
    ]
    output.table(columns, [_cost_row(cost) for cost in task.costs])
    for cost in task.costs:
        if cost.note:
            output.warning(f"{cost.variant} at size {format_count(cost.size)}: {cost.note}")


def _cost_row(cost: Cost) -> list[str]:
    half = (cost.wall_high_s - cost.wall_low_s) / 2 / cost.wall_s
    per_s = cost.gil_handovers_per_s
    return [
        f"  {cost.variant}",
        format_count(cost.size),
        format_seconds(cost.wall_s),
        f"{half:.0%}",
        format_seconds(cost.cpu_s),
        _share(cost.gil_held_share),
        "–" if per_s is None else format_count(round(per_s)),
        format_seconds(cost.run_queue_s),
        format_bytes(cost.args_bytes),
        format_bytes(cost.result_bytes),
        format_seconds(cost.pickle_s),
    ]


def _print_lanes(output: Output, task: TaskMeasurement) -> None:
    """Calls per second, one row a contender and size, one column a concurrency."""
    levels = sorted({row.concurrency for row in task.lanes})
    if not levels:
        return
    output.line(
        "\n  calls per second on each lane, by concurrency (* delays the loop beyond its budget)"
    )
    table: dict[tuple[str, str, float], dict[int, LaneResult]] = {}
    for row in task.lanes:
        table.setdefault((row.variant, row.lane, row.size), {})[row.concurrency] = row
    full = {size for (_, _, size), cells in table.items() if len(cells) == len(levels)}
    columns = [("variant", "left"), ("lane", "left"), ("size", "right")]
    columns += [(f"{level}", "right") for level in levels]
    columns += [("p50", "right"), ("p95", "right"), ("loop lag p99", "right")]
    rows = [_lane_row(key, cells, levels) for key, cells in table.items() if key[2] in full]
    output.table(columns, rows)


def _lane_row(
    key: tuple[str, str, float], cells: dict[int, LaneResult], levels: list[int]
) -> list[str]:
    variant, lane, size = key
    last = cells[max(cells)]
    rates = ["" if level not in cells else _rate(cells[level]) for level in levels]
    return [
        f"  {variant}",
        lane,
        format_count(size),
        *rates,
        format_seconds(last.latency_p50_s),
        format_seconds(last.latency_p95_s),
        format_seconds(last.loop_lag_p99_s),
    ]


def _rate(row: LaneResult) -> str:
    mark = "" if row.eligible else "*"
    return f"{format_count(round(row.throughput_per_s, 1))}{mark}"


def _print_points(output: Output, task: TaskMeasurement) -> None:
    for release in task.gil_release:
        output.line(
            f"  {release.variant} gives the GIL up from size {format_count(release.size)} on "
            f"(held {release.held_share_below:.0%} one below, {release.held_share_from:.0%} there)"
        )
    if task.break_even:
        output.line("\n  break-even points")
        columns = [
            ("callers", "right"),
            ("from", "left"),
            ("to", "left"),
            ("size", "right"),
            ("95 % interval", "left"),
            ("why", "left"),
        ]
        rows = [
            [
                f"  {point.concurrency}",
                point.from_,
                point.to,
                format_count(point.size),
                f"{format_count(point.low)} … {format_count(point.high)}",
                point.why,
            ]
            for point in task.break_even
        ]
        output.table(columns, rows)
    _print_saturation(output, task)


def _print_saturation(output: Output, task: TaskMeasurement) -> None:
    """The largest size of each contender: where contention is least blurred by dispatch."""
    last = {
        (row.variant, row.lane): row for row in sorted(task.saturation, key=lambda row: row.size)
    }
    for row in last.values():
        held = "unknown" if row.expected_contention is None else f"{row.expected_contention:.0%}"
        verdict = ""
        if row.agrees is False:
            more = row.contention > (row.expected_contention or 0.0)
            verdict = ": something else is shared too" if more else ": too noisy to say"
        output.line(
            f"  {row.lane}/{row.variant} gains nothing past {row.concurrency} callers "
            f"(size {format_count(row.size)}; contention fitted {row.contention:.0%}, "
            f"serial share measured {held}{verdict})"
        )


def print_routes(output: Output, routes: tuple[Route, ...]) -> None:
    """Print decisions with their reasons."""
    if not routes:
        return
    output.line("\n  routes")
    for route in routes:
        upper = "up" if route.max_size is None else f"to {format_count(route.max_size)}"
        span = f"from {format_count(route.min_size)} {upper}"
        mark = "" if route.decided else " (undecided)"
        callers = "caller" if route.concurrency == 1 else "callers"
        output.line(
            f"    {route.concurrency} {callers}, sizes {span}: {route.lane}/{route.variant}{mark}",
            style="bold",
        )
        output.note(f"    {route.reason}")


def _print_predictions(output: Output, task: TaskMeasurement) -> None:
    """The largest size, best variant of each lane: elsewhere, and without the lock."""
    if not task.predictions:
        return
    size = max(row.size for row in task.predictions)
    lanes = list(dict.fromkeys((row.lane, row.free_threaded) for row in task.predictions))
    output.line(f"\n  predicted calls per second at size {format_count(size)}, one caller a core")
    rows: list[list[str]] = []
    for lane, free_threaded in lanes:
        best = [
            max(
                row.throughput_per_s
                for row in task.predictions
                if (row.lane, row.free_threaded, row.size, row.cores)
                == (lane, free_threaded, size, cores)
            )
            for cores in _PREDICTED
        ]
        build = "free-threaded build" if free_threaded else "with the GIL"
        rows.append([f"  {lane}", build, *(format_count(round(value, 1)) for value in best)])
    columns = [("lane", "left"), ("build", "left")]
    output.table([*columns, *((f"{cores} cores", "right") for cores in _PREDICTED)], rows)


def print_comparison(output: Output, results: list[tuple[str, SessionResult]]) -> None:
    """The same tasks under several interpreters, side by side."""
    columns = [("variant", "left"), ("size", "right"), ("", "left")]
    columns += [(_interpreter(result), "right") for _, result in results]
    for task in results[0][1].tasks:
        rows: list[list[str]] = []
        for cost in task.costs:
            twins = [_same_cost(result, task.name, cost) for _, result in results]
            known = [twin for twin in twins if twin is not None]
            if len(known) < len(results):
                continue  # a size that only one of them refined
            walls = [format_seconds(twin.wall_s) for twin in known]
            rows.append([f"  {cost.variant}", format_count(cost.size), "wall", *walls])
            rows.append(["", "", "GIL held", *(_share(twin.gil_held_share) for twin in known)])
            best = [_best(result, task.name, cost) for _, result in results]
            rows.append(["", "", "best lane", *best])
        output.title(f"{task.name} under each interpreter")
        output.table(columns, rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _interpreter(result: SessionResult) -> str:
    build = "t" if result.host["free_threaded_build"] else ""
    return f"{result.host['python_version']}{build}"


def _same_cost(result: SessionResult, name: str, wanted: Cost) -> Cost | None:
    for task in result.tasks:
        for cost in task.costs:
            if (task.name, cost.variant, cost.size) == (name, wanted.variant, wanted.size):
                return cost
    return None


def _best(result: SessionResult, name: str, cost: Cost) -> str:
    rows = [
        row
        for task in result.tasks
        for row in task.lanes
        if (task.name, row.variant, row.size) == (name, cost.variant, cost.size)
    ]
    fit = [row for row in rows if row.eligible] or rows
    if not fit:
        return "–"
    top = max(fit, key=lambda row: row.throughput_per_s)
    return f"{top.lane} ×{top.concurrency}: {format_count(round(top.throughput_per_s, 1))}/s"
