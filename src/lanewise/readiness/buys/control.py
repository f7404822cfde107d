"""Were there cores? Processes that compute in pure Python, and tell how much of a core each had.

How many times one process's speed several have says too little: where many programs want the cores, each
of several processes gets its share as one alone does. So time on a core is asked for.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Self

from lanewise.errors import MeasureError

# As nice as workers are: the cores that are there for those.
_SPINNER = """
import os, sys, time
try:
    os.nice(5)
except (AttributeError, OSError):
    pass
for line in sys.stdin:
    total, began, cpu = 0, time.perf_counter(), time.thread_time()
    for turn in range(int(line)):
        total += turn * turn % 7
    print(time.thread_time() - cpu, time.perf_counter() - began, flush=True)
"""
_TURN_S = 0.03
_FIRST_TURNS = 20_000


class CoreControl:
    """So many processes, which wait until they are asked. Owner: one thread; a context manager.

    Args:
        wanted: How many cores.

    Raises:
        MeasureError: They cannot be started.
    """

    def __init__(self, wanted: int) -> None:
        self._processes = [self._start() for _ in range(wanted)]
        cpu_s = min(self._spin(1, _FIRST_TURNS)[0][0] for _ in range(3))
        self._turns = max(1_000, round(_FIRST_TURNS * _TURN_S / max(cpu_s, 1e-6)))

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603 - because: this interpreter, with code of our own
                [sys.executable, "-c", _SPINNER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        except OSError as error:
            raise MeasureError(f"no process can be started to look for cores: {error}") from error

    def cores(self) -> float:
        """How many cores the processes had just now, beside each other. Takes some 0.06 s.

        Raises:
            MeasureError: One of them is gone.
        """
        ((alone_cpu_s, _),) = self._spin(1, self._turns)
        together = self._spin(len(self._processes), self._turns)
        # Slower beside each other on cores of their own: they share a core's insides, or its clock fell.
        return sum(min(cpu_s, alone_cpu_s) / wall_s for cpu_s, wall_s in together)

    def _spin(self, count: int, turns: int) -> list[tuple[float, float]]:
        chosen = self._processes[:count]
        try:
            for process in chosen:
                assert process.stdin is not None
                process.stdin.write(f"{turns}\n")
                process.stdin.flush()
            answers = [process.stdout.readline().split() for process in chosen if process.stdout]
            return [(float(cpu_s), max(float(wall_s), 1e-9)) for cpu_s, wall_s in answers]
        except (OSError, ValueError) as error:
            raise MeasureError("a process that looks for cores is gone") from error

    def close(self) -> None:
        """End them. Idempotent."""
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
