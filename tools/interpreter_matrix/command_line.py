"""The sub-commands: what is asked for, what is answered, and the exit status."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from .execute import execute
from .fetch import fetch
from .find import find
from .machine import cache_dir, say
from .versions import NATIVE_ONLY, VERSIONS, Interpreter, Unavailable

# The executable in front of this package, as others are to call it.
ENTRY = str(Path(__file__).resolve().parent.parent / "interpreters")


def describe(found: Interpreter) -> str:
    where = found.root or found.python
    lacks = f", without {', '.join(found.lacks)}" if found.lacks else ""
    return f"{found.version:6} yes  {found.full} ({found.kind}: {where}){lacks}"


def report(versions: list[str], cache: Path, reasons: dict[str, str]) -> bool:
    """One plain line each; whether all are there."""
    complete = True
    for version in versions:
        try:
            print(describe(find(version, cache)), flush=True)
        except Unavailable as why:
            print(f"{version:6} no   {reasons.get(version, str(why))}", flush=True)
            complete = False
    return complete


def command_ensure(options: argparse.Namespace) -> int:
    cache = cache_dir()
    versions = options.versions or list(VERSIONS)
    missing = []
    for version in versions:
        try:
            find(version, cache)
        except Unavailable:
            if version not in NATIVE_ONLY:
                missing.append(version)
    reasons: dict[str, str] = {}
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        reasons = fetch(missing, cache)
    return 0 if report(versions, cache, reasons) else 1


def command_list(options: argparse.Namespace) -> int:
    cache = cache_dir()
    versions = options.versions or list(VERSIONS)
    if not options.json:
        report(versions, cache, {})
        return 0
    answer: dict[str, dict[str, object]] = {}
    for version in versions:
        try:
            found = find(version, cache)
        except Unavailable as why:
            answer[version] = {"available": False, "reason": str(why)}
            continue
        # `command` is to be followed by the python's own arguments, for every kind.
        command = [found.python]
        if found.root is not None:
            command = [ENTRY, "run", version, "--"]
        answer[version] = {
            "available": True, "kind": found.kind, "full_version": found.full,
            "command": command, "root": found.root, "lacks": list(found.lacks),
        }  # fmt: skip
    print(json.dumps(answer, indent=2))
    return 0


def command_run(options: argparse.Namespace) -> int:
    found = find(options.version, cache_dir())
    cwd = os.path.realpath(options.cwd)
    if not os.path.isdir(cwd):
        raise Unavailable(f"{options.cwd} is no folder")
    python, binds = found.python, [os.path.realpath(path) for path in options.bind]
    if options.venv:
        venv = os.path.realpath(options.venv)
        python = os.path.join(venv, "bin", "python")
        # lexists: a chrooted one's link leads to a file that only the chroot has.
        if not os.path.lexists(python):
            raise Unavailable(f"{options.venv} is no virtual environment")
        binds.append(venv)
    execute(found, python, options.args, cwd, binds)


def command_venv(options: argparse.Namespace) -> int:
    found = find(options.version, cache_dir())
    venv = os.path.realpath(options.dir)
    os.makedirs(venv, exist_ok=True)
    execute(found, found.python, ["-m", "venv", venv], venv, [])


def parse(argv: list[str], description: str) -> argparse.Namespace:
    # What follows the first `--` is the python's, and none of argparse's business.
    cut = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        prog="interpreters",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="name", required=True)
    ensure = commands.add_parser(
        "ensure", help="get what is missing (1 if something stays missing)"
    )
    ensure.add_argument("versions", nargs="*", metavar="VERSION")
    ensure.set_defaults(run=command_ensure)
    listing = commands.add_parser("list", help="say which there are, fetching nothing")
    listing.add_argument("--json", action="store_true")
    listing.add_argument("versions", nargs="*", metavar="VERSION")
    listing.set_defaults(run=command_list)
    run = commands.add_parser("run", help="run one, with the arguments after --")
    run.add_argument("version", metavar="VERSION", choices=VERSIONS)
    run.add_argument("--cwd", default=".", metavar="DIR", help="where (default: here)")
    run.add_argument("--venv", metavar="DIR", help="with this virtual environment's python")
    run.add_argument(
        "--bind", action="append", default=[], metavar="DIR", help="also visible in it"
    )
    run.set_defaults(run=command_run)
    venv = commands.add_parser("venv", help="make a virtual environment, with pip")
    venv.add_argument("version", metavar="VERSION", choices=VERSIONS)
    venv.add_argument("dir", metavar="DIR")
    venv.set_defaults(run=command_venv)
    options = parser.parse_args(argv[:cut])
    for version in getattr(options, "versions", []):
        if version not in VERSIONS:
            parser.error(f"unknown version {version}; there are {', '.join(VERSIONS)}")
    options.args = argv[cut + 1 :]
    if options.args and options.name != "run":
        parser.error("only `run` takes arguments after --")
    return options


def main(description: str) -> int:
    # A plain `kill` is to tidy up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = parse(sys.argv[1:], description)
    try:
        status: int = options.run(options)
    except Unavailable as why:
        say(f"interpreters: {why}")
        # As the shell says of a command that it cannot find.
        return 127
    except KeyboardInterrupt:
        return 130
    return status
