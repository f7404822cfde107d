"""Far sides for tests: interpreters of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def far_side(code: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run code in an interpreter whose descriptors 1 and 2 are pipes."""
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=check,
        timeout=60,
    )
