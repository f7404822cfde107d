"""Medians, ratios, targets, and the printed table."""

import statistics

from lane_contestants.table import ROWS, TARGETS, reference_of


def summarise(row, rounds):
    """Turn the rounds of a row into what is reported of each contestant.

    Args:
        row: The row.
        rounds: Figures of every round, by contestant.
    """
    found = {name: _of_one(figures) for name, figures in rounds.items() if figures}
    for name, one in found.items():
        reference = found.get(reference_of(name))
        if reference is not None:
            one["lanewise_times_faster"] = _times_faster(row, reference["median"], one["median"])
        if row.number == 3 and "ideal" in found:
            one["relative_median"] = one["median"] / found["ideal"]["median"]
    return found


def _of_one(figures):
    values = [one["value"] for one in figures]
    low, high = _quartiles(values)
    found = {"median": statistics.median(values), "quartile_1": low, "quartile_3": high}
    if "relative" in figures[0]:
        found["relative_median"] = statistics.median(one["relative"] for one in figures)
    return found


def _quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _times_faster(row, ours, theirs):
    return theirs / ours if row.unit == "s" else ours / theirs


def judge(results):
    """Compare what was measured with the targets.

    Args:
        results: For each row's number, what :func:`summarise` gave.
    """
    return [
        {**vars(target), **_judged(target, results.get(target.row, {}))}
        for target in TARGETS
        if target.row in results
    ]


def _judged(target, found):
    value = _value(target, found)
    if value is None:
        return {"value": None, "pass": None, "reached": "not measured"}
    at_least = target.kind in ("faster", "share")
    aim = value >= target.aim if at_least else value <= target.aim
    least = value >= target.least if at_least else value <= target.least
    return {
        "value": value,
        "pass": least,
        "reached": "aim" if aim else "pass" if least else "FAIL",
    }


def _value(target, found):
    if "lanewise" not in found:
        return None
    ours = found["lanewise"]
    if target.kind == "relative":
        return ours.get("relative_median")
    if target.against not in found:
        return None
    if target.kind == "share":
        return ours["median"] / found[target.against]["median"]
    times_faster = found[target.against]["lanewise_times_faster"]
    return times_faster if target.kind == "faster" else 1 / times_faster


def print_row(row, found, left_out, restless):
    """Print one row as an aligned table, best first."""
    print(f"\n{row.number}. {row.title}")
    lines = [("", "median", "quartiles", "lanewise is", row.relative)]
    ranked = sorted(found, key=lambda name: found[name]["median"], reverse=row.unit != "s")
    for name in ranked:
        one = found[name]
        low, high = one["quartile_1"], one["quartile_3"]
        faster = one.get("lanewise_times_faster")
        lines.append(
            (
                name + (" *" if name in restless else ""),
                _told(one["median"], row.unit),
                f"{_told(low, row.unit)} - {_told(high, row.unit)}",
                "" if faster is None or name == reference_of(name) else _told_faster(faster),
                f"{one['relative_median']:.2f}x" if "relative_median" in one else "",
            )
        )
    _print_aligned(lines)
    for name, why in left_out.items():
        print(f"   {name}: {why}")


def print_targets(judged):
    """Print the targets and whether they are reached."""
    print("\nTargets (lanewise)")
    words = {"faster": "times faster than", "slower": "times the time of"}
    words |= {"share": "of the throughput of", "relative": "times the cost of"}
    lines = [("row", "", "", "at least", "aim", "measured", "")]
    for one in judged:
        at = ">=" if one["kind"] in ("faster", "share") else "<="
        lines.append(
            (
                str(one["row"]),
                words[one["kind"]],
                one["against"],
                f"{at} {one['least']:g}",
                f"{at} {one['aim']:g}",
                "-" if one["value"] is None else f"{one['value']:.2f}",
                one["reached"],
            )
        )
    _print_aligned(lines)


def print_notes(results):
    """Say which rows were not interleaved, and who was busy while idle."""
    restless = sorted({name for one in results.values() for name in one["restless"]})
    if restless:
        print(
            f"\n* {', '.join(restless)}: busy also while nobody calls; measured alone, after the others."
        )
    for number, one in results.items():
        for name, cores in one["idle_cores"].items():
            if cores is not None and cores > 0.02 and name not in one["restless"]:
                print(f"row {number}: {name} used {cores:.2f} of a core while nobody called it")


def row_of(number):
    """Return the row with a number."""
    return next(row for row in ROWS if row.number == number)


def _told(value, unit):
    if unit != "s":
        return f"{value:,.0f}/s"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1 or name == "µs":
            return (
                f"{value * factor:.3g} {name}"
                if value * factor < 1000
                else f"{value * factor:.0f} {name}"
            )
    return ""


def _told_faster(times):
    return f"{times:.2f}x faster" if times >= 1 else f"{1 / times:.2f}x slower"


def _print_aligned(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print(("   " + "  ".join(cells)).rstrip())
