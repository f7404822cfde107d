"""Makes the modules of far_side importable, here and in worker processes, which inherit the path."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "far_side"))


@pytest.fixture(autouse=True)
def limits_for_a_busy_machine(monkeypatch):
    """A second is not enough where a process may stand still for longer.

    It is what a stream's generator may take to close before it is killed, and what the search for the
    part that cannot be pickled may take before it says less.
    """
    monkeypatch.setattr("lanewise.lanes.process.lane._STREAM_CLOSE_S", 60.0)
    monkeypatch.setattr("lanewise.lanes.interpreter.lane._STREAM_CLOSE_S", 60.0)
    monkeypatch.setattr("_lanewise_worker.culprit._MAX_S", 60.0)
