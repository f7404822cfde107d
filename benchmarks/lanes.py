"""The process lane against its peers, in one interleaved run.

Every contestant has a process of its own, with the event loop and the workers that it needs. It is set
up and run once before anything is timed; then contestants take turns, in another random order in each
round, so that whatever the machine does meanwhile meets all of them. What is compared is the median
over rounds. Contestants that are busy while nobody calls them (Ray, aiomultiprocess) would disturb the
others: they run alone, after them. A contestant that fails or hangs is reported and left out.

    pip install -e . -r benchmarks/requirements-lanes.txt    # in an environment of their own
    python benchmarks/lanes.py
    python benchmarks/lanes.py --quick --rows 1,8 --only lanewise,anyio
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import platform
import random
import signal
import sys
import sysconfig
import time
from datetime import UTC, datetime
from pathlib import Path

from lane_contestants import jobs, report, table
from lane_contestants.base import Sizes
from lane_contestants.client import Client, ContestantError

RESULTS = Path(__file__).resolve().parent / "results"
QUICK = {
    "window_s": 0.05,
    "map_items": 10_000,
    "chunk_sizes": (256, 1024),
    "array_bytes": 8_000_000,
    "sleep_window_s": 0.2,
    "kills": 1,
}
IDLE_WINDOW_S = 1.0


def main():
    arguments = _arguments()
    # The normal way out closes every contestant.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = Sizes(
        spin_iterations=jobs.calibrated_iterations(), **(QUICK if arguments.quick else {})
    )
    result = _header(arguments, sizes)
    path = _path(arguments)
    for number in arguments.rows:
        row = report.row_of(number)
        names = [name for name in row.contestants if _wanted(name, arguments.only)]
        result["rows"][number] = _run_row(row, names, sizes, arguments)
        result["targets"] = report.judge(
            {at: one["contestants"] for at, one in result["rows"].items()}
        )
        _write(path, result)  # after every row: a run that is broken off keeps what it has
    _print(result)
    print(f"\nwrote {path}" if path else "\nnot written: a partial or quick run without --output")


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = ",".join(str(row.number) for row in table.ROWS)
    parser.add_argument("--rows", type=_rows, default=_rows(every), help=f"some of {every}")
    parser.add_argument("--rounds", type=_positive, help="of each row (15, quick: 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes: try the harness out")
    parser.add_argument("--output", type=Path, help=f"folder ({RESULTS}, for complete runs)")
    parser.add_argument("--only", type=_names, help="contestants, as in lanewise,ppe")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for a step of one")
    parser.add_argument("--seed", type=int, default=1, help="of the order within rounds")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 15)
    return arguments


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


def _rows(text):
    known = {str(row.number): row.number for row in table.ROWS}
    try:
        return sorted({known[one.strip()] for one in text.split(",")})
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"there is no row {error}") from None


def _names(text):
    names = {one.strip() for one in text.split(",")}
    if unknown := names - set(table.CONTESTANTS):
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(table.CONTESTANTS)}"
        )
    return names


def _wanted(name, only):
    return only is None or name in only or name.partition("+")[0] in only


def _path(arguments):
    """Where to write. By itself, only a complete run replaces the results that are kept."""
    complete = not arguments.quick and arguments.only is None
    complete = complete and len(arguments.rows) == len(table.ROWS)
    folder = arguments.output or (RESULTS if complete else None)
    if folder is None:
        return None
    build = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return folder / f"lanes_{sys.version_info.major}.{sys.version_info.minor}{build}.json"


def _header(arguments, sizes):
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": _host(),
        "python": sys.version,
        "versions": {name: _version(name) for name in table.PEERS},
        "options": {
            "quick": arguments.quick,
            "rounds": arguments.rounds,
            "only": sorted(arguments.only) if arguments.only else None,
            "seed": arguments.seed,
            "timeout_s": arguments.timeout,
        },
        "sizes": dataclasses.asdict(sizes),
        "targets": [],
        "rows": {},
    }


def _host():
    try:
        from lanewise.host.facts import host_facts
    except ImportError as error:  # the peers can be measured all the same
        return {"python_version": platform.python_version(), "lanewise": f"not available: {error}"}
    return host_facts().as_dict()


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _run_row(row, names, sizes, arguments):
    restless = [name for name in names if table.is_restless(name)]
    together = [name for name in names if name not in restless]
    found = {"title": row.title, "unit": row.unit, "relative": row.relative or None}
    found |= {"rounds": {}, "left_out": {}, "notes": {}, "idle_cores": {}, "restless": restless}
    # Each of the restless disturbs whoever runs beside it, the next one too.
    for block in filter(None, [together, *([name] for name in restless)]):
        _run_block(row, block, sizes, arguments, found)
    found["contestants"] = report.summarise(row, found["rounds"])
    return found


def _run_block(row, names, sizes, arguments, found):
    """Run some contestants in turn, all of them alive from the first round to the last."""
    rng = random.Random(f"{arguments.seed} {row.number}")
    clients = {}
    with contextlib.ExitStack() as stack:
        for name in names:
            _say(f"row {row.number}: setting up {name}")
            client = Client(name, row.number, dataclasses.asdict(sizes), arguments.timeout)
            stack.push(functools.partial(_closed, client, found))
            try:
                client.get_ready()
            except ContestantError as error:
                _leave_out(found, client, f"not available: {error}")
                continue
            clients[name] = client
            found["notes"][name] = client.notes
            found["rounds"][name] = []
        _watch_idle(clients, found)
        for number in range(arguments.rounds):
            _say(f"row {row.number}: round {number + 1} of {arguments.rounds}")
            for name in rng.sample(sorted(clients), len(clients)):
                try:
                    found["rounds"][name].append(clients[name].round())
                except ContestantError as error:
                    _leave_out(found, clients.pop(name), f"failed: {error}")
                    found["rounds"].pop(name)


def _leave_out(found, client, why):
    found["left_out"][client.name] = why
    _say(f"   {client.name}: {why}")
    client.kill()


def _closed(client, found, error, *_):
    """Close a contestant, unless it was left out and is gone already."""
    if client.name in found["left_out"]:
        return
    if error is not None:
        client.kill()
    elif trouble := client.close():
        found["notes"][client.name] = {**client.notes, "at_the_end": trouble}
        _say(f"   {client.name}: {trouble}")


def _watch_idle(clients, found):
    """Note what contestants use while nobody calls them: cores, of a window without calls."""
    before_s = {name: client.cpu_s() for name, client in clients.items()}
    time.sleep(IDLE_WINDOW_S)
    for name, client in clients.items():
        after_s = client.cpu_s()
        known = after_s is not None and before_s[name] is not None
        used = round((after_s - before_s[name]) / IDLE_WINDOW_S, 3) if known else None
        found["idle_cores"][name] = used


def _say(text):
    print(text, file=sys.stderr, flush=True)


def _write(path, result):
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def _print(result):
    for number, one in result["rows"].items():
        report.print_row(
            report.row_of(number), one["contestants"], one["left_out"], one["restless"]
        )
    report.print_targets(result["targets"])
    report.print_notes(result["rows"])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: rows that were complete have been written, if anything is")
