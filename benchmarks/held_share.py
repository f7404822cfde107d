"""How near is the measured share of time under the GIL to the truth?

Runs functions of known share (C that spins with the lock and without it, Python, sleep), once on the
machine as it is and once beside a process that keeps one core half busy.

    python benchmarks/held_share.py --output benchmarks/results
    python benchmarks/held_share.py --python python3.13

Needs a C compiler (cc).
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from lanewise.measuring.instrument import Instrument
from lanewise.measuring.samples import Samples
from lanewise.measuring.statistics import median

HERE = Path(__file__).parent
LENGTHS_US = (50, 500, 5_000)
ROUNDS = 3
WINDOW_S = 0.12
TOLERANCE = 0.1
HOG = "import time\nwhile True:\n e = time.perf_counter() + .01\n while time.perf_counter() < e: pass\n time.sleep(.01)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--python", help="another interpreter")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory) / "libspin.so"
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", HERE / "spin.c", "-o", library], check=True
        )
        os.environ["LANEWISE_SPIN_LIBRARY"] = str(library)
        os.chdir(HERE)
        sys.path.insert(0, str(HERE))
        rows = []
        for beside in ("nothing", "a half-busy core"):
            with half_busy() if beside != "nothing" else contextlib.nullcontext():
                host, found = measure_all(arguments.python)
            rows += [{"beside": beside, **row} for row in found]
    errors = [abs(row["error"]) for row in rows]
    result = {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host,
        "measured": len(rows),
        "within_tolerance": sum(error <= TOLERANCE for error in errors),
        "error_median": round(median(errors), 4),
        "error_largest": round(max(errors), 4),
        "rows": rows,
    }
    for row in rows:
        print(
            f"{row['beside']:17} {row['function']:17} {row['us']:>5} µs  true {row['true']:.2f}  "
            f"measured {row['measured']:.3f}  {'' if abs(row['error']) <= TOLERANCE else '<<<'}"
        )
    print(
        f"{host['python_version']}: {result['within_tolerance']}/{len(rows)} within {TOLERANCE}, "
        f"error median {result['error_median']}, largest {result['error_largest']}"
    )
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        version = ".".join(host["python_version"].split(".")[:2])
        path = arguments.output / f"held_share_{version}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"wrote {path}")


@contextlib.contextmanager
def half_busy():
    hog = subprocess.Popen([sys.executable, "-c", HOG])
    try:
        yield
    finally:
        hog.kill()
        hog.wait()


def measure_all(python):
    import known_shares  # needs the library that main() has built

    samples = Samples()
    with Instrument(python, seed=1) as instrument:
        for name in known_shares.TRUE_SHARES:
            instrument.bench.ask(
                "resolve", words=f"known_shares:{name}", inputs="known_shares:just", timeout_s=30
            )
            for us in LENGTHS_US:
                task = f"known_shares:{name}"
                samples.prepared[name, us] = instrument.prepare(task, "default", us)
                for _ in range(ROUNDS):
                    made = instrument.cost_round(task, "default", us, WINDOW_S)
                    samples.costs.setdefault((name, us), []).append(made)
        host = instrument.host
    rows = []
    for row in samples.cost_rows():
        true = known_shares.TRUE_SHARES[row.variant]
        share = row.gil_held_share
        rows.append(
            {
                "function": row.variant,
                "us": row.size,
                "true": true,
                "measured": round(share, 4),
                "error": round(share - true, 4),
                "standard_error": round(row.gil_held_share_error, 4),
            }
        )
    return host, rows


if __name__ == "__main__":
    main()
