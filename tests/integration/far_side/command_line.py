"""Running the command line, and looking at what it said."""

import contextlib
import functools
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lanewise.cli.main import main
from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.session import measure

FAR_SIDE = Path(__file__).parent
FINE, FOUND, WRONG, INTERRUPTED = 0, 1, 2, 130
BUDGET_S = 2.0
# Beyond the budget a task may take one call of user code, its bench's restart and a busy machine.
OVERRUN = 2.5
QUICK = ("--lanes", "event_loop", "--concurrency", "1", "--budget", "2s")


@dataclass(frozen=True)
class Ended:
    """How a command line ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def lanewise(*arguments):
    """Run the command line in this process: its errors need no interpreter of their own."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(FAR_SIDE),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ending:
            status = ending.code
    return Ended(status, out.getvalue(), errors.getvalue())


def lanewise_process(*arguments, **options):
    """Run the command line as people do."""
    command = [sys.executable, "-m", "lanewise", *map(str, arguments)]
    return subprocess.run(
        command, cwd=FAR_SIDE, capture_output=True, text=True, timeout=110, check=False, **options
    )


def told(run):
    """What a person reads; a traceback is never that."""
    assert "Traceback" not in run.stderr, run.stderr
    return run.stdout + run.stderr


@functools.cache
def measured(
    name, sizes=(100, 1000), lanes=("event_loop", "thread"), variants=None, budget_s=BUDGET_S
):
    """One troubled task, measured once for all tests that look at it."""
    options = MeasureOptions(
        sizes=sizes, concurrencies=(1,), lanes=lanes, variants=variants, budget_s=budget_s
    )
    with contextlib.chdir(FAR_SIDE):
        result = measure([f"troubled:{name}"], options)
    (task,) = result.tasks
    return task


def sizes_of(task):
    return sorted({cost.size for cost in task.costs})


def lanes_of(task):
    return {row.lane for row in task.lanes}


def warned(task):
    return "\n".join(task.warnings)
