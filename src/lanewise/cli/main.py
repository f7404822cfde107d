"""``lanewise``: parse the command line, run one verb, print errors once."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from lanewise.cli import audit, diagnose, doctor, measure, plan
from lanewise.cli.version import library_version
from lanewise.errors import LanewiseError

FINE = 0
FOUND_SOMETHING = 1
USED_WRONGLY = 2
_INTERRUPTED = 130  # what a shell gives a program that Ctrl-C ended

_DESCRIPTION = """\
Measure where threads stop paying, keep the answer in a plan, and let the plan choose.

  lanewise measure app.tasks                     every task of a module that declares inputs
  lanewise measure app.search:rank --sizes 100,1k,10k --plan lanewise.toml
  lanewise plan show                             which lane each size goes to, and why
  lanewise diagnose --pid 4711                   what the GIL costs a running program, and what would help
  lanewise audit src                             what threads that really run at once would break
  lanewise doctor                                what this machine and interpreter allow
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    parser = argparse.ArgumentParser(
        prog="lanewise",
        description=_DESCRIPTION,
        epilog="Exit status: 0 fine, 1 found something, 2 used wrongly.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lanewise {library_version()}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for module in (measure, plan, diagnose, audit, doctor):
        module.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = build_parser().parse_args(arguments)
    # A supervisor's SIGTERM ends a measurement as Ctrl-C does: nothing that it started is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status: int = options.run(options)
    except LanewiseError as error:
        print(f"lanewise: {error}", file=sys.stderr)  # noqa: T201 - because: this is where errors are told
        return USED_WRONGLY
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe went away, as head does
        sys.stderr.close()
        return FINE
    return status


if __name__ == "__main__":
    sys.exit(main())
