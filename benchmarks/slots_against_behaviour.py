"""Do declared slots, read without importing, agree with what the import system then does?

For every extension module in the given folders (as made by ``pip install --target``), up to a number
for each distribution, the reader's answer is compared with two observations, each made in a process of
its own by nothing but CPython:

* on a free-threaded interpreter, whether ``sys._is_gil_enabled()`` turns true when the loader creates it;
* from 3.12 on, whether an interpreter with a lock of its own lets the loader create it.

The module is created from its file, so that no package is imported before it: numpy's refusal is not
to be counted as that of everything which imports numpy.

    python -m pip install --only-binary=:all: --target /tmp/site numpy greenlet ...
    python benchmarks/slots_against_behaviour.py --python /opt/python3.13t/bin/python /tmp/site
"""

import argparse
import collections
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

from lanewise.host.facts import host_facts
from lanewise.readiness.dependencies import read_environment, read_slots

CREATE = """
import sys
sys.path += {path!r}
def create():
    import importlib.machinery, importlib.util
    loader = importlib.machinery.ExtensionFileLoader({module!r}, {file!r})
    spec = importlib.util.spec_from_file_location({module!r}, {file!r}, loader=loader)
    return importlib.util.module_from_spec(spec)
"""
GIL = """
try:
    create()
    print("\\nGIL", sys._is_gil_enabled())
except BaseException as error:
    print("\\nGIL", type(error).__name__, error)
"""
# A new interpreter each; the outer one has not seen the module.
INSIDE = """
code = {code!r} + "create()"
if sys.version_info >= (3, 13):
    import _interpreters
    failure = _interpreters.exec(_interpreters.create("isolated"), code)
    failure = failure and failure.formatted
else:
    import _xxsubinterpreters
    try:
        failure = _xxsubinterpreters.run_string(_xxsubinterpreters.create(isolated=True), code)
    except _xxsubinterpreters.RunFailedError as error:
        failure = str(error)
print("\\nINTERPRETER", failure)
"""


def main():
    arguments = parse()
    environment = read_environment(arguments.python, search_path=tuple(arguments.folders))
    interpreter = environment.interpreter
    folders = [Path(folder).resolve() for folder in arguments.folders]
    asked = []
    for distribution in environment.distributions.values():
        if Path(distribution.location).resolve() in folders:
            loadable = [
                one for one in distribution.natives if one.suffix in interpreter.extension_suffixes
            ]
            asked += [(distribution, one) for one in loadable[: arguments.most_per_distribution]]
    slots = read_slots(
        [(one.module, one.path) for _, one in asked],
        python=arguments.python,
        search_path=interpreter.search_path,
        free_threaded=interpreter.free_threaded,
    )
    rows = [
        compare(interpreter, distribution, read)
        for (distribution, _), read in zip(asked, slots, strict=True)
    ]
    report(arguments, interpreter, rows)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--python")
    parser.add_argument("--most-per-distribution", type=int, default=8)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def compare(interpreter, distribution, read):
    row = {
        "distribution": distribution.name,
        "version": distribution.version,
        "module": read.module,
    }
    row |= {"multi_phase": read.multi_phase, "gil": read.gil, "interpreters": read.interpreters}
    if not read.extension_module or read.multi_phase is None:
        return row | {"reason": read.reason}
    code = CREATE.format(path=list(interpreter.search_path), module=read.module, file=read.path)
    if interpreter.free_threaded:
        seen = run(interpreter, code + GIL, "GIL")
        row["gil_seen"] = {"True": "switched on", "False": "left off"}.get(seen, seen)
        if seen in ("True", "False") and read.brings_lock_back is not None:
            row["gil_agrees"] = read.brings_lock_back is (seen == "True")
    if interpreter.version_info >= (3, 12):
        seen = run(interpreter, code + INSIDE.format(code=code), "INTERPRETER")
        refused = "does not support loading in subinterpreters" in seen
        row["interpreter_seen"] = "taken" if seen == "None" else "refused" if refused else seen
        if (seen == "None" or refused) and read.interpreters != "unknown":
            row["interpreter_agrees"] = (read.interpreters == "own_gil") is (seen == "None")
    return row


def run(interpreter, code, mark):
    command = [interpreter.python or sys.executable, "-P", "-W", "ignore", "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(mark + " ")]
    return lines[-1].removeprefix(mark + " ") if lines else f"exit code {done.returncode}"


def report(arguments, interpreter, rows):
    counts = collections.Counter()
    for row in rows:
        for key in ("gil_agrees", "interpreter_agrees"):
            if key in row:
                counts[key, row[key]] += 1
    for row in rows:
        if False in (row.get("gil_agrees"), row.get("interpreter_agrees")):
            print("DISAGREES", row)
    names = {row["distribution"] for row in rows}
    print(f"CPython {interpreter.version}{'t' if interpreter.free_threaded else ''}")
    print(f"  {len(rows)} modules of {len(names)} distributions")
    summary = {"modules": len(rows), "distributions": len(names)}
    for key in ("gil_agrees", "interpreter_agrees"):
        right, wrong = counts[key, True], counts[key, False]
        summary[key] = {"of": right + wrong, "agree": right}
        print(f"  {key}: {right} of {right + wrong}")
    for row in rows:
        if row["multi_phase"] is None:
            print(f"  not read: {row['module']}: {row['reason'][:120]}")
    if arguments.json:
        document = {
            "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "host": host_facts().as_dict(),
            "audited": {"version": interpreter.version, "free_threaded": interpreter.free_threaded},
            **summary,
            "rows": rows,
        }
        Path(arguments.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
